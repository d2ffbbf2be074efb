"""Token sequences -> batches for masked or causal language modeling: padded, or packed."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from crossrec.encoders.encode import length_buckets, pad
from crossrec.encoders.token_targets import Targets

POOL = 64  # batches that are sorted by length together: little padding, still in random order

Piece = tuple[int, int, int]
"""A text, its first token in a row, and the one after its last."""


class Batch(NamedTuple):
    """Rows of tokens and what is asked about them.

    Attributes:
        ids: (rows, length).
        attention: (rows, length) 1 where there is a token; for packed rows (rows, 1, length,
            length), what is added to attention scores: 0 within a text, else the lowest number.
        targets: (rows, length) the token to predict at a position, or NO_TARGET.
        positions: (rows, length) of packed rows, where each text begins at 0; else None.
        lengths: tokens of each text in packed rows, in their order; else None.
    """

    ids: Tensor
    attention: Tensor
    targets: Tensor
    positions: Tensor | None
    lengths: Tensor | None

    @property
    def n_tokens(self) -> int:
        """Without padding."""
        return self.ids.numel() if self.lengths is not None else int(self.attention.sum())

    @property
    def texts(self) -> Tensor:
        """(rows,) how many texts are in each row."""
        if self.positions is None:
            return torch.ones_like(self.ids[:, 0])
        return (self.positions == 0).sum(dim=1)

    def take(self, rows: Tensor) -> "Batch":
        """The rows of these numbers, in this order."""
        positions, lengths = self.positions, self.lengths
        if positions is not None and lengths is not None:
            of_row = lengths.split(self.texts.tolist())
            lengths = torch.cat([of_row[row] for row in rows.tolist()])
            positions = positions[rows]
        return Batch(self.ids[rows], self.attention[rows], self.targets[rows], positions, lengths)


def plan_batches(
    lengths: Sequence[int] | np.ndarray, n_batches: int, batch_tokens: int, seed: int
) -> list[list[int]]:
    """Which texts are in each of `n_batches` batches: epoch after epoch, reshuffled each time.

    Texts of similar length share a batch, so little of it is padding; rows x longest text never
    exceeds `batch_tokens` unless one text alone does.
    """
    rng = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    pool_size = max(1, int(POOL * batch_tokens * len(lengths) / max(1, int(lengths.sum()))))
    plan: list[list[int]] = []
    while len(plan) < n_batches:
        order = rng.permutation(len(lengths))
        for start in range(0, len(order), pool_size):
            if len(plan) >= n_batches:  # the rest of a corpus need not be looked at
                break
            pool = order[start : start + pool_size].tolist()
            batches = length_buckets(lengths[pool].tolist(), batch_tokens)
            for place in rng.permutation(len(batches)):
                plan.append([pool[row] for row in batches[place]])
    return plan[:n_batches]


def plan_rows(
    lengths: Sequence[int] | np.ndarray, n_rows: int, row_tokens: int, seed: int
) -> list[list[Piece]]:
    """The pieces of each of `n_rows` rows of `row_tokens` tokens, without a gap.

    Texts follow each other in random order, epoch after epoch; one that a row has no room for
    goes on in the next row, as a text of its own.
    """
    rng = np.random.default_rng(seed)
    lengths = np.asarray(lengths)
    rows: list[list[Piece]] = [[]]
    room = row_tokens
    while True:
        for text in rng.permutation(len(lengths)).tolist():
            start = 0
            while start < lengths[text]:
                if not room:
                    if len(rows) == n_rows:
                        return rows
                    rows.append([])
                    room = row_tokens
                stop = min(int(lengths[text]), start + room)
                rows[-1].append((text, start, stop))
                room -= stop - start
                start = stop


class TokenBatches(Dataset[Batch]):
    """A text a row, padded. Batch number b depends on (tokens, plan, targets, seed, b) alone.

    Args:
        tokens: token ids of each text.
        plan: which texts are in each batch, as `plan_batches` or `length_buckets` give it.
        targets: what is asked.
        seed: of the questions.
    """

    def __init__(
        self, tokens: Sequence[Sequence[int]], plan: list[list[int]], targets: Targets, seed: int
    ) -> None:
        self.tokens, self.plan, self.targets, self.seed = tokens, plan, targets, seed

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        texts = self.plan[number]
        ids, attention = pad([self.tokens[text] for text in texts])
        ids, targets = self.targets(ids, attention, texts, _generator(self.seed, number))
        return Batch(ids, attention, targets, None, None)


class PackedBatches(Dataset[Batch]):
    """Rows full of texts that do not see each other. Batch b depends on its arguments and b alone.

    Args:
        tokens: token ids of each text.
        rows: as `plan_rows` gives them.
        batch_rows: rows of a batch.
        targets: what is asked.
        causal: whether a token sees only what is before it.
        seed: of the questions.
    """

    def __init__(
        self,
        tokens: Sequence[Sequence[int]],
        rows: list[list[Piece]],
        batch_rows: int,
        targets: Targets,
        causal: bool,
        seed: int,
    ) -> None:
        self.tokens, self.rows, self.batch_rows = tokens, rows, batch_rows
        self.targets, self.causal, self.seed = targets, causal, seed

    def __len__(self) -> int:
        return len(self.rows) // self.batch_rows

    def __getitem__(self, number: int) -> Batch:
        rows = self.rows[number * self.batch_rows : (number + 1) * self.batch_rows]
        pieces = [[self.tokens[text][start:stop] for text, start, stop in row] for row in rows]
        ids = torch.tensor([[token for piece in row for token in piece] for row in pieces])
        sizes = [[len(piece) for piece in row] for row in pieces]
        segments = torch.tensor(
            [[n + 1 for n, size in enumerate(row) for _ in range(size)] for row in sizes]
        )
        positions = torch.tensor([[at for size in row for at in range(size)] for row in sizes])
        ids, targets = self.targets(ids, segments, (), _generator(self.seed, number))
        seen = segments[:, :, None] == segments[:, None, :]
        if self.causal:
            seen &= torch.ones_like(seen[0]).tril()
        attention = torch.zeros(seen.shape).masked_fill(~seen, torch.finfo(torch.float32).min)
        lengths = torch.tensor([size for row in sizes for size in row])
        return Batch(ids, attention[:, None], targets, positions, lengths)


def _generator(seed: int, number: int) -> torch.Generator:
    mixed = int(np.random.SeedSequence([seed, number]).generate_state(1)[0])
    return torch.Generator().manual_seed(mixed)
