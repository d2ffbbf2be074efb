"""Locks between processes, which the system opens when their holder ends, and what kills leave."""

import errno
import fcntl
import os
import platform
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_OWNER = f".{platform.node()}"  # a process number means something on its own machine only
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # some network file systems


@contextmanager
def lock(file: Path, taken: Callable[[], None]) -> Iterator[None]:
    """Be the only process inside; where the file system knows no locks, be inside all the same.

    Args:
        file: made, and removed at the end; its folder exists.
        taken: called once if another process holds the lock, before it is waited for. What it
            raises ends the waiting.
    """
    held: list[int] = []
    try:
        _take(file, taken, held)
        yield
    finally:
        if held:
            file.unlink(missing_ok=True)
            os.close(held[0])
        else:  # interrupted on the way
            _remove_lock(file)


def _take(file: Path, taken: Callable[[], None], held: list[int]) -> None:
    """Lock the file that has this name at the end, and put its handle into `held`."""
    told = False
    while not held:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not told:
                    taken()
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            except OSError as error:
                if error.errno not in _NO_LOCKS:
                    raise
                held.append(handle)
                return
            with suppress(FileNotFoundError):
                # Who held it has removed the file that was waited for; a newer one may be there.
                if os.path.samestat(os.fstat(handle), file.stat()):
                    held.append(handle)
        finally:
            if not held:
                os.close(handle)


def draft_of(place: Path) -> Path:
    """Where this process writes what is renamed to `place` once it is whole."""
    return place.with_name(f".{place.name}{_OWNER}.{os.getpid()}.tmp")


def remove_drafts(folder: Path) -> None:
    """Remove drafts of this machine's processes that are no more."""
    for draft in folder.glob(f".*{_OWNER}.*.tmp"):
        process = draft.name.split(".")[-2]
        if process.isdigit() and not _alive(int(process)):
            discard(draft)


def remove_locks(folder: Path) -> None:
    """Remove locks that nobody holds: those of processes that were killed."""
    for file in folder.glob(".*.lock"):
        _remove_lock(file)


def _remove_lock(file: Path) -> None:
    with suppress(OSError):  # held by somebody, or gone by now
        handle = os.open(file, os.O_RDWR)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(handle), file.stat()):
                file.unlink()
        finally:
            os.close(handle)


def discard(draft: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if draft.is_dir():
        shutil.rmtree(draft, ignore_errors=True)
    else:
        draft.unlink(missing_ok=True)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
