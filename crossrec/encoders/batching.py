"""Token ids of texts, in batches, and one vector out of the vectors of a text's tokens."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int
) -> list[list[int]]:
    """Token ids of each text, special tokens included, at most `max_length` (or the model's limit).

    A text without a single token ("" for a decoder) becomes one end-of-text token.
    """
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=min(max_length, tokenizer.model_max_length),
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return [ids or [tokenizer.eos_token_id] for ids in encoded["input_ids"]]


def fitting_length(lengths: Sequence[int], share: float = 0.99, step: int = 8) -> int:
    """A multiple of `step` that at least `share` of the texts fit into; one step for no texts."""
    longest = float(np.quantile(lengths, share, method="inverted_cdf")) if len(lengths) else 1.0
    return step * math.ceil(longest / step)


def equal_lengths(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Positions of the texts in batches of one length each, the longest first: no padding at all.

    Each batch has rows x length <= batch_tokens, or is one text that alone exceeds it.
    """
    by_length: dict[int, list[int]] = {}
    for row, length in enumerate(lengths):
        by_length.setdefault(length, []).append(row)
    batches = []
    for length in sorted(by_length, reverse=True):
        rows, size = by_length[length], max(1, batch_tokens // max(1, length))
        batches += [rows[start : start + size] for start in range(0, len(rows), size)]
    return batches


def length_buckets(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Positions of the texts in batches of similar length, the longest first.

    Each batch has rows x longest <= batch_tokens, or is one text that alone exceeds it.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batches, start = [], 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids (texts, longest), padded on the right with 0, and their attention mask."""
    longest = max(len(ids) for ids in tokens)
    padded = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in tokens])
    lengths = torch.tensor([len(ids) for ids in tokens])
    return padded, (torch.arange(longest) < lengths[:, None]).long()


def pool(hidden: Tensor, attention: Tensor, pooling: str) -> Tensor:
    """Token vectors (texts, length, d) and attention mask (texts, length) -> (texts, d).

    "mean" over the tokens; "cls" the first; "last" the last; "weighted", the mean with weights
    1, 2, 3, ... along the text, for a decoder, whose later tokens have seen more of it (SGPT,
    Muennighoff, 2022, equation 2).
    """
    if pooling in ("mean", "weighted"):
        weights = attention if pooling == "mean" else attention * attention.cumsum(dim=1)
        total = weights.sum(dim=1, keepdim=True)
        return (hidden * weights[:, :, None]).sum(dim=1) / total
    last = attention.sum(dim=1) - 1
    position = last if pooling == "last" else torch.zeros_like(last)
    return hidden[torch.arange(len(hidden), device=hidden.device), position]


def mean_of_layers(states: Sequence[Tensor], layers: Sequence[int]) -> Tensor:
    """(texts, length, d) float32 mean of some of the hidden states: 0 the embeddings, -1 the last.

    Args:
        states: (texts, length, d) of the embeddings and of each layer.
        layers: places in it.
    """
    return torch.stack([states[layer].float() for layer in layers]).mean(dim=0)
