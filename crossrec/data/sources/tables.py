"""One's own tables: interactions and, if there are any, items, as Parquet, CSV or TSV."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from crossrec.data.columns import INTERACTION_COLUMNS, ITEM, ITEM_COLUMNS, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.lines import check_share
from crossrec.data.sources.table_files import (
    ENDINGS,
    REPEATED,
    SEPARATORS,
    USABLE,
    load,
    readable,
    typed,
)
from crossrec.data.sources.table_parts import part_files, reading, scan, whereabouts
from crossrec.data.sources.tidy import raw_domain
from crossrec.errors import UserError


class Tables:
    """Reads the table `interactions` (user_id, item_id and any of rating, timestamp, position,
    review) and, if it is there, `items` (item_id and any of title, description, categories, brand,
    keywords, features, image, audio).

    Each is one .parquet, .csv or .tsv file, or a folder of .parquet files (`interactions/` or
    `interactions.parquet/`), with columns in folder names (`year=2018/`) or without. Parquet is
    not held in memory. Timestamps are unix seconds (or milli-, micro- or nanoseconds), dates, or
    ISO 8601 text, which is UTC where it names no offset. Of several rows of an item the first
    counts; in a folder, where rows have no order, that which sorts first by its columns.

    Args:
        folder: where a domain that is given by its name is looked for.
        columns: our column names to those in the files: `{user_id: customer, item_id: sku}`.
        max_malformed: share of rows that cannot be used above which reading fails.
    """

    def __init__(
        self,
        folder: str | Path,
        columns: Mapping[str, str] | None = None,
        max_malformed: float = 0.01,
    ) -> None:
        self.folder = Path(folder)
        self.columns = dict(columns or {})
        self.max_malformed = check_share(max_malformed)
        known = dict.fromkeys((*INTERACTION_COLUMNS, *ITEM_COLUMNS))
        if unknown := self.columns.keys() - known:
            raise UserError(
                f"data.reader.columns maps {', '.join(sorted(unknown))}, which is none of "
                f"{', '.join(known)}"
            )

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of a folder: absolute, below the working directory, or a name
        below `folder`. The last part of its path is the domain's name.

        Args:
            scratch: a folder for the interactions of a CSV or TSV file, which may be too many.

        Raises:
            UserError: the folder, a table or a mandatory column is missing, or a table is broken.
        """
        events, items = self._tables(domain)
        rows, n_rows, n_bad = self._read(events, (USER, ITEM), INTERACTION_COLUMNS, scratch)
        catalog = None
        if items is not None:
            catalog = self._read(items, (ITEM,), ITEM_COLUMNS, None)[0].collect()
            if items.is_dir():
                catalog = catalog.sort(catalog.columns, nulls_last=True)
        name = events.parent.resolve().name
        return raw_domain(name, rows, catalog, self.files(domain), n_rows, n_bad)

    def files(self, domain: str) -> tuple[Path, ...]:
        """The files of the folder's table of interactions and, if there is one, of items.

        Raises:
            UserError: the folder, or a table of interactions in it, is missing.
        """
        tables = self._tables(domain)
        return tuple(file for table in tables if table is not None for file in part_files(table))

    def _tables(self, domain: str) -> tuple[Path, Path | None]:
        """The table of interactions and that of items: a file or a folder each."""
        place = self._place(domain)
        events, items = _find(place, "interactions"), _find(place, "items")
        if events is None:
            held = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
            raise UserError(
                f"{place} holds no interactions{' or '.join(ENDINGS)}, but {held}. Give the table "
                f"of interactions that name."
            )
        return events, items

    def _place(self, domain: str) -> Path:
        places = (Path(domain), self.folder / domain)
        for place in places:
            if place.is_dir():
                return place
        tried = " or ".join(str(path.absolute()) for path in dict.fromkeys(places))
        raise UserError(
            f"there is no folder {tried}. It should hold interactions{' or '.join(ENDINGS)}; for "
            f"simulated data use data=marketplace."
        )

    def _read(
        self, path: Path, required: tuple[str, ...], wanted: tuple[str, ...], scratch: Path | None
    ) -> tuple[pl.LazyFrame, int, int]:
        """The usable rows with our columns as far as the table has them, the number of its rows,
        and the number of those that cannot be used.

        A row is usable if its ids are there and every number or date that it gives can be read.
        """
        if path.suffix in SEPARATORS:
            text = load(
                path,
                lambda rows: self._ours(path, rows, required, wanted),
                required,
                self.max_malformed,
                scratch,
            )
            return text.table, text.n_lines, text.n_malformed
        with reading(path):
            rows = self._ours(path, scan(path), required, wanted)
            # Every column is decoded, so that a broken file is found now and not later.
            counts = rows.select(pl.len(), pl.col(USABLE).sum(), pl.exclude(USABLE).count())
            n_rows, n_usable = counts.collect(engine="streaming").row(0)[:2]
        n_bad = n_rows - n_usable
        if n_bad > self.max_malformed * n_rows:
            unusable = rows.select((~pl.col(USABLE)).arg_max())
            first = whereabouts(path, unusable.collect().item())
            raise UserError(
                f"{path}: {n_bad:,} of {n_rows:,} rows ({n_bad / n_rows:.2%}) cannot be used "
                f"(no {' or '.join(required)}, or a number or date that is none), and "
                f"max_malformed allows {self.max_malformed:.2%}. The first is {first}. Mend the "
                f"table or raise data.reader.max_malformed."
            )
        return rows.filter(USABLE).drop(USABLE), n_rows, n_bad

    def _ours(
        self, path: Path, rows: pl.LazyFrame, required: tuple[str, ...], wanted: tuple[str, ...]
    ) -> pl.LazyFrame:
        """Our columns as far as there are such, and whether a row is usable."""
        held = rows.collect_schema()
        names = {column: self.columns.get(column, column) for column in wanted}
        missing = [
            f"{name} ({column})" if name != column else name
            for column, name in names.items()
            if name not in held and (column in required or column in self.columns)
        ]
        if missing:
            raise UserError(
                f"{path} has no column {', '.join(missing)}; found "
                f"{', '.join(held)[:200] or 'none'}. "
                f"Say what yours are called, for example: data.reader.columns="
                f"'{{user_id: customer, item_id: product}}'"
            )
        for name in names.values():
            if any(other.startswith(name + REPEATED) for other in held):
                raise UserError(f"{path}, line 1: two columns are called {name}: remove one")
        names = {column: name for column, name in names.items() if name in held}
        usable = [readable(column, name, held[name]) for column, name in names.items()]
        usable += [
            typed(column, names[column], held[names[column]]).is_not_null() for column in required
        ]
        return rows.select(
            *(typed(column, name, held[name]).alias(column) for column, name in names.items()),
            pl.all_horizontal(usable).alias(USABLE),
        )


def _find(place: Path, name: str) -> Path | None:
    """The one file or folder of parts of that name. Raises UserError if there are several."""
    found = [path for ending in ENDINGS if (path := place / (name + ending)).is_file()]
    found += [path for ending in ("", ".parquet") if (path := place / (name + ending)).is_dir()]
    if len(found) > 1:
        raise UserError(
            f"{place} holds {' and '.join(path.name for path in found)}: remove all but one"
        )
    return found[0] if found else None
