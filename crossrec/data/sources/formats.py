"""The two kinds of lines there are: JSON objects and delimited fields."""

import ast
import json
import re
from dataclasses import replace
from typing import cast

import polars as pl

from crossrec.data.sources.lines import LineFormat
from crossrec.data.sources.literals import to_json


def json_lines(schema: pl.Schema, required: tuple[str, ...], literals: bool = False) -> LineFormat:
    """One JSON object a line.

    Args:
        schema: the fields to read: strings, numbers, Booleans, objects, or lists of one of them. Of
            a list of lists of strings the first is kept.
        required: fields without which a line is malformed.
        literals: lines may be Python literals instead of JSON.
    """
    nested = {
        name: re.compile(rf'"{re.escape(name)}":\s*\[\s*\['.encode())
        for name, dtype in schema.items()
        if dtype == pl.List(pl.String)
    }

    def parse_block(block: bytes) -> pl.DataFrame:
        if literals and not block.startswith(b'{"'):
            block = to_json(block)
        lists = [name for name, start in nested.items() if start.search(block)]
        # Polars would read a list in a list of strings as the text of its JSON.
        paths: dict[str, pl.DataType] = dict.fromkeys(lists, pl.List(pl.List(pl.String())))
        frame = pl.read_ndjson(block, schema={**schema, **paths})
        first = [
            pl.when(pl.col(name).list.len() == 0)  # none of none, as of a line alone
            .then(pl.lit([], pl.List(pl.String())))
            .otherwise(pl.col(name).list.first())
            .alias(name)
            for name in lists
        ]
        return frame.with_columns(first)

    def parse_line(line: str) -> list[object] | None:
        fields = parse_object(line, literals)
        if fields is None:
            return None
        try:
            return [_coerce(fields.get(name), dtype) for name, dtype in schema.items()]
        except (TypeError, ValueError, ArithmeticError):
            return None

    layout = "an object of JSON" + " or Python" * literals
    return LineFormat(schema, required, parse_block, parse_line, layout=layout)


def parse_object(line: str, literals: bool) -> dict[str, object] | None:
    """The object that a line of JSON (or, if `literals`, a Python literal) holds, else None."""
    value: object = None
    try:
        value = json.loads(line, parse_float=_number, object_pairs_hook=_first_of_each)
    except (ValueError, RecursionError):
        if literals:
            try:
                value = ast.literal_eval(line)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return None
    return value if isinstance(value, dict) else None


def timed(lines: LineFormat, column: str, *patterns: str) -> LineFormat:
    """The same lines with the text of a column as unix seconds; without them a line is malformed.

    Args:
        lines: a format that has the column as text.
        column: dates, of UTC where they name no zone.
        patterns: as strftime writes them, the first that fits counts.
    """
    text = pl.col(column)
    dates = [text.str.to_datetime(pattern, time_zone="UTC", strict=False) for pattern in patterns]
    seconds = pl.coalesce(dates).dt.epoch("s").alias(column)

    def parse_block(block: bytes) -> pl.DataFrame:
        return lines.parse_block(block).with_columns(seconds)

    def parse_line(line: str) -> list[object] | None:
        row = lines.parse_line(line)
        if row is None:
            return None
        frame = pl.DataFrame([row], schema=lines.schema, orient="row")
        return list(frame.with_columns(seconds).row(0))

    return replace(
        lines,
        schema=pl.Schema({**lines.schema, column: pl.Int64()}),
        required=tuple(dict.fromkeys((*lines.required, column))),
        parse_block=parse_block,
        parse_line=parse_line,
    )


def _first_of_each(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """An object of JSON; of a key that is repeated the first value is kept, as Polars does."""
    fields: dict[str, object] = {}
    for key, value in pairs:
        fields.setdefault(key, value)
    return fields


def _number(text: str) -> int | float:
    """A number of JSON; one like 1.0 is whole, as in the texts that Polars makes."""
    value = float(text)
    return int(value) if value.is_integer() and abs(value) < 2**53 else value


def _coerce(value: object, dtype: pl.DataType) -> object:
    """A JSON value as the type that its column has, None if it is absent."""
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        parts = value if isinstance(value, list) else [value]
        if dtype.inner == pl.String and parts and isinstance(parts[0], list):
            parts = parts[0]  # a list of category paths
        return [_coerce(part, cast(pl.DataType, dtype.inner)) for part in parts]
    if isinstance(dtype, pl.Struct):
        if not isinstance(value, dict):
            raise TypeError(f"expected an object, found {value!r}")
        return {
            field.name: _coerce(value.get(field.name), cast(pl.DataType, field.dtype))
            for field in dtype.fields
        }
    if dtype == pl.String:
        return _text(value)
    if isinstance(value, bool) != (dtype == pl.Boolean) or not isinstance(value, int | float):
        raise TypeError(f"expected {dtype}, found {value!r}")
    if dtype.is_integer() and (value != int(value) or not -(2**63) <= value < 2**63):
        raise ValueError(f"expected a whole number of 64 bits, found {value!r}")
    return value if dtype == pl.Boolean else int(value) if dtype.is_integer() else float(value)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    # Python literals may hold a character as two halves; a half alone cannot be stored.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def delimited(
    schema: pl.Schema,
    required: tuple[str, ...],
    separator: str,
    has_header: bool = False,
    encoding: str = "utf-8",
    quote: str | None = None,
) -> LineFormat:
    """Fields split by a separator (which may be longer than one character); empty ones are null.

    Args:
        schema: all fields of a line, in order; a line with more or fewer is malformed.
        required: fields without which a line is malformed.
        separator: for example a tab, a comma, or "::".
        has_header: the first line holds names.
        encoding: "utf-8" or "latin-1".
        quote: the character that encloses fields which hold the separator, if any.
    """
    # Polars wants one character; U+001F ("unit separator") occurs in no text.
    single = separator if len(separator) == 1 else "\x1f"

    def parse_block(block: bytes) -> pl.DataFrame:
        if single != separator:
            if single.encode() in block:
                raise pl.exceptions.ComputeError("a line holds a control character")
            block = block.replace(separator.encode(), single.encode())
        # Polars fills up a line that has too few fields, and itself refuses one that has too many.
        separators = block.count(single.encode())
        n_lines = block.count(b"\n")
        if quote is None and separators != n_lines * (len(schema) - 1):
            raise pl.exceptions.ComputeError("some line has too few fields")
        frame = pl.read_csv(
            block, has_header=False, schema=schema, separator=single, quote_char=quote
        )
        if quote is not None and separators != n_lines * (len(schema) - 1) + _quoted(frame, single):
            raise pl.exceptions.ComputeError("some line has too few fields")
        return frame

    def parse_line(line: str) -> list[object] | None:
        frame = None
        try:
            frame = parse_block(line.encode() + b"\n")
        except pl.exceptions.PolarsError:
            return None
        return list(frame.row(0)) if frame.height == 1 else None

    layout = f"{len(schema)} fields split by {separator!r}"
    return LineFormat(schema, required, parse_block, parse_line, has_header, encoding, layout)


def _quoted(frame: pl.DataFrame, separator: str) -> int:
    """How many separators the values of a table hold."""
    texts = pl.col(pl.String).str.count_matches(separator, literal=True).sum()
    return int(frame.select(pl.sum_horizontal(texts)).item())
