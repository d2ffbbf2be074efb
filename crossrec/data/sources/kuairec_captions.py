"""The texts and category names of KuaiRec's videos, whose captions may hold line ends."""

import csv
import re
from collections.abc import Iterator
from pathlib import Path

import polars as pl

from crossrec.data.sources.lines import names_in_head
from crossrec.errors import UserError

VIDEO = "video_id"
COVER, CAPTION, TAGS = TEXTS = ("manual_cover_text", "caption", "topic_tag")
FIRST_LEVEL = "first_level_category_id"
LEVELS = tuple(f"{level}_level_category_name" for level in ("first", "second", "third"))
COLUMNS = (VIDEO, FIRST_LEVEL, *TEXTS, *LEVELS)

_NUMBERS = (re.compile(r"\d{1,18}"), re.compile(r"(-?\d{1,18})?"))  # of VIDEO and FIRST_LEVEL
_MAX_LINES = 50  # of a record; more are text that a stray quote has swallowed


def read_captions(path: Path, max_malformed: float) -> pl.DataFrame:
    """COLUMNS of each video: two int64 (a missing category is null or negative), then strings.

    A line end in a caption is either "\\n" in quotes or a bare "\\r", so this small file (10,728
    videos) is read by records instead of lines. A record is malformed if it has too few or too
    many fields, a number that is none, or more lines than a caption has; all its lines count.

    Raises:
        UserError: a column is missing, the text is not UTF-8, or more than the share
            `max_malformed` of the lines is malformed.
    """
    header = names_in_head(path, ",")  # looked at first, because another file may be large
    if not header:
        raise UserError(f"{path} is empty. Fetch it again, or remove it.")
    if missing := [name for name in COLUMNS if header.count(name) != 1]:
        raise UserError(
            f"{path}, line 1: expected the columns {', '.join(COLUMNS)}, but {missing[0]} is "
            f"there {header.count(missing[0])} times; found {', '.join(header)[:200]!r}. Put the "
            f"official file there."
        )
    records = _records(path)
    next(records)
    places = [header.index(name) for name in COLUMNS]
    rows: list[list[str]] = []
    n_lines, n_malformed, first = 0, 0, 0
    for number, n_taken, fields in records:
        n_lines += n_taken
        if len(fields) == len(header) and n_taken <= _MAX_LINES:
            row = [fields[place] for place in places]
            if all(form.fullmatch(text) for form, text in zip(_NUMBERS, row, strict=False)):
                rows.append(row)
                continue
        n_malformed += n_taken
        first = first or number
    if n_malformed > max_malformed * n_lines:
        raise UserError(
            f"{path}: {n_malformed:,} of {n_lines:,} lines ({n_malformed / n_lines:.2%}) cannot be "
            f"used, and max_malformed allows {max_malformed:.2%}. The first is line {first}. "
            f"Expected {len(header)} fields with a number for {VIDEO} and {FIRST_LEVEL}. Mend or "
            f"fetch the file again, or raise data.reader.max_malformed."
        )
    frame = pl.DataFrame(rows, schema=dict.fromkeys(COLUMNS, pl.String), orient="row")
    return frame.with_columns(pl.col(VIDEO, FIRST_LEVEL).cast(pl.Int64, strict=False))


def _records(path: Path) -> Iterator[tuple[int, int, list[str]]]:
    """First line (from 1), number of lines, and fields of each record; the header comes first."""
    text = _decoded(path).replace("\r\n", "\n").replace("\r", " ").removesuffix("\n")
    reader = csv.reader(f"{line}\n" for line in text.split("\n"))
    start = 1
    try:
        for fields in reader:
            if fields:
                yield start, reader.line_num - start + 1, fields
            start = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"{path}, line {start}: {error}, probably because a quote is not closed. Mend or fetch "
            f"the file again."
        ) from error


def _decoded(path: Path) -> str:
    try:
        return path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{path}, line {number}: expected UTF-8 text, found byte "
            f"0x{error.object[error.start]:02x}. Convert the file to UTF-8 (as with iconv)."
        ) from error
