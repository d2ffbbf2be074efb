"""Vectors of tokenized texts by a network that is being trained."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn

from crossrec.encoders.batching import length_buckets, mean_of_layers, pad, pool

PART_TOKENS = 2048  # of texts that are only measured


class Pooling(NamedTuple):
    """How the states of a text's tokens become its vector, as in `encode`.

    Attributes:
        kind: see `pool`.
        layers: hidden layers whose mean is pooled: 0 the embeddings, -1 the last.
    """

    kind: str = "mean"
    layers: tuple[int, ...] = (-1,)


MEAN = Pooling()


class TextBatch(NamedTuple):
    """Texts in parts of similar length, so that little is padding.

    Attributes:
        parts: ids and attention, (texts, length) each.
        order: (n,) place of each text among those of all parts, one part after the other.
    """

    parts: list[tuple[Tensor, Tensor]]
    order: Tensor

    @property
    def n_tokens(self) -> int:
        """Without padding."""
        return sum(int(attention.sum()) for _, attention in self.parts)


def bucketed(tokens: Sequence[Sequence[int]], part_tokens: int) -> TextBatch:
    """Token ids of texts -> a batch of parts with at most so many tokens, padding included."""
    buckets = length_buckets([len(ids) for ids in tokens], part_tokens)
    rows = torch.tensor([row for bucket in buckets for row in bucket])
    return TextBatch([pad([tokens[row] for row in bucket]) for bucket in buckets], rows.argsort())


def text_vectors(body: nn.Module, batch: TextBatch, pooling: Pooling) -> Tensor:
    """(n, d) float32 vectors of length 1 of the batch's texts, in the order that they came in."""
    pooled = []
    for ids, attention in batch.parts:
        read = body(
            input_ids=ids, attention_mask=attention, use_cache=False, output_hidden_states=True
        )
        hidden = mean_of_layers(read.hidden_states, pooling.layers)
        pooled.append(pool(hidden, attention, pooling.kind))
    return nn.functional.normalize(torch.cat(pooled)[batch.order], dim=1)


@torch.no_grad()
def measured_vectors(body: nn.Module, tokens: Sequence[Sequence[int]], pooling: Pooling) -> Tensor:
    """The same of many texts, on the processor, without a trace in the network."""
    device = next(body.parameters()).device
    parts, order = bucketed(tokens, PART_TOKENS)
    moved = [(ids.to(device), attention.to(device)) for ids, attention in parts]
    unsorted = [
        text_vectors(body, TextBatch([part], torch.arange(len(part[0]), device=device)), pooling)
        for part in moved
    ]
    return torch.cat(unsorted).cpu()[order]
