"""Parquet tables: one file, or a folder of part files as Spark, Ray, DuckDB and polars write it."""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from urllib.parse import unquote

import polars as pl

from crossrec.errors import UserError

_NULL = "__HIVE_DEFAULT_PARTITION__"


def part_files(table: Path) -> tuple[Path, ...]:
    """The file itself, or the .parquet files at any depth of the folder, sorted by path.

    Names that begin with "_" or "." are notes of the writer, as everywhere.

    Raises:
        UserError: the folder has no such file.
    """
    if not table.is_dir():
        return (table,)
    found = sorted(
        path
        for path in table.rglob("*.parquet")
        if path.is_file() and not any(n[0] in "_." for n in path.relative_to(table).parts)
    )
    if not found:
        raise UserError(
            f"{table} holds no .parquet file: it should hold the parts of one table, or be removed"
        )
    return tuple(found)


def scan(table: Path) -> pl.LazyFrame:
    """All rows in the order of the parts.

    A folder name NAME=VALUE of a Hive layout makes a column of strings.
    """
    frames = [
        pl.scan_parquet(list(paths), hive_partitioning=False, glob=False).with_columns(
            pl.lit(value, pl.String).alias(name) for name, value in partition
        )
        for partition, paths in groupby(part_files(table), lambda path: _partition(table, path))
    ]
    return pl.concat(frames)


def whereabouts(table: Path, row: int) -> str:
    """Where a person finds a row that is counted from 0 over all parts."""
    if not table.is_dir():
        return f"row {row + 1}"
    for path in part_files(table):
        height = pl.scan_parquet(path, glob=False).select(pl.len()).collect().item()
        if row < height:
            break
        row -= height
    return f"row {row + 1} of {path.relative_to(table)}"


@contextmanager
def reading(table: Path) -> Iterator[None]:
    """Reading that raises a UserError where polars would raise one of its own."""
    try:
        yield
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        what = (
            "holds parts that are broken or differ in their columns or types"
            if table.is_dir()
            else "is no whole Parquet file"
        )
        raise UserError(f"{table} {what}: {str(error).splitlines()[0]}") from error
    except OSError as error:
        raise UserError(f"{table} cannot be read: {error.strerror or error}") from error


def _partition(table: Path, path: Path) -> tuple[tuple[str, str | None], ...]:
    """Names and values that the folders between table and file say."""
    if path == table:
        return ()
    pieces = [name.partition("=") for name in path.relative_to(table).parent.parts if "=" in name]
    return tuple((name, None if value == _NULL else unquote(value)) for name, _, value in pieces)
