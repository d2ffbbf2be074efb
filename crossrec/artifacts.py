"""What a stage makes, in a folder named by the stage and a hash of its inputs, whole or not at all.

An artifact is made in a temporary folder beside its place and renamed into it when it is complete,
so a killed process, a full disk or two runs at once leave either a whole artifact or none. What
two runs need at once is made by one, and the other waits for it.
"""

import errno
import hashlib
import json
import logging
import os
import platform
import re
import shutil
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossrec.cost import measured
from crossrec.errors import UserError
from crossrec.locking import lock

RECORD = "artifact.json"
LOG = logging.getLogger(__name__)
WAITS = "%-10s another process is making it: waiting"
_OWNER = f".{platform.node()}"  # a process number means something on its own machine only

_FULL = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "the disk quota is used up",
    errno.EFBIG: "a file grew beyond the allowed size",
}
_CLOSED = {
    errno.EACCES: "permission is denied",
    errno.EPERM: "permission is denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOTDIR: "a file stands where a folder should",
    errno.EEXIST: "a file stands where a folder should",
}


class ArtifactStore:
    """Artifacts of all stages in one folder, which runs and processes may share."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get_or_make(
        self, stage: str, inputs: Mapping[str, Any], make: Callable[[Path], None]
    ) -> tuple[Path, bool]:
        """The artifact of a stage with these inputs, made now unless it is there.

        Args:
            stage: what makes it ("encode"); begins the folder's name.
            inputs: all that the result depends on, as str, int, float, bool, None, list or dict.
            make: writes the artifact's files into the (empty) folder that it is given.

        Returns:
            The folder, and whether it was there already.

        Raises:
            TypeError: `inputs` holds something else.
            UserError: the folder cannot be written, or the disk is full.
        """
        name = f"{stage}-{key_of(inputs)}"
        place = self.folder / name
        if _fault(place) is None:
            return place, True
        partial = self.folder / f".{name}{_OWNER}.{os.getpid()}.tmp"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._clean_up()
            # Two runs that start together make what they share once.
            with lock(self.folder / f".{name}.lock", lambda: LOG.info(WAITS, stage)):
                fault = _fault(place)
                if fault is None:
                    return place, True
                if place.exists():
                    LOG.warning("artifact %s is damaged (%s): it is made again", place, fault)
                shutil.rmtree(partial, ignore_errors=True)
                partial.mkdir()
                with measured() as cost:
                    make(partial)
                _seal(partial, stage, inputs, cost)
                self._move_into(partial, place)
        except Exception as error:
            complaint = write_failure(error, self.folder, "paths.artifacts")
            if complaint is None:
                raise
            raise UserError(complaint) from error
        finally:
            shutil.rmtree(partial, ignore_errors=True)
        return place, False

    def _move_into(self, partial: Path, place: Path) -> None:
        """Rename into place; if another process was first and its artifact is whole, keep that."""
        try:
            partial.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
            if _fault(place) is None:
                return
            shutil.rmtree(place, ignore_errors=True)
            partial.rename(place)
        _sync(self.folder)

    def _clean_up(self) -> None:
        """Remove temporary folders of this machine's processes that are no more."""
        for folder in self.folder.glob(f".*{_OWNER}.*.tmp"):
            process = folder.name.split(".")[-2]
            if process.isdigit() and not _alive(int(process)):
                shutil.rmtree(folder, ignore_errors=True)


def write_failure(error: Exception, folder: Path, key: str) -> str | None:
    """What the user can do about a failed write; None if the error is something else.

    Args:
        error: from anywhere in the writing.
        folder: what was written to.
        key: the setting that says where the folder is.
    """
    number: int | None = getattr(error, "errno", None)
    # Writers in Rust (parquet, safetensors) leave the number in the text alone.
    in_text = re.search(r"\(os error (\d+)\)", str(error))
    if number is None and in_text:
        number = int(in_text[1])
    file = Path(getattr(error, "filename", None) or folder)
    if number in _CLOSED and not file.is_relative_to(folder):
        return None
    reason = (_FULL | _CLOSED).get(number or 0)
    if reason is None:
        return None
    existing = next(up for up in [file.absolute(), *file.absolute().parents] if up.exists())
    return (
        f"cannot write {file}: {reason} ({shutil.disk_usage(existing).free:,} bytes are free "
        f"there). Nothing half-made was kept: make room, or set {key} to another folder, and run "
        "again; finished stages are reused"
    )


def key_of(inputs: Mapping[str, Any]) -> str:
    """16 hex digits of the sha256 of the inputs as canonical JSON; the order of keys is nothing.

    Raises:
        TypeError: a value that is not plain, or a key that is not a string.
    """
    _check_plain(inputs, "inputs")
    text = json.dumps(inputs, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def check(artifact: Path) -> None:
    """Looks at the names and sizes of an artifact's files.

    Raises:
        UserError: it is not there, or a file is missing or not as long as what was written.
    """
    fault = _fault(artifact) if artifact.is_dir() else "there is no such folder"
    if fault is not None:
        raise UserError(f"artifact {artifact} cannot be used: {fault}")


def verify(artifact: Path) -> None:
    """Reads every file of an artifact and holds it against its checksum.

    Raises:
        UserError: a file is missing or is not what was written; names it.
    """
    fault = _fault(artifact)
    if fault is None:
        record = json.loads((artifact / RECORD).read_text())
        changed = [
            name
            for name, entry in record["files"].items()
            if _checksum(artifact / name) != entry["sha256"]
        ]
        fault = f"{changed[0]} is not what was written" if changed else None
    if fault is not None:
        raise UserError(f"artifact {artifact} is damaged: {fault}; delete it and run again")


def code_digest(*packages: Path) -> str:
    """16 hex digits over the Python and YAML sources below the given folders or files.

    An input of every stage, so that a changed model file also changes what it made. Names count
    relative to each folder: where the checkout lies makes no difference.

    Raises:
        FileNotFoundError: a path does not exist.
    """
    digest = hashlib.sha256()
    for package in packages:
        if not package.exists():
            raise FileNotFoundError(f"no code at {package}")
        files = [package] if package.is_file() else sorted(package.rglob("*"))
        for file in files:
            if file.suffix in (".py", ".yaml") and file.is_file():
                name = file.relative_to(package.parent).as_posix()
                content = file.read_bytes()
                digest.update(f"{name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _check_plain(value: object, where: str) -> None:
    if value is None or isinstance(value, str | int | float | bool):
        return
    if isinstance(value, dict):
        for key, inner in value.items():
            if not isinstance(key, str):
                raise TypeError(f"{where} has the key {key!r}, which is not a string")
            _check_plain(inner, f"{where}[{key!r}]")
    elif isinstance(value, list):
        for place, inner in enumerate(value):
            _check_plain(inner, f"{where}[{place}]")
    else:
        raise TypeError(f"{where} is a {type(value).__name__}; an artifact's inputs are plain JSON")


def _seal(folder: Path, stage: str, inputs: Mapping[str, Any], cost: Mapping[str, Any]) -> None:
    """Flush what was made, then write the record, the last file of all."""
    files = {}
    for file in sorted(path for path in folder.rglob("*") if path.is_file()):
        _sync(file)
        files[file.relative_to(folder).as_posix()] = {
            "bytes": file.stat().st_size,
            "sha256": _checksum(file),
        }
    record = {
        "stage": stage,
        "inputs": inputs,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        **cost,
        "files": files,
    }
    with (folder / RECORD).open("w") as stream:
        stream.write(json.dumps(record, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    _sync(folder)


def _fault(artifact: Path) -> str | None:
    """What a look at names and sizes finds wrong, or None."""
    try:
        record = json.loads((artifact / RECORD).read_text())
        sizes = {name: entry["bytes"] for name, entry in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{RECORD} is missing or unreadable"
    for name, size in sizes.items():
        file = artifact / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes, {size:,} were written"
    return None


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _sync(path: Path) -> None:
    """Ask the system to have a file or folder on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
