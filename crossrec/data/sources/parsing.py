"""Lines as rows, in blocks as far as they are good, and one by one where they are not."""

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crossrec.data.sources.blocks import TooLong, blocks_ahead
from crossrec.data.sources.rows import LineFormat, Lines
from crossrec.errors import UserError

LINE_BY_LINE = 128  # a rejected block of at most so many lines is parsed line by line
EARLY_LINES = 10_000  # if more are malformed, and these are most lines, the rest is not tried


@dataclass
class Parser:
    """Turns the lines of one file into rows of `lines`."""

    path: Path
    form: LineFormat
    lines: Lines
    header: bytes = b""

    def read(self, hopeless: float) -> bool:
        """Whether all was read; not if more than a share `hopeless` of much of it is malformed."""
        number = 1
        for block in blocks_ahead(self.path):
            if isinstance(block, TooLong):
                self.lines.add(pl.DataFrame(schema=self.form.schema), 1, [number])
                number += 1
                continue
            text = as_utf8(block, self.form.encoding)
            n_lines = text.count(b"\n")
            if number == 1 and self.form.has_header:
                self._take_header(text[: text.index(b"\n") + 1])
                text = text[len(self.header) :]
                number, n_lines = 2, n_lines - 1
            self._read_block(text, n_lines, number)
            number += n_lines
            if self.lines.n_malformed > max(hopeless * self.lines.n_lines, EARLY_LINES):
                return False
        return True

    def _take_header(self, line: bytes) -> None:
        """Keep the first line, so that repeats of it are seen."""
        if not line.strip():
            raise UserError(
                f"{self.path}, line 1: expected a header, found a blank line. Fetch the file again."
            )
        row = self.form.parse_line(decode(self.path, line, 1))
        types = [self.form.schema[column] for column in self.form.required]
        known = any(dtype.is_numeric() for dtype in types)  # else values may look like names
        if known and row is not None and self.form.usable(self._frame([row])).item():
            raise UserError(
                f"{self.path}, line 1: expected a header, found a line of values: "
                f"{line[:80].decode(errors='replace')!r}. Put the line with the names of the "
                f"columns back, or fetch the file again."
            )
        self.header = line

    def _frame(self, rows: list[list[object]]) -> pl.DataFrame:
        return pl.DataFrame(rows, schema=self.form.schema, orient="row")

    def _read_block(self, block: bytes, n_lines: int, number: int) -> None:
        """Parse a block whose first line has the given number, halving it where Polars fails."""
        if not n_lines:
            return
        frame = None
        if b"\0" not in block and not (self.header and self.header in block):
            with suppress(pl.exceptions.PolarsError):
                frame = self.form.parse_block(block)
        if frame is not None and frame.height == n_lines:
            usable = self.form.usable(frame)
            bad = (~usable).arg_true() + number
            frame = frame if bad.is_empty() else frame.filter(usable)
            self.lines.add(frame, n_lines, bad.to_list())
        elif n_lines > LINE_BY_LINE:
            middle = block.index(b"\n", len(block) // 2) + 1
            if middle == len(block):  # one long line fills the second half
                middle = block.rindex(b"\n", 0, len(block) - 1) + 1
            first = block.count(b"\n", 0, middle)
            self._read_block(block[:middle], first, number)
            self._read_block(block[middle:], n_lines - first, number + first)
        else:
            self._read_line_by_line(block, number)

    def _read_line_by_line(self, block: bytes, number: int) -> None:
        rows: list[list[object]] = []
        numbers: list[int] = []  # of the lines that gave a row
        malformed: list[int] = []
        for at, raw in enumerate(block[:-1].split(b"\n"), start=number):
            if not raw.strip(b" \r"):
                continue
            spoiled = b"\0" in raw or (self.header and raw + b"\n" == self.header)
            row = None if spoiled else self.form.parse_line(decode(self.path, raw, at))
            if row is None:
                malformed.append(at)
            else:
                rows.append(row)
                numbers.append(at)
        n_lines = len(rows) + len(malformed)
        frame = self._frame(rows)
        usable = self.form.usable(frame)
        malformed += [numbers[index] for index in (~usable).arg_true()]
        self.lines.add(frame.filter(usable), n_lines, sorted(malformed))


def as_utf8(block: bytes, encoding: str) -> bytes:
    """Text in UTF-8; what is said to be latin-1, but is valid UTF-8, is that."""
    if encoding == "utf-8" or block.isascii():
        return block
    try:
        block.decode()
    except UnicodeDecodeError:
        return block.decode(encoding).encode()
    return block


def decode(path: Path, raw: bytes, number: int) -> str:
    """A line of UTF-8 without its end. Raises UserError if it is something else."""
    try:
        return raw.decode().rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path}, line {number}: expected UTF-8 text, found byte 0x{raw[error.start]:02x} at "
            f"position {error.start + 1}. Convert the file to UTF-8 (for example with iconv)."
        ) from error
