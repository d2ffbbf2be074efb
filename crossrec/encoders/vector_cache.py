"""Vectors of texts on disk, so that a text is read once by the same model in the same way.

A folder of segments, each written once, whole, under a name that is its content's SHA-256, and
renamed into place: two processes may add at the same time, and one that is killed leaves at most a
draft that is never read, and that the next one removes. Segments are memory-mapped; a damaged one
counts as absent.
"""

import hashlib
import logging
import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from crossrec.locking import discard, draft_of, remove_drafts

log = logging.getLogger(__name__)
DIGEST_BYTES = 16


class VectorCache:
    """Vectors (d,) float32 by text, for one model and one way of reading.

    Args:
        folder: of the segments, made when the first one is added.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def look_up(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Those of the texts that are known, as positions (n,), and their vectors (n, d)."""
        wanted = _digests(texts).view(f"S{DIGEST_BYTES}")[:, 0]
        missing = np.arange(len(texts))
        places, vectors = [np.empty(0, dtype=np.int64)], []
        for file in sorted(self.folder.glob("*.safetensors")):
            if not len(missing):
                break
            if not _is_whole(file):
                log.warning("%s is damaged: its texts are encoded again", file)
                continue
            with safe_open(file, framework="numpy") as segment:
                known = segment.get_tensor("digests").view(f"S{DIGEST_BYTES}")[:, 0]
                order = np.argsort(known)
                at = np.searchsorted(known, wanted[missing], sorter=order)
                row = order[np.minimum(at, len(known) - 1)]
                hit = known[row] == wanted[missing]
                if hit.any():
                    places.append(missing[hit])
                    vectors.append(segment.get_tensor("vectors")[row[hit]])
                    missing = missing[~hit]
        found = np.concatenate(vectors) if vectors else np.empty((0, 0), dtype=np.float32)
        return np.concatenate(places), found

    def add(self, texts: Sequence[str], vectors: np.ndarray) -> None:
        """Keep the vectors (len(texts), d) of texts, one or more.

        Raises:
            OSError: the folder cannot be written, or the disk is full.
        """
        content = save({"digests": _digests(texts), "vectors": np.ascontiguousarray(vectors)})
        self.folder.mkdir(parents=True, exist_ok=True)
        place = self.folder / f"{hashlib.sha256(content).hexdigest()}.safetensors"
        remove_drafts(self.folder)
        draft = draft_of(place)
        try:
            with draft.open("wb") as stream:
                stream.write(content)
                stream.flush()
                os.fsync(stream.fileno())
            draft.replace(place)
        finally:
            discard(draft)


def _digests(texts: Sequence[str]) -> np.ndarray:
    """(len(texts), 16) bytes of each text's SHA-256."""
    whole = b"".join(hashlib.sha256(text.encode()).digest()[:DIGEST_BYTES] for text in texts)
    return np.frombuffer(whole, dtype=np.uint8).reshape(-1, DIGEST_BYTES)


def _is_whole(file: Path) -> bool:
    """Whether a segment's content is what its name says."""
    with file.open("rb") as stream:
        if hashlib.file_digest(stream, "sha256").hexdigest() != file.stem:
            return False
    try:
        with safe_open(file, framework="numpy") as segment:
            return len(segment.get_tensor("digests")) > 0
    except SafetensorError:
        return False
