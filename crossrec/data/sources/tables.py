"""One's own tables: interactions and, if there are any, items, as Parquet, CSV or TSV."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from crossrec.data.columns import INTERACTION_COLUMNS, ITEM, ITEM_COLUMNS, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.lines import check_share
from crossrec.data.sources.table_files import ENDINGS, load, readable, typed
from crossrec.data.sources.tidy import raw_domain
from crossrec.errors import UserError

_USABLE = "usable"


class Tables:
    """Reads the table `interactions` (user_id, item_id and any of rating, timestamp, position) and,
    if it is there, `items` (item_id and any of title, description, categories, brand, keywords).

    Each is one .parquet, .csv or .tsv file. Timestamps are unix seconds (or milli-, micro- or
    nanoseconds), dates, or ISO 8601 text, which is UTC where it names no offset.

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

    def read(self, domain: str) -> RawDomain:
        """Interactions and items of a folder: absolute, below the working directory, or a name
        below `folder`. The last part of its path is the domain's name.

        Raises:
            UserError: the folder, a table or a mandatory column is missing, or a table is broken.
        """
        files = self.files(domain)
        events, n_rows = self._read(files[0], (USER, ITEM), INTERACTION_COLUMNS)
        items = self._read(files[1], (ITEM,), ITEM_COLUMNS)[0] if len(files) > 1 else None
        name = files[0].parent.resolve().name
        return raw_domain(name, events, items, files, n_rows, n_rows - events.height)

    def files(self, domain: str) -> tuple[Path, ...]:
        """The folder's table of interactions and, if there is one, of items.

        Raises:
            UserError: the folder, or a table of interactions in it, is missing.
        """
        place = self._place(domain)
        events, items = _find(place, "interactions"), _find(place, "items")
        if events is None:
            held = ", ".join(sorted(path.name for path in place.iterdir())) or "nothing"
            raise UserError(
                f"{place} holds no interactions{' or '.join(ENDINGS)}, but {held}. Give the table "
                f"of interactions that name."
            )
        return (events,) if items is None else (events, items)

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
        self, path: Path, required: tuple[str, ...], wanted: tuple[str, ...]
    ) -> tuple[pl.DataFrame, int]:
        """The usable rows with our columns as far as the file has them, and how many rows it has.

        A row is usable if its ids are there and every number or date that it gives can be read.
        """
        table = load(path)
        held = table.rows.schema
        names = {column: self.columns.get(column, column) for column in wanted}
        missing = [
            f"{name} ({column})" if name != column else name
            for column, name in names.items()
            if name not in held and (column in required or column in self.columns)
        ]
        if missing:
            raise UserError(
                f"{path} has no column {', '.join(missing)}; found {', '.join(held) or 'none'}. "
                f"Say what yours are called, for example: data.reader.columns="
                f"'{{user_id: customer, item_id: product}}'"
            )
        names = {column: name for column, name in names.items() if name in held}
        usable = [readable(column, name, held[name]) for column, name in names.items()]
        usable += [
            typed(column, names[column], held[names[column]]).is_not_null() for column in required
        ]
        rows = table.rows.select(
            *(typed(column, name, held[name]).alias(column) for column, name in names.items()),
            pl.all_horizontal(usable).alias(_USABLE),
        )
        bad = sorted([*table.ragged, *(table.numbers[i] for i in (~rows[_USABLE]).arg_true())])
        n_rows = rows.height + len(table.ragged)
        if len(bad) > self.max_malformed * n_rows:
            raise UserError(
                f"{path}: {len(bad):,} of {n_rows:,} rows ({len(bad) / n_rows:.2%}) cannot be used "
                f"(no {' or '.join(required)}, a number or date that is none, or too many "
                f"fields), and max_malformed allows {self.max_malformed:.2%}. The first is "
                f"row {bad[0]}. Mend the table or raise data.reader.max_malformed."
            )
        return rows.filter(_USABLE).drop(_USABLE), n_rows


def _find(place: Path, name: str) -> Path | None:
    """The one file of that name. Raises UserError if there are several."""
    found = [path for ending in ENDINGS if (path := place / (name + ending)).is_file()]
    if len(found) > 1:
        raise UserError(
            f"{place} holds {' and '.join(path.name for path in found)}: remove all but one"
        )
    return found[0] if found else None
