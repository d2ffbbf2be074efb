"""Texts of one's own in files that need not fit in memory: read block by block."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import polars as pl

from crossrec.errors import UserError
from crossrec.folding import fold, shorten

SUFFIXES = (".txt", ".jsonl", ".parquet")
EXPECTED = (
    "expected a .txt file with a text a line, a .jsonl file with an object a line, its text "
    'under "text", a .parquet file with a column "text", or a folder of such files'
)
TEXT = "text"
MAX_CHARS = 1000
BLOCK = 4096


def text_files(path: Path) -> list[Path]:
    """The files of a corpus in alphabetical order.

    Raises:
        UserError: there is no such file, or none of a kind that can be read.
    """
    if path.is_dir():
        files = sorted(f for f in path.rglob("*") if f.suffix in SUFFIXES and f.is_file())
    else:
        files = [path] if path.is_file() and path.suffix in SUFFIXES else []
    if not files:
        what = "holds no such file" if path.is_dir() else "is none"
        what = what if path.exists() else "does not exist"
        raise UserError(f"pretraining.corpus={path} {what}: {EXPECTED}")
    return files


def text_blocks(files: list[Path]) -> Iterator[list[str]]:
    """The texts of the files, folded and cut as item texts are; empty ones are left out.

    Raises:
        UserError: names the file and the line that cannot be read, or says that there is no text.
    """
    empty = True
    for file in files:
        rows = _of_parquet(file) if file.suffix == ".parquet" else _of_lines(file)
        while block := list(islice(rows, BLOCK)):
            texts = shorten(fold(pl.Series(block, dtype=pl.String)), MAX_CHARS)
            if len(texts := texts.filter(texts != "")):
                empty = False
                yield texts.to_list()
    if empty:
        raise UserError(f"pretraining.corpus: no text in {', '.join(map(str, files))}: {EXPECTED}")


def _of_lines(file: Path) -> Iterator[str]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
                if file.suffix == ".txt":
                    yield text
                elif text.strip():
                    yield _field(json.loads(text))
            except (UnicodeDecodeError, ValueError) as error:
                raise UserError(f"{file}, line {number}: {error}; {EXPECTED}") from error


def _field(row: object) -> str:
    text = row.get(TEXT) if isinstance(row, dict) else None
    if not isinstance(text, str):
        keys = f"keys {', '.join(row)}" if isinstance(row, dict) else type(row).__name__
        raise ValueError(f'found no text under "{TEXT}" ({keys})')
    return text


def _of_parquet(file: Path) -> Iterator[str]:
    try:
        table = pl.scan_parquet(file)
        schema = table.collect_schema()
    except (pl.exceptions.PolarsError, OSError) as error:
        raise UserError(f"{file}: {str(error).splitlines()[0]}; {EXPECTED}") from error
    if schema.get(TEXT) != pl.String:
        found = ", ".join(f"{name} ({kind})" for name, kind in schema.items())
        raise UserError(f'{file}: no column "{TEXT}" of strings among {found}; {EXPECTED}')
    start = 0
    while len(block := table.select(TEXT).slice(start, BLOCK).collect()):
        yield from block[TEXT].drop_nulls()
        start += BLOCK
