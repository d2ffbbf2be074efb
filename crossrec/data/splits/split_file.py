"""Reads the file of a split: what it says of each event, and nothing that it does not say."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM, POSITION, SPLIT, TIMESTAMP, USER
from crossrec.data.sources.table_files import (
    ENDINGS,
    REPEATED,
    SEPARATORS,
    USABLE,
    load,
    readable,
    typed,
)
from crossrec.data.sources.table_parts import reading
from crossrec.data.splits.parts import PARTS
from crossrec.errors import UserError

TIMES = (TIMESTAMP, POSITION)
_REQUIRED = (USER, ITEM, SPLIT)


def read_split_file(file: Path) -> pl.DataFrame:
    """USER, ITEM, SPLIT and those of TIMESTAMP and POSITION that the file has.

    Raises:
        UserError: there is no such file, it lacks a column, or a row of it cannot be used.
    """
    if file.suffix not in ENDINGS or not file.is_file():
        raise UserError(
            f"split.function.file must be a {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]} file, but "
            f"there is none at {file.absolute()}"
        )
    if file.suffix in SEPARATORS:
        lines = load(file, lambda rows: _ours(file, rows), _REQUIRED, 1.0, None)
        _refuse(file, lines.n_malformed, f"line {lines.first_malformed}")
        return lines.frame
    with reading(file):
        table = pl.read_parquet(file, glob=False)
    rows = _ours(file, table.lazy()).collect()
    bad = (~rows[USABLE]).arg_true()
    _refuse(file, len(bad), f"row {bad[0] + 1}" if len(bad) else "")
    return rows.drop(USABLE)


def _ours(file: Path, rows: pl.LazyFrame) -> pl.LazyFrame:
    """Our columns, as far as the file has them, and USABLE."""
    held = rows.collect_schema()
    if absent := [column for column in _REQUIRED if column not in held]:
        raise UserError(
            f"{file} has no column {', '.join(absent)}; found {', '.join(held) or 'none'}. A split "
            f"names the {USER}, {ITEM} and {SPLIT} of each event."
        )
    names = [name for name in (*_REQUIRED, *TIMES) if name in held]
    for name in names:
        if any(other.startswith(name + REPEATED) for other in held):
            raise UserError(f"{file}, line 1: two columns are called {name}: remove one")
    known = [typed(name, name, held[name]).is_not_null() for name in (USER, ITEM)]
    known += [readable(name, name, held[name]) for name in names]
    known.append(typed(SPLIT, SPLIT, held[SPLIT]).is_in(PARTS).fill_null(False))
    return rows.select(
        *(typed(name, name, held[name]).alias(name) for name in names),
        pl.all_horizontal(known).alias(USABLE),
    )


def _refuse(file: Path, n_bad: int, first: str) -> None:
    """Raises UserError if a row cannot be used."""
    if n_bad:
        raise UserError(
            f"{file}: {n_bad:,} rows cannot be used, the first is {first}: each needs a "
            f"{USER}, an {ITEM}, a {SPLIT} of {', '.join(PARTS)}, numbers or dates where it gives "
            "a time, and no more fields than the first line"
        )
