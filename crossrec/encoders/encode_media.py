"""Pictures or sounds -> vectors, by a model of them: de-duplicated, in batches."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch.nn.functional import normalize

from crossrec.data.columns import IMAGE
from crossrec.encoders.media_files import (
    DamagedError,
    MediaFiles,
    read_picture,
    read_sound,
    warn_of_damaged,
)
from crossrec.encoders.media_model import MediaModel

READERS = 4  # threads that decode while the network computes


def encode_media(
    files: MediaFiles, model: MediaModel, batch_size: int, max_seconds: float
) -> tuple[np.ndarray, np.ndarray]:
    """One vector of length 1 per item; it depends on the item's own file alone.

    Equal files are read once. A damaged one is named in a warning, and its items have none.

    Args:
        files: of the items.
        model: looks at them, or listens.
        batch_size: files at a time.
        max_seconds: the longest sound; of a longer one the middle is heard.

    Returns:
        vectors (items, d) float32, zero where there is no file; and the mask (items,) of items that
        have one; (items, 0) vectors if no file can be read.
    """
    found: dict[str, np.ndarray] = {}
    damaged: dict[Path, str] = {}
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_interactive)
    distinct = files.distinct
    with torch.inference_mode(), bar as progress:
        task = progress.add_task(f"{'encode-' + files.medium:<10}", total=len(distinct))
        read = reader_of(model, max_seconds)
        for digests, decoded in batches(distinct, read, batch_size, damaged):
            for rows in _alike(decoded):
                batch = [decoded[row] for row in rows]
                pooled = model.pooled(model.inputs(batch), _share(model, batch[0]))
                unit = normalize(pooled, dim=1).cpu().numpy()
                found |= {digests[row]: vector for row, vector in zip(rows, unit, strict=True)}
            progress.advance(task, batch_size)
    warn_of_damaged(files.medium, damaged)
    dim = len(next(iter(found.values()))) if found else 0
    mask = np.array([digest in found for digest in files.digests], dtype=bool)
    vectors = np.zeros((len(mask), dim), dtype=np.float32)
    for row, digest in enumerate(files.digests):
        if digest in found:
            vectors[row] = found[digest]
    return vectors, mask


def reader_of(model: MediaModel, max_seconds: float) -> Callable[[Path], Any]:
    """Reads a file as the model's processor takes it."""
    if model.medium == IMAGE:
        return read_picture
    rate: int = model.processor.sampling_rate
    return lambda path: read_sound(path, rate, max_seconds)


def batches(
    files: dict[str, Path],
    read: Callable[[Path], Any],
    batch_size: int,
    damaged: dict[Path, str],
) -> Iterator[tuple[list[str], list[Any]]]:
    """Digests and contents of files, batch by batch; the next one is read meanwhile.

    Args:
        files: path by digest.
        damaged: gets the files that cannot be read, and why.
    """

    def load(path: Path) -> Any:
        try:
            return read(path)
        except DamagedError as error:
            damaged[path] = str(error)
            return None

    digests = list(files)
    parts = [digests[start : start + batch_size] for start in range(0, len(digests), batch_size)]
    with ThreadPoolExecutor(READERS) as pool:
        waiting = [pool.submit(load, files[digest]) for digest in parts[0]] if parts else []
        for number, part in enumerate(parts):
            decoded = [future.result() for future in waiting]
            after = parts[number + 1] if number + 1 < len(parts) else []
            waiting = [pool.submit(load, files[digest]) for digest in after]
            good = [row for row, content in enumerate(decoded) if content is not None]
            yield [part[row] for row in good], [decoded[row] for row in good]


def _alike(decoded: list[Any]) -> list[list[int]]:
    """Rows in groups of sounds of equal length: without padding a sound's vector is its own.

    Pictures are one group: their processor gives them one size.
    """
    groups: dict[int, list[int]] = {}
    for row, content in enumerate(decoded):
        length = len(content) if isinstance(content, np.ndarray) else 0
        groups.setdefault(length, []).append(row)
    return list(groups.values())


def _share(model: MediaModel, content: Any) -> float:
    """How much of the input a sound fills where its extractor pads all to one length (Whisper)."""
    most = getattr(model.processor, "n_samples", None)
    return min(1.0, len(content) / most) if most and isinstance(content, np.ndarray) else 1.0
