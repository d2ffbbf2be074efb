"""From what a file has to the tables that every reader gives."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    POSITION,
    RATING,
    TIMESTAMP,
)
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError
from crossrec.folding import fold

_TYPES = {RATING: pl.Float32(), TIMESTAMP: pl.Int64(), POSITION: pl.Int64()}


def raw_domain(
    name: str,
    interactions: pl.LazyFrame | pl.DataFrame,
    items: pl.DataFrame | None,
    files: tuple[Path, ...],
    n_lines: int,
    n_malformed: int,
) -> RawDomain:
    """Bring both tables to the common columns and types.

    Columns that the files do not have become null. Of several rows of an item the first is kept;
    an item that occurs in interactions only gets a row of nulls.

    Raises:
        UserError: there is no interaction at all.
    """
    events = _with_columns(interactions.lazy(), INTERACTION_COLUMNS)
    named = events.select(pl.col(ITEM).unique()).collect(engine="streaming").sort(ITEM)
    if named.is_empty():
        raise UserError(f"{files[0]} holds no interaction that can be used")
    known = (pl.DataFrame(schema={ITEM: pl.String}) if items is None else items).lazy()
    known = _with_columns(known.filter(pl.col(ITEM).is_not_null()), ITEM_COLUMNS).unique(
        ITEM, keep="first", maintain_order=True
    )
    unknown = _with_columns(named.lazy().join(known, on=ITEM, how="anti"), ITEM_COLUMNS)
    table = pl.concat([known, unknown.sort(ITEM)]).collect()
    return RawDomain(name, events, table.lazy(), files, n_lines, n_malformed)


def _with_columns(table: pl.LazyFrame, columns: tuple[str, ...]) -> pl.LazyFrame:
    held = table.collect_schema().names()
    return table.select(
        (pl.col(column) if column in held else pl.lit(None).alias(column)).cast(
            _TYPES.get(column, pl.String())
        )
        for column in columns
    )


def clean_text(frame: pl.DataFrame, columns: tuple[str, ...]) -> pl.DataFrame:
    """Plain text without HTML, white space single; what is empty then becomes null."""
    folded = frame.with_columns(fold(frame[column]).alias(column) for column in columns)
    return folded.with_columns(null_if_empty(pl.col(column)) for column in columns)


def null_if_empty(text: pl.Expr) -> pl.Expr:
    """The text, null where it has no character."""
    return pl.when(text.str.len_bytes() > 0).then(text)


def joined(parts: pl.Expr, separator: str) -> pl.Expr:
    """A list of strings as one string, null where the list is empty or holds nulls only."""
    return null_if_empty(parts.list.drop_nulls().list.join(separator))


def unix_seconds(number: pl.Expr) -> pl.Expr:
    """Whole unix seconds from seconds, milli-, micro- or nanoseconds, told apart by their size.

    1e11 seconds lie in the year 5138 and 1e11 milliseconds in 1973, so no date of an interaction
    is ambiguous.
    """
    size = number.abs()
    return (
        pl.when(size > 1e17)
        .then(number // 1_000_000_000)
        .when(size > 1e14)
        .then(number // 1_000_000)
        .when(size > 1e11)
        .then(number // 1000)
        .otherwise(number)
        .floor()
        .cast(pl.Int64, strict=False)
    )
