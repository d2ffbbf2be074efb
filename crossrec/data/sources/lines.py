"""Read big files of lines fast, count the lines that cannot be used, and fail in one sentence.

A file (plain or gzip, told apart by its first bytes) is read in blocks of whole lines while the
next block is already being decompressed. Polars parses a block at once; a block that it rejects is
halved until a few lines are left, which are parsed one by one, so that one bad line costs little
and is counted exactly.
"""

import gzip
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import BinaryIO, cast

import polars as pl

from crossrec.errors import UserError

BLOCK_BYTES = 1 << 22
LINE_BY_LINE = 128  # a rejected block of at most so many lines is parsed line by line


@dataclass(frozen=True)
class LineFormat:
    """How the lines of a file become rows.

    Attributes:
        schema: the columns that are read and their types.
        required: columns without which a line counts as malformed.
        parse_block: rows of a block of UTF-8 lines; raises a Polars error at any bad line.
        parse_line: the row of one line, or None if it is malformed.
        has_header: the first line names the columns and is not a row.
        encoding: of the file; latin-1 is turned into UTF-8 before parsing.
    """

    schema: pl.Schema
    required: tuple[str, ...]
    parse_block: Callable[[bytes], pl.DataFrame]
    parse_line: Callable[[str], list[object] | None]
    has_header: bool = False
    encoding: str = "utf-8"


@dataclass
class Lines:
    """The usable rows of a file (`frame`), its number of non-blank lines, and how many are bad."""

    blocks: list[pl.DataFrame] = field(default_factory=list)
    n_lines: int = 0
    n_malformed: int = 0
    first_malformed: int = 0  # line number, from 1

    @property
    def frame(self) -> pl.DataFrame:
        """All usable rows in the order of the file."""
        return pl.concat(self.blocks, rechunk=False)

    def add(self, frame: pl.DataFrame, n_lines: int, malformed: list[int]) -> None:
        """Append rows; `malformed` holds the line numbers of lines that gave none."""
        self.blocks.append(frame)
        self.n_lines += n_lines
        self.n_malformed += len(malformed)
        if malformed and not self.first_malformed:
            self.first_malformed = malformed[0]


def read_lines(path: Path, form: LineFormat, max_malformed: float) -> Lines:
    """Read a file of lines.

    Args:
        path: a plain or gzip file.
        form: how lines become rows.
        max_malformed: share of malformed lines, from 0 to 1, above which reading fails.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, not in its encoding, or more
            than `max_malformed` of its lines are malformed.
    """
    lines = Lines(blocks=[pl.DataFrame(schema=form.schema)])
    number = 1
    for block in _ahead(_blocks(path)):
        start = block.index(b"\n") + 1 if number == 1 and form.has_header else 0
        text = block[start:]
        if form.encoding != "utf-8":
            text = text.decode(form.encoding).encode()
        _read_block(path, text, number + (start > 0), form, lines)
        number += block.count(b"\n")
    if lines.n_malformed > max_malformed * lines.n_lines:
        sample = next(islice(_decoded(path, form.encoding), lines.first_malformed - 1, None))
        raise UserError(
            f"{path}: {lines.n_malformed:,} of {lines.n_lines:,} lines "
            f"({lines.n_malformed / lines.n_lines:.2%}) cannot be used, and max_malformed allows "
            f"{max_malformed:.2%}. The first is line {lines.first_malformed}: {sample[:80]!r}. "
            f"Expected in every line: {', '.join(form.required)}. Mend or fetch the file again, "
            f"or raise data.reader.max_malformed."
        )
    return lines


def head(path: Path, n_lines: int, encoding: str = "utf-8") -> list[str]:
    """The first non-blank lines of a file, without line ends. Raises UserError as `read_lines`."""
    return list(islice((line for line in _decoded(path, encoding) if line.strip()), n_lines))


def check_share(max_malformed: float) -> float:
    """Return the share if it lies in [0, 1]. Raises UserError if not."""
    if not 0 <= max_malformed <= 1:
        raise UserError(f"data.reader.max_malformed must be from 0 to 1, got {max_malformed}")
    return max_malformed


def _read_block(path: Path, block: bytes, number: int, form: LineFormat, lines: Lines) -> None:
    """Parse a block whose first line has the given number, halving it where Polars fails."""
    n_lines = block.count(b"\n")
    if not n_lines:
        return
    try:
        frame = form.parse_block(block)
    except pl.exceptions.PolarsError:
        frame = None
    if frame is not None and frame.height == n_lines:
        usable = frame.select(pl.all_horizontal(pl.col(form.required).is_not_null())).to_series()
        bad = (~usable).arg_true() + number
        lines.add(frame if bad.is_empty() else frame.filter(usable), n_lines, bad.to_list())
    elif n_lines > LINE_BY_LINE:
        middle = block.index(b"\n", len(block) // 2) + 1
        if middle == len(block):  # one long line fills the second half
            middle = block.rindex(b"\n", 0, len(block) - 1) + 1
        _read_block(path, block[:middle], number, form, lines)
        _read_block(path, block[middle:], number + block.count(b"\n", 0, middle), form, lines)
    else:
        _read_line_by_line(path, block, number, form, lines)


def _read_line_by_line(
    path: Path, block: bytes, number: int, form: LineFormat, lines: Lines
) -> None:
    rows: list[list[object]] = []
    malformed: list[int] = []
    required = [form.schema.names().index(column) for column in form.required]
    for offset, raw in enumerate(block.split(b"\n")):
        if not raw.strip():
            continue
        row = form.parse_line(_decode(path, raw, number + offset, "utf-8"))
        if row is None or any(row[index] is None for index in required):
            malformed.append(number + offset)
        else:
            rows.append(row)
    frame = pl.DataFrame(rows, schema=form.schema, orient="row")
    lines.add(frame, len(rows) + len(malformed), malformed)


def _decode(path: Path, raw: bytes, number: int, encoding: str) -> str:
    try:
        return raw.decode(encoding).rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: expected UTF-8 text, found byte 0x{raw[error.start]:02x} at "
            f"position {error.start + 1}. Convert the file to UTF-8 (for example with iconv)."
        ) from error


def _decoded(path: Path, encoding: str) -> Iterator[str]:
    number = 1
    for block in _blocks(path):
        for raw in block.split(b"\n")[:-1]:
            yield _decode(path, raw, number, encoding)
            number += 1


def _ahead(blocks: Iterator[bytes]) -> Iterator[bytes]:
    """The same blocks, the next one being fetched by a thread while this one is used."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        coming = thread.submit(next, blocks, b"")
        while block := coming.result():
            coming = thread.submit(next, blocks, b"")
            yield block


def _blocks(path: Path) -> Iterator[bytes]:
    """Blocks of whole lines, each ending in a newline."""
    try:
        with _open(path) as file:
            rest = file.read(BLOCK_BYTES)
            if not rest:
                raise UserError(f"{path} is empty. Fetch it again, or remove it.")
            while more := file.read(BLOCK_BYTES):
                end = rest.rfind(b"\n") + 1
                if end:
                    yield rest[:end]
                rest = rest[end:] + more
            yield rest if rest.endswith(b"\n") else rest + b"\n"
    except EOFError as error:
        raise UserError(
            f"{path} ends early: the gzip file is truncated, probably by an interrupted download. "
            f"Delete it and fetch it again."
        ) from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise UserError(f"{path} is damaged ({error}). Delete it and fetch it again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        compressed = file.read(2) == b"\x1f\x8b"
    return cast(BinaryIO, gzip.open(path)) if compressed else path.open("rb")
