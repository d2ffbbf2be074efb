"""Read gzip files, but no bombs: little data that unpacks to very much."""

import io
import os
import zlib
from pathlib import Path
from typing import Any

from crossrec.errors import UserError

MAX_RATIO = 200  # unpacked to packed bytes; text has 3 to 20, deflate can reach 1,032
FREE_BYTES = 1 << 26  # so much may be unpacked at any ratio

_PACKED_BYTES = 1 << 17
_STEP_BYTES = 1 << 18
_GZIP = 16 + zlib.MAX_WBITS  # zlib then checks the header, the checksum and the length


def is_gzip(path: Path) -> bool:
    """Whether a file starts as gzip files do. Raises OSError if it cannot be read."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def is_bomb(unpacked: int, packed: int) -> bool:
    """Whether so many bytes are too many to come out of `packed` bytes."""
    return unpacked > max(FREE_BYTES, MAX_RATIO * packed)


class Inflating(io.RawIOBase):
    """The bytes in a gzip file, as a stream in which one can seek. Put a BufferedReader around it.

    Reading raises UserError if the file is a bomb, EOFError if it ends early, and zlib.error if it
    is damaged. Unpacks larger pieces than `gzip.GzipFile`, which takes a seventh less time.
    """

    def __init__(self, path: Path) -> None:
        self._file = path.open("rb")
        self._rewind()

    def _rewind(self) -> None:
        self._file.seek(0)
        self._given = 0
        self._packed = self._file.read(_PACKED_BYTES)  # what is not unpacked yet
        self._member = zlib.decompressobj(_GZIP)

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes, at the cost of unpacking up to there."""
        return True

    def tell(self) -> int:
        """How many bytes were given."""
        return self._given

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a byte counted from the start or from here."""
        offset += self._given if whence == os.SEEK_CUR else 0
        if offset < self._given:
            self._rewind()
        while self._given < offset and self.read(min(offset - self._given, _STEP_BYTES)):
            pass
        return self._given

    def readinto(self, buffer: Any) -> int:
        """Unpack into a buffer; 0 at the end."""
        block = b""
        while not block and not (self._member.eof and self._at_end()):
            block = self._member.decompress(self._packed, len(buffer))
            self._packed = self._member.unconsumed_tail
            if not (block or self._packed or self._member.eof):
                self._packed = self._file.read(_PACKED_BYTES)
                if not self._packed:
                    raise EOFError("the last member has no end")
        buffer[: len(block)] = block
        self._given += len(block)
        packed = self._file.tell() - len(self._packed)
        if is_bomb(self._given, packed):
            raise UserError(
                f"{self._file.name} is refused: its first {packed:,} bytes unpack to more than "
                f"{self._given:,}, over {MAX_RATIO} times as many, which no real data does. Delete "
                f"it and fetch it from its publisher."
            )
        return len(block)

    def _at_end(self) -> bool:
        """Whether no other member follows the one that was read; zeros may."""
        rest = self._member.unused_data
        while not (rest := rest.lstrip(b"\0")):
            if not (rest := self._file.read(_PACKED_BYTES)):
                return True
        self._packed = rest
        self._member = zlib.decompressobj(_GZIP)
        return False

    def close(self) -> None:
        """Close the file."""
        self._file.close()
        super().close()
