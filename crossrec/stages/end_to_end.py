"""The last layers of the language model, learned together with the recommender."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor

from crossrec.data.storage import DOMAINS, read_items, read_reviews
from crossrec.encoders.content import FILE, Content
from crossrec.encoders.encode import BATCH_TOKENS
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.last_layers import LastLayers
from crossrec.encoders.text import compose
from crossrec.encoders.token_states import read_states, write_states
from crossrec.errors import UserError
from crossrec.models.content import LearnedContent
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of

COMPARED = 64  # texts on which the last layers must make what the whole model made
TOLERANCE = {"float32": 1e-3}  # of their relative difference; 0.05 for the short types
CODE = "crossrec.stages.end_to_end"


@dataclass(frozen=True)
class EndToEnd:
    """Makes a network that reads a domain's items, as often as it is asked, always the same.

    Attributes:
        inputs: plain values that say what it makes.
        language_model: whose last layers learn.
        content: of both domains, what the language model makes of the texts as it stands.
        mean, matrix: of the map of the content vectors.
        states, offsets, texts: what `read_states` gives.
        texts_per_step: as in `LearnedContent`.
        options: the rest of `LastLayers`.
    """

    inputs: dict[str, Any]
    language_model: LanguageModel
    content: Content
    mean: Tensor
    matrix: Tensor
    states: Tensor
    offsets: Tensor
    texts: dict[str, Tensor]
    texts_per_step: int
    options: dict[str, Any]

    def source(self) -> LearnedContent:
        """Of the source's items."""
        return self._learned(self.texts["source"], self.content.source)

    def of_target(self, with_source: bool) -> LearnedContent:
        """Of the target's items and, where histories hold them, of the source's."""
        texts = [self.texts["target"], self.texts["source"]][: 2 if with_source else 1]
        return self._learned(torch.cat(texts), self.content.of_target(with_source))

    def _learned(self, texts: Tensor, vectors: Tensor | None) -> LearnedContent:
        assert vectors is not None
        return LearnedContent(self.encoder(), texts, vectors, self.texts_per_step)

    def encoder(self) -> LastLayers:
        """The last layers, as they were before they learned."""
        return LastLayers(
            self.language_model.folder,
            self.language_model.pooling,
            states=self.states,
            offsets=self.offsets,
            mean=self.mean,
            matrix=self.matrix,
            **self.options,
        )


def keep_states(
    settings: Settings,
    staging: Staging,
    data: Path,
    language_model: LanguageModel | None,
    content: Content,
) -> EndToEnd | None:
    """Run the layers that stay as they are, once; None where the language model does not learn.

    Args:
        data: folder of the prepared pair.
        language_model: what `pretrain_encoder` gave.
        content: what `encode_items` made with it.

    Raises:
        UserError: the last layers cannot be run by themselves.
    """
    s = settings
    layers = s.end_to_end["layers"]
    if layers is None:
        return None
    assert language_model is not None  # `check_end_to_end` sees to it
    assert content.artifact is not None
    options = {k: s.encoder[k] for k in ("max_length", "dtype")}
    options["batch_tokens"] = s.encoder["batch_tokens"] or BATCH_TOKENS[device_of(s)]

    def make(folder: Path) -> None:
        fields = s.data["text_fields"]
        catalogs = {
            name: compose(read_items(data, name), fields, reviews=read_reviews(data, name))
            for name in DOMAINS
        }
        write_states(
            folder, catalogs, language_model.folder, layers, device=device_of(s), **options
        )

    inputs = {
        "data": data.name,
        "text_fields": s.data["text_fields"],
        "model": weights_digest(language_model.folder),
        "layers": layers,
        **options,
    }
    folder = staging.stage("states", ("encoders", "stages/end_to_end.py"), inputs, make)
    vector_map = load_file(s.artifacts / content.artifact / FILE)
    mean, matrix = (vector_map[name].float() for name in ("mean", "matrix"))
    states, offsets, texts = read_states(folder, len(mean), options["dtype"])
    end_to_end = EndToEnd(
        {**s.end_to_end, "states": folder.name},
        language_model,
        content,
        mean,
        matrix,
        states,
        offsets,
        texts,
        s.end_to_end["texts_per_step"],
        {
            "layers": layers,
            "rank": s.end_to_end["rank"],
            "scale": s.end_to_end["scale"],
            "batch_tokens": options["batch_tokens"],
            "seed": s.seed,
        },
    )
    _check(end_to_end, TOLERANCE.get(options["dtype"], 0.05))
    return end_to_end


@torch.no_grad()
def _check(end_to_end: EndToEnd, tolerance: float) -> None:
    """Before anything is learned, the vectors must be those of the whole language model."""
    assert end_to_end.content.target is not None
    texts = end_to_end.texts["target"]
    described = (texts >= 0).nonzero()[:COMPARED, 0]
    if len(described) == 0:
        return
    wanted = end_to_end.content.target[described]
    found = end_to_end.encoder()(texts[described])
    error = float((found - wanted).norm() / wanted.norm())
    if not error <= tolerance:
        raise UserError(
            f"end_to_end.layers={end_to_end.options['layers']}: the last layers of this language "
            f"model, run by themselves, do not make the item vectors that it makes as a whole "
            f"(relative difference {error:.2g}): use another encoder, or end_to_end=off"
        )
