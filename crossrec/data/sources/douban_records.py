"""Douban's files: every field in quotes, and comments that go over several lines."""

import re
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import polars as pl

from crossrec.data.sources.blocks import LINE_BYTES, TooLong, blocks
from crossrec.data.sources.lines import LineFormat, Lines, Tidy, head, read_lines
from crossrec.data.sources.published import changed, headed
from crossrec.errors import UserError

_START = rb'"?\d+"?\t'  # every record begins with a number
_BREAK = re.compile(rb"\r?\n(?!" + _START + rb")")
_SPOILED = b"\0\n"  # makes the record of a line that is too long malformed
_OUTER_QUOTES = re.compile(rb'^"|"[ \r]*$', re.MULTILINE)


def records(path: Path, types: pl.Schema, required: tuple[str, ...]) -> LineFormat:
    """The format of a file with a header, tabs and quotes. Quotes inside of a field are doubled or
    not: where all fields are quoted, a field ends only at a quote, a tab and a quote.

    Args:
        path: the file.
        types: columns that it must have; all others are strings.
        required: columns without which a record is malformed.

    Raises:
        UserError: the file lacks a column.
    """
    first = (head(path, 2) or [""])[-1].strip()
    n_fields = first.count('"\t"') + 1
    if not (first.startswith('"') and n_fields == first.count("\t") + 1):
        return headed(path, types, required, "\t", quote='"')
    doubled = pl.col(pl.String).str.replace_all('""', '"', literal=True)
    return changed(
        headed(path, types, required, '"\t"'),
        before=lambda block: _OUTER_QUOTES.sub(b"", block),
        after=lambda rows: rows.with_columns(doubled),
    )


def read_records(
    path: Path, form: LineFormat, max_malformed: float, tidy: Tidy, scratch: Path | None
) -> Lines:
    """As `read_lines`, of a file whose records may go over several lines.

    A line that does not begin with a number and a tab continues the record before it. If there is
    any, the file is copied with each record on one line, next to other tables that are too many for
    memory, and the copy is read.

    Raises:
        UserError: as `read_lines`.
    """
    try:
        broken = any(n_breaks for _, n_breaks in _joined(path))
        if not broken:
            return read_lines(path, form, max_malformed, tidy, scratch)
        with TemporaryDirectory(dir=scratch) as place:
            copy = Path(place) / path.name
            with copy.open("wb") as file:
                file.writelines(block for block, _ in _joined(path))
            lines = _read_copy(copy, path, form, tidy, scratch)
    except OSError as error:
        raise UserError(f"{path} cannot be read or copied: {error.strerror or error}") from error
    if lines.n_malformed > max_malformed * lines.n_lines:
        number, sample = _locate(path, lines.first_malformed)
        raise UserError(
            f"{path}: {lines.n_malformed:,} of {lines.n_lines:,} records "
            f"({lines.n_malformed / lines.n_lines:.2%}) cannot be used, and max_malformed allows "
            f"{max_malformed:.2%}. The first begins in line {number}: {sample!r}. Expected in "
            f"every record: {', '.join(form.required)}. Mend or fetch the file again, or raise "
            f"data.reader.max_malformed."
        )
    return lines


def _read_copy(copy: Path, path: Path, form: LineFormat, tidy: Tidy, scratch: Path | None) -> Lines:
    try:
        return read_lines(copy, form, 1.0, tidy, scratch)
    except UserError as error:  # speaks of the copy, which the user never sees
        raise UserError(
            str(error).replace(str(copy), f"{path}, with each record a line")
        ) from error


def _joined(path: Path) -> Iterator[tuple[bytes, int]]:
    """The file in blocks with line breaks inside of records as spaces, and how many those are."""
    rest = b""  # line ends; what follows them decides about them
    for block in blocks(path):
        text = rest + (block[:-1] + _SPOILED if isinstance(block, TooLong) else block)
        end = len(text.rstrip(b"\r\n"))
        yield _BREAK.subn(b" ", text[:end])
        rest = text[end:][:LINE_BYTES]


def _locate(path: Path, record: int) -> tuple[int, str]:
    """The line in which a record begins, the header being record 1, and how it begins."""
    starts = re.compile(_START)
    lines = (line for block in blocks(path) for line in block.split(b"\n")[:-1])
    n_records = 0
    for number, line in enumerate(lines, start=1):
        n_records += number == 1 or starts.match(line) is not None
        if n_records == record:
            break
    return number, line[:80].decode(errors="replace").rstrip("\r")
