"""A file, plain or gzip, as blocks of whole lines, within a bounded memory whatever it holds."""

import io
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import BinaryIO, cast

from crossrec.data.inflate import Inflating, is_gzip
from crossrec.errors import UserError

BLOCK_BYTES = 1 << 22
LINE_BYTES = 1 << 22  # a longer line is malformed; the longest in public data sets have some 500 kB

_SHOWN_BYTES = 100  # of a line that is too long
_WIDE_MARKS = (b"\xff\xfe", b"\xfe\xff", b"\x00\x00\xfe\xff")  # of UTF-16 and UTF-32


class TooLong(bytes):
    """The beginning of a line that is too long to be read, in the place of its block."""


def blocks_ahead(path: Path) -> Iterator[bytes]:
    """The blocks of a file, the next one being fetched by a thread while one is used."""
    coming = blocks(path)
    with ThreadPoolExecutor(max_workers=1) as thread:
        fetched = thread.submit(next, coming, b"")
        while block := fetched.result():
            fetched = thread.submit(next, coming, b"")
            yield block


def blocks(path: Path) -> Iterator[bytes]:
    """Blocks of whole lines, each ending in a newline; a mark of the encoding is left out.

    Raises:
        UserError: the file is missing, empty, truncated, damaged, a bomb, or UTF-16.
    """
    try:
        with _open(path) as file:
            yield from _whole_lines(_checked(path, file))
    except EOFError as error:
        raise UserError(
            f"{path} ends early: the gzip file is truncated, probably by an interrupted download. "
            f"Delete it and fetch it again."
        ) from error
    except zlib.error as error:
        raise UserError(f"{path} is damaged ({error}). Delete it and fetch it again.") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[bytes]:
    rest = b""  # the beginning of a line
    skipping = False  # until the end of a line that is too long
    for piece in pieces:
        first = piece.find(b"\n")
        if skipping and first < 0:
            continue
        if not skipping and len(rest) + (first if first >= 0 else len(piece)) > LINE_BYTES:
            yield TooLong((rest + piece[:_SHOWN_BYTES])[:_SHOWN_BYTES] + b"\n")
            rest, skipping = b"", True
        if skipping:
            if first < 0:
                continue
            piece, skipping = piece[first + 1 :], False
        end = piece.rfind(b"\n") + 1
        if end:
            yield b"".join((rest, memoryview(piece)[:end]))
            rest = piece[end:]
        else:
            rest += piece
    if rest:
        yield rest + b"\n"


def _checked(path: Path, file: BinaryIO) -> Iterator[bytes]:
    """The content in pieces of the size of a block."""
    piece = file.read(BLOCK_BYTES).removeprefix(b"\xef\xbb\xbf")
    if not piece:
        raise UserError(f"{path} is empty. Fetch it again, or remove it.")
    start = piece[:_SHOWN_BYTES]
    if start.startswith(_WIDE_MARKS) or start.count(b"\0") * 3 >= len(start):
        raise UserError(
            f"{path}, line 1: expected UTF-8 text, found UTF-16, UTF-32 or no text at all "
            f"({start[:8]!r}). Convert the file to UTF-8 (for example with iconv) or fetch it "
            f"again."
        )
    while piece:
        yield piece
        piece = file.read(BLOCK_BYTES)


def _open(path: Path) -> BinaryIO:
    if is_gzip(path):
        return cast(BinaryIO, io.BufferedReader(Inflating(path)))
    return path.open("rb")
