"""What a stage makes, in a folder named by the stage and a hash of its inputs, whole or not at all.

An artifact is made in a temporary folder beside its place and renamed into it when it is complete,
so a killed process, a full disk or two runs at once leave either a whole artifact or none. What
two runs need at once is made by one, and the other waits for it.
"""

import errno
import hashlib
import json
import logging
import re
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from crossrec.cost import measured
from crossrec.errors import UserError
from crossrec.integrity import damage, fault, seal, sync
from crossrec.locking import discard, draft_of, lock, remove_drafts, remove_locks

LOG = logging.getLogger(__name__)
WAITS = "%-10s another process is making it: waiting"

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
        self._sound: set[Path] = set()

    def place(self, stage: str, inputs: Mapping[str, Any]) -> Path:
        """Where the artifact of a stage with these inputs lies, if it is there."""
        return self.folder / f"{stage}-{key_of(inputs)}"

    def get_or_make(
        self, stage: str, inputs: Mapping[str, Any], make: Callable[[Path], None]
    ) -> tuple[Path, bool]:
        """The artifact of a stage with these inputs, made now unless it is there.

        The first time that a store meets an artifact it reads every byte of it: one that is not
        what was written is named, and made again.

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
        place = self.place(stage, inputs)
        about = {"stage": stage, "inputs": inputs}
        try:
            reused = whole(place, about, make, self._sound, lambda: LOG.info(WAITS, stage))
        except Exception as error:
            complaint = write_failure(error, self.folder, "paths.artifacts")
            if complaint is None:
                raise
            raise UserError(complaint) from error
        return place, reused


def whole(
    place: Path,
    about: Mapping[str, Any],
    make: Callable[[Path], None],
    sound: set[Path],
    waits: Callable[[], None] = lambda: None,
) -> bool:
    """See to it that a folder is there, whole and as it was written; made now if it is not.

    Args:
        place: the folder; its parent is made.
        about: what its record says of it, plain values.
        make: writes its files into another, empty folder.
        sound: folders that have been read and found to be what was written; this one is added.
        waits: called once if another process is making it.

    Returns:
        Whether it was there already.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    remove_drafts(place.parent)
    remove_locks(place.parent)
    if _is_sound(place, sound):
        return True
    draft = draft_of(place)
    try:
        # Two runs that start together make what they share once.
        with lock(place.with_name(f".{place.name}.lock"), waits):
            if _is_sound(place, sound):
                return True
            if place.exists():
                LOG.warning("%s is damaged (%s): it is made again", place, damage(place))
            discard(draft)
            draft.mkdir()
            with measured() as cost:
                make(draft)
            seal(draft, {**about, **cost})
            _move_into(draft, place)
            sound.add(place)
    finally:
        discard(draft)
    return False


def _is_sound(place: Path, sound: set[Path]) -> bool:
    """Whether a folder is there and as it was written; its bytes are read once."""
    if fault(place) is not None:
        return False
    if place not in sound and damage(place) is None:
        sound.add(place)
    return place in sound


def _move_into(draft: Path, place: Path) -> None:
    """Rename into place; if another process was first and its folder is sound, keep that."""
    try:
        draft.rename(place)
    except OSError as error:
        if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        if damage(place) is None:
            return
        discard(place)
        draft.rename(place)
    sync(place.parent)


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
