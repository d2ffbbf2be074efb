"""What lines of a file are, and the rows that they become."""

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import mkstemp

import polars as pl

PART_BYTES = 1 << 25  # rows that are held before they are put down


@dataclass(frozen=True)
class LineFormat:
    """How the lines of a file become rows.

    Attributes:
        schema: the columns that are read and their types.
        required: columns without which a line counts as malformed; numbers must be finite.
        parse_block: rows of a block of UTF-8 lines; raises a Polars error at any bad line.
        parse_line: the row of one line, or None if it is malformed.
        has_header: the first line names the columns and is not a row; nor are repeats of it.
        encoding: of the file; latin-1 is turned into UTF-8 before parsing, if it is not UTF-8.
        layout: what a line is, in words.
    """

    schema: pl.Schema
    required: tuple[str, ...]
    parse_block: Callable[[bytes], pl.DataFrame]
    parse_line: Callable[[str], list[object] | None]
    has_header: bool = False
    encoding: str = "utf-8"
    layout: str = "a line"

    def usable(self, rows: pl.DataFrame) -> pl.Series:
        """(rows,) whether all that is required is there."""
        return rows.select(
            pl.all_horizontal(
                pl.col(column).is_finite().fill_null(False)
                if self.schema[column].is_float()
                else pl.col(column).is_not_null()
                for column in self.required
            )
        ).to_series()


Tidy = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass
class Lines:
    """The usable rows of a file, its number of non-blank lines, and how many are bad.

    Attributes:
        tidy: what is done to every block of rows, if anything.
        scratch: where rows are put down as Parquet; None holds them in memory.
        blocks: rows that are held.
        parts: files of rows that were put down, in the order of the lines.
        first_malformed: number of the first bad line, from 1; 0 if there is none.
    """

    tidy: Tidy | None = None
    scratch: Path | None = None
    blocks: list[pl.DataFrame] = field(default_factory=list)
    parts: list[Path] = field(default_factory=list)
    n_lines: int = 0
    n_malformed: int = 0
    first_malformed: int = 0

    @property
    def table(self) -> pl.LazyFrame:
        """All usable rows in the order of the file."""
        return pl.scan_parquet(self.parts) if self.parts else self.frame.lazy()

    @property
    def frame(self) -> pl.DataFrame:
        """The same in memory."""
        return pl.read_parquet(self.parts) if self.parts else pl.concat(self.blocks, rechunk=False)

    def add(self, frame: pl.DataFrame, n_lines: int, malformed: list[int]) -> None:
        """Append rows; `malformed` holds the line numbers of lines that gave none."""
        self.blocks.append(self.tidy(frame) if self.tidy else frame)
        self.n_lines += n_lines
        self.n_malformed += len(malformed)
        if malformed and not self.first_malformed:
            self.first_malformed = malformed[0]
        if self.scratch and sum(block.estimated_size() for block in self.blocks) > PART_BYTES:
            self.put_down()

    def put_down(self) -> None:
        """Write what is held to a Parquet file of its own."""
        if self.scratch is None or not self.blocks:
            return
        handle, name = mkstemp(suffix=".parquet", dir=self.scratch)
        os.close(handle)
        pl.concat(self.blocks, rechunk=False).write_parquet(name, compression="lz4")
        self.parts.append(Path(name))
        self.blocks = []
