"""Parquet, CSV and TSV files with any columns, and their values as the types that we need."""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crossrec.data.columns import CATEGORIES, POSITION, RATING, TIMESTAMP
from crossrec.data.sources.tidy import joined, null_if_empty, unix_seconds
from crossrec.errors import UserError

_SEPARATORS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".parquet", *_SEPARATORS)
# ISO 8601 once "T" is a space and "Z" an offset, with and without an offset.
_WITH_OFFSET = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z")
_WITHOUT = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Table:
    """Rows of a file, their numbers in it (from 1), and the numbers of rows too long."""

    rows: pl.DataFrame
    numbers: Sequence[int]
    ragged: list[int]


def load(path: Path) -> Table:
    """All columns of a file as they are; text files give strings.

    Raises:
        UserError: the file is empty, no such file as its name says, or not UTF-8.
    """
    try:
        if path.suffix == ".parquet":
            rows = pl.read_parquet(path)
        else:
            rows = pl.read_csv(path, separator=_SEPARATORS[path.suffix], infer_schema=False)
    except pl.exceptions.NoDataError as error:
        raise UserError(f"{path} is empty: its first line should name the columns") from error
    except pl.exceptions.PolarsError as error:
        if path.suffix == ".parquet":
            raise UserError(f"{path} is no whole Parquet file: {error}") from error
        return _load_ragged(path)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    return Table(rows, range(1, rows.height + 1), [])


def _load_ragged(path: Path) -> Table:
    """A text table in which some rows have more fields than the header."""
    rows: list[list[str]] = []
    numbers: list[int] = []
    ragged: list[int] = []
    reader = None
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=_SEPARATORS[path.suffix])
            header = next(reader)
            for number, row in enumerate(filter(None, reader), start=1):
                if len(row) <= len(header):
                    rows.append(row + [""] * (len(header) - len(row)))
                    numbers.append(number)
                else:
                    ragged.append(number)
    except UnicodeDecodeError as error:
        line = reader.line_num + 1 if reader else 1
        raise UserError(
            f"{path}, at or after line {line}: expected UTF-8 text, found byte "
            f"0x{error.object[error.start]:02x}. Convert the file to UTF-8 (as with iconv)."
        ) from error
    except csv.Error as error:
        raise UserError(f"{path}, line {reader.line_num if reader else 1}: {error}") from error
    schema = dict.fromkeys(header, pl.String)
    return Table(pl.DataFrame(rows, schema=schema, orient="row"), numbers, ragged)


def typed(column: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """Column `name` of the file as our `column` has to be; null where that cannot be."""
    value = pl.col(name)
    if column == TIMESTAMP:
        return _seconds(value, dtype)
    if column in (RATING, POSITION):
        number = value.cast(pl.Float64, strict=False).fill_nan(None)
        return number.cast(pl.Float32 if column == RATING else pl.Int64, strict=False)
    if isinstance(dtype, pl.List | pl.Array):
        texts = value.cast(pl.List(pl.String))
        return joined(texts, " > " if column == CATEGORIES else " ")
    if dtype.is_float():  # whole numbers that a missing value turned into 1.0, 2.0
        whole = value.cast(pl.Int64, strict=False)
        return pl.when(whole == value).then(whole.cast(pl.String)).otherwise(value.cast(pl.String))
    return null_if_empty(value.cast(pl.String))


def readable(column: str, name: str, dtype: pl.DataType) -> pl.Expr:
    """Whether a number or date is one, where the file gives any; other columns always are."""
    if column not in (RATING, TIMESTAMP, POSITION):
        return pl.lit(True)
    absent = pl.col(name).is_null()
    if dtype == pl.String:
        absent |= pl.col(name).str.len_bytes() == 0
    if dtype.is_float():
        absent |= pl.col(name).is_nan()
    return absent | typed(column, name, dtype).is_not_null()


def _seconds(value: pl.Expr, dtype: pl.DataType) -> pl.Expr:
    if dtype == pl.Date or isinstance(dtype, pl.Datetime):
        return value.cast(pl.Datetime("us")).dt.epoch("s")
    if dtype != pl.String:
        return unix_seconds(value.fill_nan(None) if dtype.is_float() else value)
    text = value.str.strip_chars().str.replace("T", " ", literal=True).str.replace("Z$", "+00:00")
    dates = [
        text.str.to_datetime(form, time_unit="us", strict=False, time_zone="UTC")
        for form in _WITH_OFFSET
    ]
    dates += [
        text.str.to_datetime(form, time_unit="us", strict=False).dt.replace_time_zone("UTC")
        for form in _WITHOUT
    ]
    dates.append(
        text.str.to_date("%Y-%m-%d", strict=False)
        .cast(pl.Datetime("us"))
        .dt.replace_time_zone("UTC")
    )
    return pl.coalesce(
        value.cast(pl.Int64, strict=False).pipe(unix_seconds),
        value.cast(pl.Float64, strict=False).fill_nan(None).pipe(unix_seconds),
        pl.coalesce(dates).dt.epoch("s"),
    )
