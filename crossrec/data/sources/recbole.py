"""RecBole's atomic files: tab separated, each column headed `name:type`."""

from collections.abc import Mapping
from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    IMAGE,
    ITEM,
    ITEM_COLUMNS,
    KEYWORDS,
    RATING,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import delimited
from crossrec.data.sources.lines import Lines, check_share, head, read_lines
from crossrec.data.sources.tidy import raw_domain, unix_seconds
from crossrec.errors import UserError

# Our column: the names that RecBole's published data sets give it.
_NAMES = {
    USER: ("user_id",),
    ITEM: ("item_id",),
    RATING: ("rating",),
    TIMESTAMP: ("timestamp",),
    TITLE: ("title", "movie_title", "book_title", "item_name", "app_name", "name"),
    CATEGORIES: ("categories", "class", "genre", "genres", "category"),
    BRAND: ("brand", "book_author", "developer"),
    DESCRIPTION: ("description",),
    KEYWORDS: ("keywords", "tags"),
    FEATURES: ("features", "specs"),
    IMAGE: ("image", "pictureURL"),
}
_TYPES = ("token", "token_seq", "float", "float_seq")
_EVENTS = (USER, ITEM, RATING, TIMESTAMP)


class RecBole:
    """Reads `DATASET.inter` and, if there, `DATASET.item`.

    Args:
        folder: holds the files, or a folder DATASET that does.
        columns: names of columns that are called otherwise than in RecBole's own data sets, ours
            to theirs, without type: `{user_id: uid}`.
        max_malformed: share of malformed lines in a file above which reading fails.
    """

    def __init__(
        self,
        folder: str | Path,
        columns: Mapping[str, str] | None = None,
        max_malformed: float = 0.01,
    ) -> None:
        self.folder = Path(folder)
        self.names = _NAMES | {ours: (theirs,) for ours, theirs in (columns or {}).items()}
        self.max_malformed = check_share(max_malformed)
        if unknown := self.names.keys() - _NAMES.keys():
            raise UserError(
                f"data.reader.columns maps {', '.join(sorted(unknown))}, which is not one of "
                f"{', '.join(_NAMES)}"
            )

    def read(self, dataset: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of a data set.

        Args:
            scratch: a folder for interactions that are too many for memory.

        Raises:
            UserError: a file or a mandatory column is missing, or a file cannot be read.
        """
        files = self.files(dataset)
        lines = self._read(files[0], (USER, ITEM), _EVENTS, scratch)
        items = self._read(files[1], (ITEM,), ITEM_COLUMNS).frame if len(files) > 1 else None
        return raw_domain(dataset, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def files(self, dataset: str) -> tuple[Path, ...]:
        """The data set's .inter file and, if there is one, its .item file.

        Raises:
            UserError: there is no .inter file.
        """
        places = (self.folder / dataset, self.folder)
        found = (place for place in places if (place / f"{dataset}.inter").is_file())
        folder = next(found, None)
        if folder is None:
            raise UserError(
                f"{dataset}.inter is neither in {places[0]} nor in {places[1]}: put RecBole's "
                f"atomic files there, or use simulated data: data=marketplace"
            )
        events, items = folder / f"{dataset}.inter", folder / f"{dataset}.item"
        return (events, items) if items.exists() else (events,)

    def _read(
        self,
        path: Path,
        required: tuple[str, ...],
        wanted: tuple[str, ...],
        scratch: Path | None = None,
    ) -> Lines:
        """The wanted columns that the file has, under our names."""
        header = (head(path, 1) or [""])[0].split("\t")
        theirs = [field.partition(":")[0] for field in header]
        wrong = [field for field in header if field.partition(":")[2] not in _TYPES]
        if wrong or len(set(theirs)) < len(theirs):
            raise UserError(
                f"{path}, line 1: expected name:type with one of the types {', '.join(_TYPES)}, "
                f"split by tabs, each name once; found {', '.join(wrong or header)[:200]!r}."
            )
        ours = {
            column: found
            for column in wanted
            if (found := next((n for n in self.names.get(column, ()) if n in theirs), None))
        }
        if missing := [column for column in required if column not in ours]:
            raise UserError(
                f"{path}, line 1: no column for {', '.join(missing)}; found "
                f"{', '.join(header)[:200]}. "
                f"Name it with data.reader.columns, for example {{{missing[0]}: {theirs[0]}}}."
            )
        numbers = (ours.get(RATING), ours.get(TIMESTAMP))
        schema = pl.Schema(
            (name, pl.Float64() if name in numbers else pl.String()) for name in theirs
        )
        form = delimited(schema, tuple(ours[column] for column in required), "\t", has_header=True)

        def tidy(rows: pl.DataFrame) -> pl.DataFrame:
            return rows.select(
                (unix_seconds(pl.col(name)) if column == TIMESTAMP else pl.col(name)).alias(column)
                for column, name in ours.items()
            )

        return read_lines(path, form, self.max_malformed, tidy, scratch)
