"""Data sets that are published as an archive of named files: where they lie, what is in them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from crossrec.data.archives import extract, members
from crossrec.data.download import fetch
from crossrec.data.sources.formats import delimited
from crossrec.data.sources.lines import LineFormat, head
from crossrec.errors import UserError


@dataclass(frozen=True)
class Published:
    """Where the files of a data set come from.

    Attributes:
        title: what it is called.
        folders: below the folder of all data, where its files may lie; that folder itself is
            looked at too. Archives are unpacked into the first.
        archives: names that its archive has; a downloaded one gets the first.
        page: where a person finds it.
        url: of the archive, if it can be fetched without a person.
        md5: of the archive, if published.
    """

    title: str
    folders: tuple[str, ...]
    archives: tuple[str, ...]
    page: str
    url: str | None = None
    md5: str | None = None

    def provide(
        self, folder: Path, layouts: tuple[tuple[str, ...], ...], download: bool
    ) -> tuple[Path, ...]:
        """The files of the first layout of which all are there, unpacked or fetched if need be.

        Args:
            folder: of all data.
            layouts: names of files that belong together; several for several editions.
            download: fetch the archive if nothing is there.

        Raises:
            UserError: no layout is there and none can be had; says what to fetch from where.
        """
        places = (*(folder / name for name in self.folders), folder)
        for place in places:
            for names in layouts:
                if all((place / name).is_file() for name in names):
                    return tuple(place / name for name in names)
        reason = "no archive of it is there either"
        for archive in [place / name for place in places for name in self.archives]:
            if archive.is_file():
                if found := unpack(archive, layouts, places[0]):
                    return found
                reason = f"{archive} does not hold it"
        if self.url is not None and download:
            try:
                archive = fetch(self.url, places[0] / self.archives[0], md5=self.md5)
                if found := unpack(archive, layouts, places[0]):
                    return found
                reason = f"{archive} does not hold it"
            except UserError as error:
                reason = str(error)
        elif self.url is not None:
            reason += ", and download is switched off (data.reader.download=false)"
        wanted = " or ".join(", ".join(names) for names in layouts)
        where = " or ".join(map(str, dict.fromkeys(places)))
        raise UserError(
            f"{self.title}: {wanted} is not in {where}; {reason}. Get it from "
            f"{self.url or self.page} and put {self.archives[0]} or the files into {places[0]}, or "
            f"use simulated data: data=marketplace."
        )


def unpack(
    archive: Path, layouts: tuple[tuple[str, ...], ...], place: Path
) -> tuple[Path, ...] | None:
    """Take the first layout that an archive holds out of it, whatever folders it has inside."""
    held = {Path(member).name: member for member in members(archive)}
    for names in layouts:
        if all(name in held for name in names):
            return tuple(extract(archive, held[name], place / name) for name in names)
    return None


def headed(
    path: Path,
    types: Mapping[str, pl.DataType],
    required: tuple[str, ...],
    separator: str,
    encoding: str = "utf-8",
    quote: str | None = None,
) -> LineFormat:
    """The format of a delimited file whose first line names its columns, in whatever order.

    Args:
        path: the file.
        types: columns that it must have; all others are strings.
        required: columns without which a line is malformed.
        separator: see `delimited`; may hold the quotes around it, where all fields have them.
        encoding, quote: see `delimited`.

    Raises:
        UserError: the file lacks one of the columns, or names one twice.
    """
    names = header(path, separator.strip('"'), encoding)
    missing = [name for name in types if name not in names]
    if missing or len(set(names)) != len(names):
        raise UserError(
            f"{path}, line 1: expected columns {', '.join(types)}, each once, found "
            f"{', '.join(names)[:200]!r}. Put the official file there."
        )
    schema = pl.Schema((name, types.get(name, pl.String())) for name in names)
    return delimited(schema, required, separator, True, encoding, quote)


def header(path: Path, separator: str, encoding: str = "utf-8") -> list[str]:
    """The column names in the first line of a file, without quotes."""
    first = (head(path, 1, encoding) or [""])[0].removeprefix("\ufeff")
    return [name.strip().strip('"').strip() for name in first.split(separator)]


def changed(
    form: LineFormat,
    before: Callable[[bytes], bytes] | None = None,
    after: Callable[[pl.DataFrame], pl.DataFrame] | None = None,
) -> LineFormat:
    """The same format with lines mended before they are parsed, or the rows mended afterwards.

    Args:
        form: of lines as they should be.
        before: UTF-8 lines, each ending in a newline -> as many lines that `form` parses.
        after: rows -> as many rows of the same schema; one with null in a required column makes
            its line malformed.
    """

    def parse_block(block: bytes) -> pl.DataFrame:
        rows = form.parse_block(before(block) if before else block)
        return after(rows) if after else rows

    def parse_line(line: str) -> list[object] | None:
        row = form.parse_line(before(line.encode() + b"\n").decode()[:-1] if before else line)
        if row is None or after is None:
            return row
        return list(after(pl.DataFrame([row], schema=form.schema, orient="row")).row(0))

    return replace(form, parse_block=parse_block, parse_line=parse_line)
