"""Locks between processes: files that the system unlocks when their holder ends, even by a kill."""

import errno
import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)  # some network file systems


@contextmanager
def lock(file: Path, taken: Callable[[], None]) -> Iterator[None]:
    """Be the only process inside; where the file system knows no locks, be inside all the same.

    Args:
        file: made, and removed at the end; its folder exists.
        taken: called once if another process holds the lock, before it is waited for. What it
            raises ends the waiting.
    """
    handle = _take(file, taken)
    try:
        yield
    finally:
        file.unlink(missing_ok=True)
        os.close(handle)


def _take(file: Path, taken: Callable[[], None]) -> int:
    told = False
    while True:
        handle = os.open(file, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            try:
                if not told:
                    taken()
                told = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            except BaseException:
                os.close(handle)
                raise
        except OSError as error:
            if error.errno in _NO_LOCKS:
                return handle
            os.close(handle)
            raise
        with suppress(FileNotFoundError):
            # Whoever held it has removed the file that was waited for; a newer one may be there.
            if os.path.samestat(os.fstat(handle), file.stat()):
                return handle
        os.close(handle)
