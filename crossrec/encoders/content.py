"""Content vectors of two catalogs: texts in, one safetensors file out, and back."""

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
MAP = "map.safetensors"
"""How vectors of the language model became content vectors, for items that come later."""


@dataclass(frozen=True)
class Content:
    """Content vectors of both catalogs, (n_items, d_c) each, or None without an encoder.

    Attributes:
        artifact: name of the folder that they were read from.
    """

    source: Tensor | None
    target: Tensor | None
    artifact: str | None

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
    if not read:
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
    fitted = mask & np.concatenate(learned)
    vector_map = fit_map(vectors[fitted], whitening, whiten_dim)
    vector_map = vector_map.of_mean_length_one(vectors[fitted])
    parts = np.split(vector_map(vectors, mask), [len(source)])
    written = dict(zip(("source", "target"), parts, strict=True))
    fitted_map = {**vars(vector_map), "max_length": np.array(max_length)}
    save_file({**written, **fitted_map}, folder / FILE)


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
    written = load_file(folder / FILE)
    vectors, mask = encode(
        texts,
        language_model.folder,
        language_model.pooling,
        max_length=int(written["max_length"]),
        batch_tokens=batch_tokens,
        device=device,
        dtype=dtype,
        prefix=prefix,
        layers=layers,
    )
    return torch.from_numpy(VectorMap(written["mean"], written["matrix"])(vectors, mask))


def read_content(folder: Path) -> Content:
    """What `write_content` wrote."""
    vectors = load_file(folder / FILE)
    source, target = (torch.from_numpy(vectors[name]) for name in ("source", "target"))
    return Content(source, target, folder.name)
