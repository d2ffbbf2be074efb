"""Token sequences -> batches for masked or causal language modeling.

A batch is (ids, attention, targets), each (texts, length): a target is the token to predict at
that position, or NO_TARGET.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from crossrec.encoders.encode import length_buckets, pad

NO_TARGET = -100
POOL = 64  # batches that are sorted by length together: little padding, still in random order

Batch = tuple[Tensor, Tensor, Tensor]


def plan_batches(
    lengths: Sequence[int], n_batches: int, batch_tokens: int, seed: int
) -> list[list[int]]:
    """Which texts are in each of `n_batches` batches: epoch after epoch, reshuffled each time.

    Texts of similar length share a batch, so little of it is padding; rows x longest text never
    exceeds `batch_tokens` unless one text alone does.
    """
    rng = np.random.default_rng(seed)
    pool_size = max(1, int(POOL * batch_tokens * len(lengths) / max(1, sum(lengths))))
    plan: list[list[int]] = []
    while len(plan) < n_batches:
        order = rng.permutation(len(lengths)).tolist()
        for start in range(0, len(order), pool_size):
            pool = order[start : start + pool_size]
            batches = length_buckets([lengths[row] for row in pool], batch_tokens)
            for place in rng.permutation(len(batches)):
                plan.append([pool[row] for row in batches[place]])
    return plan[:n_batches]


class TokenBatches(Dataset[Batch]):
    """Batch number b, its masks included, depends on (tokens, plan, seed, b) alone.

    Args:
        tokens: token ids of each text.
        plan: which texts are in each batch, as `plan_batches` or `length_buckets` give it.
        tokenizer: names the special tokens; needs a mask token where `mask_share` is given.
        mask_share: share of tokens to predict in masked modeling; None for causal modeling.
        seed: of the masks.
    """

    def __init__(
        self,
        tokens: Sequence[Sequence[int]],
        plan: list[list[int]],
        tokenizer: PreTrainedTokenizerBase,
        mask_share: float | None,
        seed: int,
    ) -> None:
        self.tokens = tokens
        self.plan = plan
        self.special = torch.tensor(sorted(set(tokenizer.all_special_ids)))
        self.mask_id = tokenizer.mask_token_id
        self.vocabulary_size = len(tokenizer)
        self.mask_share = mask_share
        self.seed = seed

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        ids, attention = pad([self.tokens[row] for row in self.plan[number]])
        if self.mask_share is None:
            return ids, attention, next_tokens(ids, attention)
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        generator = torch.Generator().manual_seed(seed)
        ordinary = attention.bool() & ~torch.isin(ids, self.special)
        masked, targets = mask_tokens(
            ids, ordinary, self.mask_share, self.mask_id, self.vocabulary_size, generator
        )
        return masked, attention, targets


def next_tokens(ids: Tensor, attention: Tensor) -> Tensor:
    """Causal targets: at each position the token that follows, NO_TARGET at a text's end."""
    targets = torch.full_like(ids, NO_TARGET)
    follows = attention[:, 1:].bool()
    targets[:, :-1][follows] = ids[:, 1:][follows]
    return targets


def mask_tokens(
    ids: Tensor,
    ordinary: Tensor,
    share: float,
    mask_id: int,
    vocabulary_size: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """BERT's masking (Devlin et al., 2019): 80% [MASK], 10% a random token, 10% left as it is.

    Of a text's n ordinary tokens exactly max(1, round(share * n)) are chosen, so short titles are
    never without a target.

    Args:
        ids: (texts, length).
        ordinary: (texts, length) True where a token may be chosen: neither special nor padding.
        share: the share to choose, in (0, 1].
        mask_id: id of [MASK].
        vocabulary_size: random tokens are drawn from 0 .. vocabulary_size - 1.
        generator: of all draws.

    Returns:
        the masked ids and the targets, both (texts, length).
    """
    counts = ordinary.sum(dim=1)
    wanted = (counts * share).round().clamp(min=1).minimum(counts)
    draws = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, 2.0)
    chosen = draws.argsort(dim=1).argsort(dim=1) < wanted[:, None]
    targets = ids.masked_fill(~chosen, NO_TARGET)
    fate = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(vocabulary_size, ids.shape, generator=generator)
    masked = torch.where(chosen & (fate < 0.8), mask_id, ids)
    masked = torch.where(chosen & (fate >= 0.9), random_ids, masked)
    return masked, targets
