"""Folders that say what they hold: a record of sizes and checksums, and what it finds wrong."""

import hashlib
import json
import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from crossrec.errors import UserError

RECORD = "artifact.json"


def seal(folder: Path, about: Mapping[str, Any]) -> None:
    """Flush what a folder holds, then write its record, the last file of all.

    Args:
        about: what else the record says, plain values.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    for path in paths:
        sync(path)
    sums = _checksums(paths)
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": checksum}
        for path, checksum in zip(paths, sums, strict=True)
    }
    record = {
        **about,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "files": files,
    }
    with (folder / RECORD).open("w") as stream:
        stream.write(json.dumps(record, indent=1) + "\n")
        stream.flush()
        os.fsync(stream.fileno())
    sync(folder)


def fault(folder: Path) -> str | None:
    """What a look at names and sizes finds wrong with a sealed folder, or None."""
    try:
        record = json.loads((folder / RECORD).read_text())
        sizes = {name: entry["bytes"] for name, entry in record["files"].items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return f"{RECORD} is missing or unreadable"
    for name, size in sizes.items():
        file = folder / name
        if not file.is_file():
            return f"{name} is missing"
        if file.stat().st_size != size:
            return f"{name} has {file.stat().st_size:,} bytes, {size:,} were written"
    return None


def damage(folder: Path) -> str | None:
    """What reading every byte of a sealed folder finds wrong, or None.

    Takes about a second a gigabyte and thread; what is read is in the system's cache afterwards.
    """
    found = fault(folder)
    if found is not None:
        return found
    try:
        files = json.loads((folder / RECORD).read_text())["files"]
        sums = _checksums([folder / name for name in files])
        for (name, entry), checksum in zip(files.items(), sums, strict=True):
            if entry["sha256"] != checksum:
                return f"{name} is not what was written (its checksum is another)"
    except OSError as error:
        return f"{Path(error.filename or folder).name} cannot be read ({error.strerror})"
    except KeyError:
        return f"{RECORD} is missing or unreadable"
    return None


def check(folder: Path) -> None:
    """Hold every byte of a sealed folder against its record.

    Raises:
        UserError: it is not there, or a file is missing or is not what was written; names it.
    """
    found = damage(folder) if folder.is_dir() else "there is no such folder"
    if found is not None:
        raise UserError(f"artifact {folder} cannot be used: {found}")


def sync(path: Path) -> None:
    """Ask the system to have a file or folder on disk before going on."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _checksums(files: list[Path]) -> list[str]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:
        return list(pool.map(_checksum, files))


def _checksum(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
