"""Fetch a file once: with progress, resumed where it was cut off, checked, and never half there."""

import errno
import hashlib
import http.client
import os
import shutil
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import IO

from crossrec.errors import UserError
from crossrec.locking import lock

BLOCK_BYTES = 1 << 18


def fetch(
    url: str,
    destination: Path,
    sha256: str | None = None,
    md5: str | None = None,
    timeout: float = 5.0,
) -> Path:
    """Download a file unless it is already there.

    Bytes go to `NAME.part`, which a later call continues (HTTP Range); only a whole file whose
    checksum is right gets its name. `NAME.part.etag` remembers which version the part is of, so
    that halves of two versions are never joined. What another process fetches is waited for.

    Args:
        url: http or https.
        destination: the file to write; its folder is made.
        sha256: expected hexadecimal digest, if known.
        md5: expected hexadecimal digest, if known.
        timeout: seconds without an answer after which the server counts as unreachable.

    Returns:
        The destination.

    Raises:
        UserError: the server cannot be reached, does not have the file, or broke off; the disk is
            full; or the checksum is wrong (the part is then removed).
    """
    if destination.exists():
        return destination
    is_new = not destination.parent.exists()
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        # Two runs that need a file at once would write into the same part.
        with lock(destination.with_name(f".{destination.name}.lock"), lambda: None):
            if not destination.exists():
                _fetch(url, destination, sha256, md5, timeout)
    except OSError as error:
        raise UserError(f"cannot write {destination}: {error.strerror}") from error
    finally:
        if is_new and not destination.exists():
            with suppress(OSError):  # it is there for what another process fetches, or a part
                destination.parent.rmdir()
    return destination


def _fetch(
    url: str, destination: Path, sha256: str | None, md5: str | None, timeout: float
) -> None:
    part = destination.with_name(destination.name + ".part")
    etag = destination.with_name(destination.name + ".part.etag")
    try:
        _complete(url, part, etag, timeout)
    except urllib.error.HTTPError as error:
        raise UserError(
            f"cannot download {url}: the server says {error.code} {error.reason}"
        ) from (error)
    except urllib.error.URLError as error:
        raise UserError(f"cannot download {url}: {error.reason}") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise UserError(
            f"the download of {url} was cut off ({error or type(error).__name__}); run again to "
            f"continue it"
        ) from error
    except OSError as error:
        full = "the disk is full; " if error.errno == errno.ENOSPC else ""
        raise UserError(f"cannot write {part}: {full}{error.strerror}") from error
    for algorithm, expected in (("sha256", sha256), ("md5", md5)):
        if expected is not None and (found := digest(part, algorithm)) != expected.lower():
            part.unlink()
            etag.unlink(missing_ok=True)
            raise UserError(
                f"{url} has {algorithm} {found}, expected {expected}: the file was damaged or "
                f"changed on the way. Run again to fetch it afresh."
            )
    os.replace(part, destination)
    etag.unlink(missing_ok=True)


def _complete(url: str, part: Path, etag: Path, timeout: float) -> None:
    """Fetch what the part lacks."""
    version = etag.read_text() if etag.exists() else ""
    done = part.stat().st_size if part.exists() and version else 0
    headers = {"User-Agent": "crossrec"}
    if done:
        headers |= {"Range": f"bytes={done}-", "If-Range": version}
    request = urllib.request.Request(url, headers=headers)
    try:
        answer = urllib.request.urlopen(request, timeout=timeout)
    except urllib.error.HTTPError as error:
        if error.code != http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or not done:
            raise
        if error.headers.get("Content-Range") == f"bytes */{done}":
            return  # the part was whole already, only its name was missing
        part.unlink()
        _complete(url, part, etag, timeout)
        return
    with answer:
        if answer.status != http.HTTPStatus.PARTIAL_CONTENT:
            done = 0
        elif not answer.headers.get("Content-Range", "").startswith(f"bytes {done}-"):
            raise ConnectionError("the server sent another range than it was asked for")
        part.parent.mkdir(parents=True, exist_ok=True)
        # A weak validator (W/...) does not promise equal bytes, so such a part is not continued.
        version = answer.headers.get("ETag") or answer.headers.get("Last-Modified") or ""
        etag.write_text("" if version.startswith("W/") else version)
        length = answer.headers.get("Content-Length")
        total = done + int(length) if length is not None else None
        _check_space(part, total, done)
        with part.open("ab" if done else "wb") as file:
            _copy(answer, file, part.name.removesuffix(".part"), total, done)
        size = part.stat().st_size
        if total is not None and size != total:
            raise ConnectionError(f"{size:,} of {total:,} bytes came")


def _check_space(part: Path, total: int | None, done: int) -> None:
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - done > free:
        raise OSError(errno.ENOSPC, f"{total - done:,} bytes needed, {free:,} free")


def _copy(
    source: http.client.HTTPResponse, file: IO[bytes], name: str, total: int | None, done: int
) -> None:
    """Copy all bytes and show how far it is."""
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
        TransferSpeedColumn,
    )

    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        transient=True,
    ) as progress:
        task = progress.add_task(name, total=total, completed=done)
        while block := source.read(BLOCK_BYTES):
            file.write(block)
            progress.advance(task, len(block))
        file.flush()
        os.fsync(file.fileno())


def digest(path: Path, algorithm: str) -> str:
    """The hexadecimal digest of a file by an algorithm of hashlib ("sha256", "md5")."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
