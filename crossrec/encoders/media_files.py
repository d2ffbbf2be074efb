"""The pictures and sounds of items: where their files are, and what is in them."""

import hashlib
import logging
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from crossrec.data.columns import AUDIO, IMAGE
from crossrec.errors import UserError

log = logging.getLogger(__name__)
MEDIA = (IMAGE, AUDIO)
"""The modalities that files hold, by the column of items that names the files."""
NAMED = 3  # damaged files that a warning names


class DamagedError(Exception):
    """A file that is no picture or sound; its text says why."""


@dataclass(frozen=True)
class MediaFiles:
    """The files of some items, one row an item.

    Attributes:
        medium: "image" or "audio".
        paths: None where the item has no file here.
        digests: SHA-256 of each file, hexadecimal, None where there is none.
        missing: why the others have none, in words -> how many.
    """

    medium: str
    paths: list[Path | None]
    digests: list[str | None]
    missing: dict[str, int]

    @property
    def n_items(self) -> int:
        """How many items have a file."""
        return sum(path is not None for path in self.paths)

    @property
    def distinct(self) -> dict[str, Path]:
        """One path for each content, by digest, in the order of items."""
        found: dict[str, Path] = {}
        for digest, path in zip(self.digests, self.paths, strict=True):
            if digest is not None and path is not None:
                found.setdefault(digest, path)
        return found

    def key(self) -> str:
        """SHA-256 over what every item has."""
        return hashlib.sha256("\n".join(map(str, self.digests)).encode()).hexdigest()


def find_files(
    medium: str, references: Sequence[str | None], folders: Sequence[Sequence[Path]]
) -> MediaFiles:
    """Look for the files that items name.

    Args:
        medium: "image" or "audio".
        references: what each item's column says: a path, absolute or relative to one of its
            folders, or several of them joined by a space, of which the first that is a file counts.
            Web addresses are not fetched.
        folders: of each item, those where a relative path may begin, the first with such a file
            counts.
    """
    paths: list[Path | None] = []
    missing = {"name no file": 0, "name a web address": 0, "name a file that is not there": 0}
    for reference, places in zip(references, folders, strict=True):
        path = _first_file(reference, places) if reference else None
        if path is None:
            web = reference is not None and reference.startswith(("http://", "https://"))
            reason = "name no file" if not reference else "name a file that is not there"
            missing["name a web address" if web else reason] += 1
        paths.append(path)
    digests = {path: _digest(path) for path in dict.fromkeys(paths) if path is not None}
    return MediaFiles(
        medium,
        paths,
        [digests[path] if path is not None else None for path in paths],
        {reason: n for reason, n in missing.items() if n},
    )


def check_found(files: MediaFiles, places: str) -> None:
    """Say how many items lack a file; refuse a catalog in which all do.

    Args:
        places: where files were looked for, in words.

    Raises:
        UserError: names the column, and what was found in it.
    """
    reasons = ", ".join(f"{n:,} {reason}" for reason, n in files.missing.items())
    if files.n_items == 0:
        raise UserError(
            f"content has {files.medium}, but no item has such a file ({reasons or 'no items'}). "
            f"Expected a column {files.medium!r} of items with paths of files, absolute or "
            f"relative to {places}; or leave {files.medium} out of content=[...]"
        )
    kind = "pictures" if files.medium == IMAGE else "sounds"
    of_all = f"{files.n_items:,} of {len(files.paths):,} items"
    log.info("           %s of %s%s", kind, of_all, f" ({reasons})" if reasons else "")


def warn_of_damaged(medium: str, damaged: dict[Path, str]) -> None:
    """Name files that could not be read; their items count as items without one."""
    if not damaged:
        return
    named = "; ".join(f"{path}: {why}" for path, why in list(damaged.items())[:NAMED])
    more = f", and {len(damaged) - NAMED:,} more" if len(damaged) > NAMED else ""
    log.warning(
        "%s: %s damaged files count as missing (%s%s)", medium, f"{len(damaged):,}", named, more
    )


def read_picture(path: Path) -> Any:
    """The picture of a file, RGB and upright, as Pillow has it.

    Raises:
        DamagedError: it is no picture that Pillow can read.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            return ImageOps.exif_transpose(picture).convert("RGB")
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DamagedError(" ".join(str(error).split())) from error


def read_sound(path: Path, rate: int, seconds: float) -> np.ndarray:
    """(samples,) float32 within -1 .. 1: the middle of a sound, mixed to one channel.

    WAV is read by SciPy, all else by soundfile, if that is installed.

    Args:
        rate: samples a second that are wanted.
        seconds: the longest sound; of a longer one the middle is kept.

    Raises:
        DamagedError: it is no sound that can be read.
        UserError: it is no WAV, and soundfile is not installed.
    """
    samples, own_rate = _read_wav(path) if path.suffix.lower() == ".wav" else _read_other(path)
    most = round(seconds * own_rate)
    start = max(0, (len(samples) - most) // 2)
    samples = samples[start : start + most].mean(axis=1)
    if len(samples) == 0:
        raise DamagedError("it holds no samples")
    if own_rate != rate:
        from scipy.signal import resample_poly

        common = np.gcd(own_rate, rate)
        samples = resample_poly(samples, rate // common, own_rate // common)
    return samples.astype(np.float32)


def _read_wav(path: Path) -> tuple[np.ndarray, int]:
    """(samples, channels) within -1 .. 1, and samples a second."""
    from scipy.io import wavfile

    try:
        rate, samples = wavfile.read(path)
    except (OSError, ValueError, EOFError, struct.error) as error:
        raise DamagedError(" ".join(str(error).split())) from error
    samples = samples if samples.ndim == 2 else samples[:, None]
    if samples.dtype == np.uint8:
        return (samples.astype(np.float64) - 128) / 128, rate
    if np.issubdtype(samples.dtype, np.integer):
        return samples / float(np.iinfo(samples.dtype).max + 1), rate
    return samples.astype(np.float64), rate


def _read_other(path: Path) -> tuple[np.ndarray, int]:
    try:
        import soundfile
    except ImportError as error:
        raise UserError(
            f"{path}: reading {path.suffix} needs a package: run `pip install soundfile`, or give "
            "sounds as .wav"
        ) from error
    try:
        samples, rate = soundfile.read(path, dtype="float64", always_2d=True)
    except (OSError, RuntimeError) as error:  # LibsndfileError is a RuntimeError
        raise DamagedError(" ".join(str(error).split())) from error
    return samples, rate


def _first_file(reference: str, places: Sequence[Path]) -> Path | None:
    for name in dict.fromkeys((reference, *reference.split(" "))):
        for place in places:
            path = place / name  # an absolute name stays what it is
            if name and path.is_file():
                return path
    return None


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
