"""Content vectors of two catalogs: one safetensors file a modality, and all modalities together.

What an item lacks is a block of zeros. Several modalities stand side by side, c = [c_1, ..., c_M],
and an item's blocks are divided by the root of how many it has: vectors have length 1 on average
whatever an item lacks, and what it lacks adds nothing.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from torch import Tensor

from crossrec.encoders.encode import encode, longest_text
from crossrec.encoders.language_model import LanguageModel
from crossrec.encoders.whitening import VectorMap, fit_map
from crossrec.errors import UserError

FILE = "content.safetensors"
READING = "reading.json"
"""How long a text was read, for items that come later."""


@dataclass(frozen=True)
class Content:
    """Content vectors of both catalogs, (n_items, d_c) each, or None without an encoder.

    Attributes:
        artifact: names of the folders that they were read from.
        blocks: sizes of the modalities' blocks, in their order; they sum to d_c. Empty where the
            vectors are one block.
        fusion: how a model reads several blocks, see `models.fusion.fuse`.
    """

    source: Tensor | None
    target: Tensor | None
    artifact: str | None
    blocks: tuple[int, ...] = ()
    fusion: str = "concatenate"

    def of_target(self, with_source: bool) -> Tensor | None:
        """Vectors of the target's items and, where histories hold them, of the source's."""
        if self.source is None or self.target is None or not with_source:
            return self.target
        return torch.cat([self.target, self.source])


def write_content(
    folder: Path,
    texts: Sequence[Sequence[str | None]],
    learned: Sequence[np.ndarray],
    language_model: LanguageModel,
    whitening: str,
    whiten_dim: int | None,
    max_length: int | str,
    batch_tokens: int | None,
    dtype: str,
    device: str,
    prefix: str | None = None,
    layers: Sequence[int] = (-1,),
    workers: int = 1,
    cache: Path | None = None,
    vector_map: VectorMap | None = None,
) -> None:
    """Encode the texts of both catalogs, so that vectors have length 1 on average.

    Whitening, if any, and the length are fitted on both catalogs together: one space for both
    domains. Both are one affine map, which is written beside the vectors.

    Args:
        folder: where to write.
        texts: of the source's items and of the target's; None where an item has none.
        learned: (items,) bool for each catalog: the items that may be fitted on, those in train.
        language_model: the encoder.
        whitening, whiten_dim: kind and dim of `fit_map`; the rest is as in `encode`.
        vector_map: to take in place of a fitted one.
        max_length: or "auto", what 99% of the texts in train fit into.

    Raises:
        UserError: no item that may be fitted on has text.
    """
    source, target = texts
    read = [
        text
        for catalog, mask in zip(texts, learned, strict=True)
        for text, seen in zip(catalog, mask.tolist(), strict=True)
        if text is not None and seen
    ]
    if not read and vector_map is None:
        raise UserError(
            "no item in train of either domain has text for the language model to read (a title, "
            "categories or keywords): use encoder=none"
        )
    if isinstance(max_length, str):
        max_length = longest_text(read, language_model.folder, prefix)
    vectors, mask = encode(
        [*source, *target],
        language_model.folder,
        language_model.pooling,
        max_length=max_length,
        batch_tokens=batch_tokens,
        device=device,
        dtype=dtype,
        prefix=prefix,
        layers=layers,
        workers=workers,
        cache=cache,
    )
    (folder / READING).write_text(json.dumps({"max_length": max_length}) + "\n")
    save_vectors(folder, vectors, mask, learned, whitening, whiten_dim, vector_map)


def save_vectors(
    folder: Path,
    vectors: np.ndarray,
    mask: np.ndarray,
    learned: Sequence[np.ndarray],
    whitening: str,
    whiten_dim: int | None,
    vector_map: VectorMap | None = None,
) -> None:
    """Whiten vectors, scale them to length 1 on average, and write them, for `read_content`.

    Args:
        folder: where to write.
        vectors: (items, d) of the source's items, then of the target's.
        mask: (items,) of those that have one; at least one of them may be fitted on.
        learned: (items,) bool for each catalog: the items that may be fitted on, those in train.
        whitening, whiten_dim: kind and dim of `fit_map`.
        vector_map: to take in place of a fitted one.
    """
    if vector_map is None:
        fitted = mask & np.concatenate(learned)
        vector_map = fit_map(vectors[fitted], whitening, whiten_dim)
        vector_map = vector_map.of_mean_length_one(vectors[fitted])
    parts = np.split(vector_map(vectors, mask), [len(learned[0])])
    written = dict(zip(("source", "target"), parts, strict=True))
    save_file({**written, **vars(vector_map)}, folder / FILE)


def encode_later(
    folder: Path,
    texts: Sequence[str],
    language_model: LanguageModel,
    batch_tokens: int | None,
    dtype: str,
    device: str,
    prefix: str | None = None,
    layers: Sequence[int] = (-1,),
) -> Tensor:
    """(len(texts), d_c) vectors of items that came later, as `write_content` would have made them.

    Args:
        folder: what `write_content` wrote, with the same language model and options.
    """
    vectors, mask = encode(
        texts,
        language_model.folder,
        language_model.pooling,
        max_length=json.loads((folder / READING).read_text())["max_length"],
        batch_tokens=batch_tokens,
        device=device,
        dtype=dtype,
        prefix=prefix,
        layers=layers,
    )
    return torch.from_numpy(read_map(folder)(vectors, mask))


def read_map(folder: Path) -> VectorMap:
    """The map that the vectors of a folder went through."""
    written = load_file(folder / FILE)
    return VectorMap(written["mean"], written["matrix"])


def read_content(folder: Path) -> Content:
    """What `write_content` wrote."""
    vectors = load_file(folder / FILE)
    source, target = (torch.from_numpy(vectors[name]) for name in ("source", "target"))
    return Content(source, target, folder.name)


def join(parts: Sequence[Content], fusion: str) -> Content:
    """The vectors of all modalities, side by side.

    Args:
        parts: of one modality each, in order; all of the same items.
        fusion: see `models.fusion.fuse`.
    """
    if not parts:
        return Content(None, None, None)
    if len(parts) == 1:
        return parts[0]
    source, target = (
        _side_by_side([getattr(part, side) for part in parts]) for side in ("source", "target")
    )
    blocks = tuple(part.source.shape[1] for part in parts if part.source is not None)
    artifact = "+".join(part.artifact for part in parts if part.artifact is not None)
    return Content(source, target, artifact, blocks, fusion)


def _side_by_side(blocks: Sequence[Tensor]) -> Tensor:
    """(items, d_m) each -> (items, sum of d_m), by the root of how many blocks an item has."""
    n_present = torch.stack([block.any(1) for block in blocks]).sum(0)
    return torch.cat(list(blocks), dim=1) / n_present.clamp(min=1).sqrt()[:, None]
