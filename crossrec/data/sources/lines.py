"""Read big files of lines fast, count the lines that cannot be used, and fail in one sentence.

Polars parses a block of lines at once; a block that it rejects is halved until a few lines are
left, which are parsed one by one, so that one bad line costs little and is counted exactly. Rows
that are too many for memory are put down as Parquet on the way.
"""

import csv
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from crossrec.data.sources.blocks import blocks
from crossrec.data.sources.parsing import Parser, as_utf8, decode
from crossrec.data.sources.rows import LineFormat, Lines, Tidy
from crossrec.errors import UserError


def read_lines(
    path: Path,
    form: LineFormat,
    max_malformed: float,
    tidy: Tidy | None = None,
    scratch: Path | None = None,
) -> Lines:
    """Read a file of lines.

    Args:
        path: a plain or gzip file.
        form: how lines become rows.
        max_malformed: share of malformed lines, from 0 to 1, above which reading fails.
        tidy: what is done to every block of rows.
        scratch: a folder for rows that are too many for memory; None holds them.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, a bomb, not in its encoding,
            lacks its header, or more than `max_malformed` of its lines are malformed.
    """
    lines = Lines(tidy, scratch)
    lines.add(pl.DataFrame(schema=form.schema), 0, [])  # so that there is a table without a row
    whole = Parser(path, form, lines).read(max(max_malformed, 0.5))
    if not lines.n_lines and not form.has_header:
        raise UserError(f"{path} holds blank lines only. Fetch it again, or remove it.")
    if lines.n_malformed > max_malformed * lines.n_lines:
        sample = next(islice(_decoded(path, form.encoding), lines.first_malformed - 1, None))
        raise UserError(
            f"{path}: {lines.n_malformed:,} of {'' if whole else 'the first '}{lines.n_lines:,} "
            f"lines ({lines.n_malformed / lines.n_lines:.2%}) cannot be used, and max_malformed "
            f"allows {max_malformed:.2%}. The first is line {lines.first_malformed}: "
            f"{sample[:80]!r}. Expected in every line: {form.layout} with "
            f"{', '.join(form.required)}. Mend or fetch the file again, or raise "
            f"data.reader.max_malformed."
        )
    lines.put_down()
    return lines


def head(path: Path, n_lines: int, encoding: str = "utf-8") -> list[str]:
    """The first non-blank lines of a file, without line ends. Raises UserError as `read_lines`."""
    return list(islice((line for line in _decoded(path, encoding) if line.strip()), n_lines))


def names_in_head(path: Path, separator: str) -> list[str]:
    """The fields of the first line, which may be quoted. Raises UserError if it has a stray end."""
    first = (head(path, 1) or [""])[0]
    try:
        return next(csv.reader([first], delimiter=separator), [])
    except csv.Error as error:
        raise UserError(
            f"{path}, line 1: expected the names of columns, found {first[:80]!r} ({error}). Mend "
            f"or fetch the file again."
        ) from error


def check_share(max_malformed: float) -> float:
    """Return the share if it lies in [0, 1]. Raises UserError if not."""
    if not 0 <= max_malformed <= 1:
        raise UserError(f"data.reader.max_malformed must be from 0 to 1, got {max_malformed}")
    return max_malformed


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    number = 1
    for block in blocks(path):
        for raw in as_utf8(block, encoding).split(b"\n")[:-1]:
            yield decode(path, raw, number)
            number += 1
