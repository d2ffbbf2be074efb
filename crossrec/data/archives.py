"""Look into downloaded archives and take files out of them without being hurt by them.

Zip and tar (plain or gzip) are told apart by their first bytes. An archive is refused as a whole
if anything in it is suspicious: names that lead out of a folder, repeated names, links, devices,
encrypted or overlapping members, and bombs, that is, little data that unpacks to very much.
"""

import errno
import io
import os
import shutil
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from copy import copy
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, cast

from crossrec.data.inflate import MAX_RATIO, Inflating, is_bomb, is_gzip
from crossrec.errors import UserError
from crossrec.locking import discard, draft_of, remove_drafts

MAX_MEMBERS = 100_000
MAX_HEADER_BYTES = 1 << 20  # of one header in a tar
BLOCK_BYTES = 1 << 20

_TAR_BLOCK = 512
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)  # the others unpack without a bound
_LOCAL_HEADER = 30  # bytes before the name of a zip's member
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_DAMAGED = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    struct.error,
    EOFError,
    ValueError,
    ArithmeticError,
    LookupError,
    RuntimeError,
)

_Entry = tuple[str, int, Callable[[], IO[bytes]]]  # name, bytes, how to open it


def members(archive: Path) -> dict[str, int]:
    """The files in a zip, tar or tar.gz (not its folders) and their sizes in bytes.

    Raises:
        UserError: the archive is missing, of another kind, damaged, or not safe to unpack.
    """
    with _refusing(archive):
        return {name: size for name, size, _ in _entries(archive)}


def extract(archive: Path, member: str, target: Path) -> Path:
    """Write one file of an archive to `target`, which is whole or not there.

    Args:
        archive: a zip, tar or tar.gz.
        member: its name as `members` gives it.
        target: the file to write; its folder is made, and what it held is replaced.

    Returns:
        The target.

    Raises:
        UserError: as `members`; or there is no such member, or no room for it.
    """
    remove_drafts(target.parent)
    part = draft_of(target)
    names = []
    try:
        with _refusing(archive):
            for name, size, opener in _entries(archive):
                names.append(name)
                if name == member:
                    _write(archive, name, size, opener, part)
        if member not in names:
            held = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
            raise UserError(f"{archive} holds no {member}, but {held or 'no file'}")
        os.replace(part, target)
    except OSError as error:
        raise UserError(f"cannot write {target}: {error.strerror}") from error
    finally:
        with suppress(OSError):
            discard(part)
    return target


def _entries(archive: Path) -> Iterator[_Entry]:
    """All files, each to be opened before the next one is asked for; unsafe ones are refused."""
    with archive.open("rb") as file:
        start = file.read(4)
    held: set[str] = set()
    for name, size, opener in _zipped(archive) if start in _ZIP_STARTS else _tarred(archive):
        plain = str(PurePosixPath(name))
        if plain in held:
            raise _unsafe(archive, name, "its name occurs twice")
        if len(held) == MAX_MEMBERS:
            raise _unsafe(archive, name, f"there are more than {MAX_MEMBERS:,} files")
        held.add(plain)
        yield name, size, opener


def _zipped(archive: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(archive) as held:
        infos = sorted(held.infolist(), key=lambda info: info.header_offset)
        ends = [info.header_offset for info in infos[1:]] + [held.start_dir]
        for info, end in zip(infos, ends, strict=True):
            name = info.orig_filename
            _check_name(archive, name)
            if info.header_offset + _LOCAL_HEADER + info.compress_size > end:
                raise _unsafe(archive, name, "it overlaps with the next one")
            if info.create_system == 3 and stat.S_ISLNK(info.external_attr >> 16):  # 3: Unix
                raise _unsafe(archive, name, "it is a link")
            if info.flag_bits & 1:
                raise _unsafe(archive, name, "it is encrypted")
            if info.compress_type not in _METHODS:
                raise _unsafe(archive, name, "it is packed by another method than deflate")
            _check_ratio(archive, name, info.file_size, info.compress_size)
        total = sum(info.file_size for info in infos)
        _check_ratio(archive, "all files together", total, archive.stat().st_size)
        for info in infos:
            if not info.is_dir():
                longer = copy(info)  # so that a byte more than it promises would be seen
                longer.file_size += 1
                yield info.orig_filename, info.file_size, partial(held.open, longer)


def _tarred(archive: Path) -> Iterator[_Entry]:
    with (
        _Bounded(Inflating(archive) if is_gzip(archive) else io.FileIO(archive)) as file,
        tarfile.open(fileobj=file, mode="r:") as held,
    ):
        end = 0
        while info := held.next():
            _check_name(archive, info.name)
            if not (info.isreg() or info.isdir()) or info.issparse() or info.size < 0:
                raise _unsafe(
                    archive, info.name, "it is no plain file but a link, a device or sparse"
                )
            end = info.offset_data + -(-info.size // _TAR_BLOCK) * _TAR_BLOCK
            if info.isreg():
                yield info.name, info.size, partial(_opened, held, info)
        # tarfile takes a damaged header for the end; the real end is marked by zeros.
        file.seek(end)
        if file.read(_TAR_BLOCK) != bytes(_TAR_BLOCK):
            raise tarfile.ReadError(f"no member and no end at byte {end:,}")
        while file.read(BLOCK_BYTES):  # up to the checksum of the gzip file
            pass


def _opened(held: tarfile.TarFile, info: tarfile.TarInfo) -> IO[bytes]:
    return cast(IO[bytes], held.extractfile(info))  # None only for what is no file


class _Bounded(io.BufferedReader):
    """A file for `tarfile`, which reads any header, however large, in one piece."""

    def read(self, size: int | None = -1) -> bytes:
        """Raises tarfile.ReadError where more is asked for than a header may have."""
        if size is None or not 0 <= size <= MAX_HEADER_BYTES:
            raise tarfile.ReadError(f"a header of {size:,} bytes")
        return super().read(size)


def _write(
    archive: Path, name: str, size: int, opener: Callable[[], IO[bytes]], part: Path
) -> None:
    try:
        part.parent.mkdir(parents=True, exist_ok=True)
        if size > (free := shutil.disk_usage(part.parent).free):
            raise OSError(errno.ENOSPC, f"{size:,} bytes needed, {free:,} free on the disk")
        written = 0
        with opener() as source, part.open("wb") as file:
            while block := source.read(BLOCK_BYTES):
                written += len(block)
                if written > size:
                    break
                file.write(block)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise UserError(
            f"cannot unpack {name} of {archive} to {part}: {error.strerror or error}"
        ) from error
    if written != size:
        than = "more than" if written > size else f"{written:,} of"
        raise _unsafe(archive, name, f"it holds {than} the {size:,} bytes that it promises")


def _check_name(archive: Path, name: str) -> None:
    windows = PureWindowsPath(name)  # knows both kinds of slashes
    if windows.anchor or ".." in windows.parts or "\x00" in name:
        raise _unsafe(archive, name, "its path leads out of the folder")


def _check_ratio(archive: Path, name: str, unpacked: int, packed: int) -> None:
    if is_bomb(unpacked, packed):
        reason = f"{packed:,} bytes unpack to {unpacked:,}, over {MAX_RATIO} times as many"
        raise _unsafe(archive, name, reason)


def _unsafe(archive: Path, name: str, reason: str) -> UserError:
    return UserError(
        f"{archive} is refused because of {name!r}: {reason}. Delete the archive and fetch it "
        f"from its publisher, or unpack it by hand if you trust it."
    )


@contextmanager
def _refusing(archive: Path) -> Iterator[None]:
    """What goes wrong with the archive as one sentence."""
    try:
        yield
    except UserError:
        raise
    except _DAMAGED as error:
        kind = "zip" if archive.suffix == ".zip" else "zip, tar or tar.gz"
        raise UserError(
            f"{archive} is no whole {kind} file ({error}): delete it and fetch it again"
        ) from error
    except OSError as error:
        raise UserError(f"{archive} cannot be read: {error.strerror or error}") from error
