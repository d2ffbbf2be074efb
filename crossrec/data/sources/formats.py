"""The two kinds of lines there are: JSON objects and delimited fields."""

import ast
import json

import polars as pl

from crossrec.data.sources.lines import LineFormat


def json_lines(schema: pl.Schema, required: tuple[str, ...], literals: bool = False) -> LineFormat:
    """One JSON object a line.

    Args:
        schema: the fields to read: strings, numbers, or lists of strings.
        required: fields without which a line is malformed.
        literals: lines may be Python literals instead of JSON (Amazon 2014 metadata).
    """

    def parse_block(block: bytes) -> pl.DataFrame:
        if literals:
            raise pl.exceptions.ComputeError("Polars cannot read Python literals")
        return pl.read_ndjson(block, schema=schema)

    def parse_line(line: str) -> list[object] | None:
        fields = parse_object(line, literals)
        if fields is None:
            return None
        try:
            return [_coerce(fields.get(name), dtype) for name, dtype in schema.items()]
        except (TypeError, ValueError):
            return None

    return LineFormat(schema, required, parse_block, parse_line)


def parse_object(line: str, literals: bool) -> dict[str, object] | None:
    """The object that a line of JSON (or, if `literals`, a Python literal) holds, else None."""
    value: object = None
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        if literals:
            try:
                value = ast.literal_eval(line)
            except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
                return None
    return value if isinstance(value, dict) else None


def _coerce(value: object, dtype: pl.DataType) -> object:
    """A JSON value as the type that its column has, None if it is absent."""
    if value is None:
        return None
    if isinstance(dtype, pl.List):
        parts = value if isinstance(value, list) else [value]
        if parts and isinstance(parts[0], list):  # a list of category paths: the first is kept
            parts = parts[0]
        return [_text(part) for part in parts]
    if dtype == pl.String:
        return _text(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError(f"expected a number, found {value!r}")
    if dtype.is_integer() and value != int(value):
        raise ValueError(f"expected a whole number, found {value!r}")
    return int(value) if dtype.is_integer() else float(value)


def _text(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode(errors="replace").decode()  # lone surrogates cannot be stored


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
            block = block.replace(separator.encode(), single.encode())
        if quote is None and block.count(single.encode()) != block.count(b"\n") * (len(schema) - 1):
            raise pl.exceptions.ComputeError("some line has too few or too many fields")
        return pl.read_csv(
            block, has_header=False, schema=schema, separator=single, quote_char=quote
        )

    def parse_line(line: str) -> list[object] | None:
        frame = None
        try:
            frame = parse_block(line.encode() + b"\n")
        except pl.exceptions.PolarsError:
            return None
        return list(frame.row(0)) if frame.height == 1 else None

    return LineFormat(schema, required, parse_block, parse_line, has_header, encoding)
