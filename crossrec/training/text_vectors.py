"""Vectors of tokenized texts by a network that is being trained."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from crossrec.encoders.batching import length_buckets, mean_of_layers, pad, pool
from crossrec.training.sharding import ALONE, Share

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


@contextmanager
def predicting(network: PreTrainedModel, wanted: Tensor) -> Iterator[None]:
    """Inside, the vocabulary projection sees those of the (rows, length) positions alone that are
    wanted: it is the dearest layer of a small model."""
    projection = network.get_output_embeddings()
    hook = projection.register_forward_pre_hook(lambda _, inputs: (inputs[0][wanted],))
    try:
        yield
    finally:
        hook.remove()


def text_vectors(
    network: PreTrainedModel, batch: TextBatch, pooling: Pooling, share: Share = ALONE
) -> Tensor:
    """(n, d) float32 vectors of length 1 of the batch's texts, in the order that they came in.

    Args:
        network: with its language head, which predicts nothing here.
        batch: of all ranks.
        pooling: of the vectors.
        share: the texts that this rank reads; it is given the vectors of the others.
    """
    pooled = []
    for part in batch.parts:
        n_texts = len(part[0])
        rows, _ = share.rows(n_texts, part[0].device)
        ids, attention = (tensor[rows] for tensor in part)
        # Not its body alone: FSDP brings the embeddings, which the head may share, to the whole.
        with predicting(network, torch.zeros_like(ids, dtype=torch.bool)):
            read = network(
                input_ids=ids, attention_mask=attention, use_cache=False, output_hidden_states=True
            )
        hidden = mean_of_layers(read.hidden_states, pooling.layers)
        pooled.append(share.gathered(pool(hidden, attention, pooling.kind), n_texts))
    return nn.functional.normalize(torch.cat(pooled)[batch.order], dim=1)


@torch.no_grad()
def measured_vectors(
    network: PreTrainedModel,
    tokens: Sequence[Sequence[int]],
    pooling: Pooling,
    share: Share = ALONE,
) -> Tensor:
    """The same of many texts, on the processor, without a trace in the network."""
    device = network.device
    parts, order = bucketed(tokens, PART_TOKENS)
    unsorted = []
    for ids, attention in parts:
        alone = TextBatch([(ids.to(device), attention.to(device))], torch.arange(len(ids)))
        unsorted.append(text_vectors(network, alone, pooling, share).cpu())
    return torch.cat(unsorted)[order]
