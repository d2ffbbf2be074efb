"""CSV and TSV files with any columns, and values of any table as the types that we need."""

import csv
from collections.abc import Callable
from pathlib import Path

import polars as pl

from crossrec.data.columns import CATEGORIES, POSITION, RATING, TIMESTAMP
from crossrec.data.sources.formats import delimited
from crossrec.data.sources.lines import LineFormat, Lines, names_in_head, read_lines
from crossrec.data.sources.tidy import joined, null_if_empty, unix_seconds

SEPARATORS = {".csv": ",", ".tsv": "\t"}
ENDINGS = (".parquet", *SEPARATORS)
USABLE = "usable"
REPEATED = "_duplicated_"  # so polars goes on with the name of a column that stands there already
# ISO 8601 once "T" is a space and "Z" an offset, with and without an offset.
_WITH_OFFSET = ("%Y-%m-%d %H:%M:%S%.f%:z", "%Y-%m-%d %H:%M%:z")
_WITHOUT = ("%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M")


def load(
    path: Path,
    ours: Callable[[pl.LazyFrame], pl.LazyFrame],
    required: tuple[str, ...],
    max_malformed: float,
    scratch: Path | None,
) -> Lines:
    """The usable rows of a CSV or TSV file.

    It is read by lines, in little memory. Only if quoted fields go over several lines, and no quote
    is astray, it is read as a whole.

    Args:
        path: the file; its first line names the columns.
        ours: from columns of strings as in the file to ours, and USABLE.
        required: our columns without which a row is not usable.
        max_malformed: share of rows that are not usable above which reading fails.
        scratch: a folder for rows that are too many for memory.

    Raises:
        UserError: the file is empty, damaged, not UTF-8, or has too many such rows.
    """
    separator = SEPARATORS[path.suffix]
    text = _text(path, separator)
    open_quotes = []  # lines on which a quote has no partner

    def rows(fields: pl.DataFrame) -> pl.DataFrame:
        marked = [pl.when(USABLE).then(column).alias(column) for column in required]
        return ours(fields.lazy()).with_columns(marked).drop(USABLE).collect()

    def parse_line(line: str) -> list[object] | None:
        fields = text.parse_line(line)
        if fields is None:
            if line.count('"') % 2:
                open_quotes.append(line)
            return None
        return list(rows(pl.DataFrame([fields], schema=text.schema, orient="row")).row(0))

    form = LineFormat(
        schema=rows(pl.DataFrame(schema=text.schema)).schema,
        required=required,
        parse_block=lambda block: rows(text.parse_block(block)),
        parse_line=parse_line,
        has_header=True,
        layout=f"{text.layout}, numbers and dates that are such,",
    )
    lines = read_lines(path, form, 1.0, None, scratch)
    if open_quotes and (whole := _whole(path, separator)) is not None:
        held = rows(whole)
        usable = form.usable(held)
        lines = Lines(scratch=scratch)
        lines.add(held.filter(usable), held.height, ((~usable).arg_true() + 1).to_list())
        lines.put_down()
    if lines.n_malformed > max_malformed * lines.n_lines:
        read_lines(path, form, max_malformed, None, scratch)  # says which line
    return lines


def _text(path: Path, separator: str) -> LineFormat:
    """All fields as strings, under the names in the first line."""
    header = names_in_head(path, separator)
    names = [
        f"{name}{REPEATED}{number}" if name in header[:number] else name
        for number, name in enumerate(header)
    ]
    schema = pl.Schema(dict.fromkeys(names, pl.String()))
    return delimited(schema, (), separator, has_header=True, quote='"')


def _whole(path: Path, separator: str) -> pl.DataFrame | None:
    """The table with line ends inside of quoted fields; None if the quotes do not go in pairs."""
    try:
        rows = pl.read_csv(path, separator=separator, infer_schema=False, glob=False)
    except pl.exceptions.PolarsError:
        return None
    if _has_swallowed(rows, separator):
        return None
    return rows.filter(~pl.all_horizontal(pl.all().is_null()))


def _has_swallowed(rows: pl.DataFrame, separator: str) -> bool:
    """Whether most lines inside of some field are rows, which a stray quote before them took in."""
    whole = pl.col("value").str.split("\n")
    inside = (
        rows.lazy()
        .with_row_index("row")
        .unpivot(index="row")
        .filter(pl.col("value").str.contains("\n", literal=True))
        .select("row", whole.list.slice(1, (whole.list.len().cast(pl.Int64) - 2).clip(0)))
        .explode("value")
        .drop_nulls()
        .collect()
    )
    widths = [len(next(csv.reader([line], delimiter=separator), ())) for line in inside["value"]]
    is_row = pl.Series("is_row", widths, pl.Int64) == rows.width
    shares = inside.with_columns(is_row).group_by("row").agg(pl.col("is_row").mean())
    return bool((shares["is_row"] > 0.5).any())


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
