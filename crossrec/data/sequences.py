"""Interactions as flat tensors: user by user, in order of time, sliced by whole batches."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from crossrec.data.columns import PAD
from crossrec.evaluation.ranking import Queries


@dataclass(frozen=True)
class Sequences:
    """Events of many users, one user after the other, oldest first.

    Attributes:
        users: (S,) int64, the user code of each sequence.
        offsets: (S + 1,) int64, sequence s is events offsets[s] .. offsets[s + 1] - 1.
        items: (E,) int64 item codes; codes from n_items on are items of another domain.
        ratings: (E,) float32, NaN where there is none.
        own: (E,) bool, True where the event belongs to this domain (and not to the context).
    """

    users: Tensor
    offsets: Tensor
    items: Tensor
    ratings: Tensor
    own: Tensor

    @property
    def lengths(self) -> Tensor:
        """(S,) number of events of each sequence."""
        return self.offsets[1:] - self.offsets[:-1]

    def batch(self, rows: Tensor, starts: Tensor, lengths: Tensor) -> "Batch":
        """Events starts[b] .. starts[b] + lengths[b] - 1 of sequences rows[b], padded right.

        Args:
            rows: (B,) which sequences (only their user codes are read).
            starts: (B,) index of the first event in the flat arrays.
            lengths: (B,) number of events, 0 allowed.
        """
        width = int(lengths.max()) if len(lengths) else 0
        place = torch.arange(width)
        real = place < lengths[:, None]  # (B, L)
        index = (starts[:, None] + place).clamp_(max=max(len(self.items) - 1, 0))
        if width == 0 or len(self.items) == 0:
            empty = torch.zeros(len(rows), 0)
            return Batch(self.users[rows], empty.long(), empty, empty.bool())
        return Batch(
            users=self.users[rows],
            items=self.items[index].masked_fill_(~real, PAD),
            ratings=self.ratings[index],
            own=self.own[index] & real,
        )

    def last(self, rows: Tensor, max_history: int) -> "Batch":
        """The last `max_history` events of each of the sequences `rows` (B,)."""
        ends = self.offsets[rows + 1]
        starts = torch.maximum(self.offsets[rows], ends - max_history)
        return self.batch(rows, starts, ends - starts)


@dataclass(frozen=True)
class Batch:
    """A slice of sequences: users (B,), and items, ratings, own (B, L) padded with PAD.

    Attributes:
        share: what the mean over its own events counts where it is one rank's part of a batch, so
            that the mean over the ranks is that of the whole batch.
        n_whole: windows of the whole batch; 0 where this is all of it.
    """

    users: Tensor
    items: Tensor
    ratings: Tensor
    own: Tensor
    share: float = 1.0
    n_whole: int = 0

    def part(self, rows: slice) -> "Batch":
        """Some of its rows."""
        return Batch(self.users[rows], self.items[rows], self.ratings[rows], self.own[rows])

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device (Lightning calls this)."""
        return Batch(
            self.users.to(device, non_blocking=True),
            self.items.to(device, non_blocking=True),
            self.ratings.to(device, non_blocking=True),
            self.own.to(device, non_blocking=True),
            self.share,
            self.n_whole,
        )


@dataclass(frozen=True)
class HeldOut:
    """What is asked of a set of users, and what they are known to have done.

    Attributes:
        history: one sequence a query, in the order of the queries.
        truth_offsets, truth_items, truth_ratings: CSR of the held-out events of each query.
        seen_offsets, seen_items: CSR of the own items that are not ranked (already had).
        n_train: (Q,) own training interactions of each query's user.
    """

    history: Sequences
    truth_offsets: Tensor
    truth_items: Tensor
    truth_ratings: Tensor
    seen_offsets: Tensor
    seen_items: Tensor
    n_train: Tensor

    @property
    def users(self) -> Tensor:
        """(Q,) user codes."""
        return self.history.users

    def __len__(self) -> int:
        return len(self.history.users)

    def queries(self, rows: Tensor | None = None) -> Queries:
        """What the ranking asks, for all queries or for the given (R,) rows in their order."""
        if rows is None:
            rows = torch.arange(len(self))
        seen_offsets, seen = _select(self.seen_offsets, rows)
        truth_offsets, truth = _select(self.truth_offsets, rows)
        return Queries(
            users=self.users[rows].numpy(),
            seen_offsets=seen_offsets,
            seen_items=self.seen_items[seen],
            truth_offsets=truth_offsets,
            truth_items=self.truth_items[truth],
        )

    def truths(self, rows: Tensor | None = None) -> tuple[Tensor, Tensor, Tensor]:
        """(position in rows, item, rating) of every held-out event, each (T,)."""
        if rows is None:
            rows = torch.arange(len(self))
        offsets, chosen = _select(self.truth_offsets, rows)
        position = torch.repeat_interleave(torch.arange(len(rows)), offsets.diff())
        return position, self.truth_items[chosen], self.truth_ratings[chosen]


def _select(offsets: Tensor, rows: Tensor) -> tuple[Tensor, Tensor]:
    """Offsets of the chosen CSR rows and the index of their entries in the flat array."""
    starts, lengths = offsets[rows], offsets[rows + 1] - offsets[rows]
    selected = torch.cat([torch.zeros(1, dtype=torch.int64), lengths.cumsum(0)])
    shift = torch.repeat_interleave(starts - selected[:-1], lengths)
    return selected, torch.arange(int(selected[-1])) + shift


class BatchSampler:
    """Windows of training sequences, cut into batches of about equal work.

    A sequential model gets windows of up to `max_history` events; a model that reads ids gets
    every own event as a window of its own. Windows of like length share a batch, so little is
    padding. The order depends on (seed, epoch) alone, and is that of all ranks: each takes its part
    of every batch (see `datamodule.Windows`).

    Args:
        sequences: the training sequences.
        max_history: events in a window; 1 makes single events.
        events_per_batch: bound on B x L, padding included.
        seed: of the order.

    Attributes:
        single: whether windows are single own events, for a model that reads ids.
        rows, starts, lengths: (W,) sequence, first event and number of events of each window.
    """

    def __init__(
        self,
        sequences: Sequences,
        max_history: int,
        events_per_batch: int,
        seed: int,
    ) -> None:
        self.events_per_batch = events_per_batch
        self.seed = seed
        self.epoch = 0
        self.single = max_history == 1
        self.rows, self.starts, self.lengths = windows(sequences, max_history)
        self._order = self._batches()

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of every epoch."""
        if epoch != self.epoch:
            self.epoch = epoch
            self._order = self._batches()

    def _batches(self) -> list[np.ndarray]:
        generator = np.random.default_rng([self.seed, self.epoch])
        order = generator.permutation(len(self.rows))
        lengths = self.lengths[order]
        if lengths.max(initial=1) > 1:
            # Sorting pools of windows, not all of them, keeps batches mixed from epoch to epoch.
            pool = 32 * max(1, self.events_per_batch // max(1, int(lengths.mean())))
            order = order[np.lexsort((lengths, np.arange(len(order)) // pool))]
            lengths = self.lengths[order]
        batches = [order[a:b] for a, b in _cuts(lengths, self.events_per_batch)]
        return [batches[i] for i in generator.permutation(len(batches))]

    def __len__(self) -> int:
        return len(self._order)

    def __iter__(self) -> Iterator[np.ndarray]:
        yield from self._order  # looked up late: Lightning sets the epoch of a resumed pass after


def windows(sequences: Sequences, max_history: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(rows, starts, lengths) of the training windows; each holds at least one own event."""
    offsets, own = sequences.offsets.numpy(), sequences.own.numpy()
    lengths = np.diff(offsets)
    if max_history == 1:
        starts = np.flatnonzero(own)
        rows = np.repeat(np.arange(len(lengths)), lengths)[starts]
        return rows, starts, np.ones(len(rows), dtype=np.int64)
    # Windows are cut from the end, so that the newest events have whole histories.
    n_windows = -(-lengths // max_history)
    rows = np.repeat(np.arange(len(lengths)), n_windows)
    number = np.arange(len(rows)) - np.repeat(np.cumsum(n_windows) - n_windows, n_windows)
    ends = offsets[rows + 1] - number * max_history
    starts = np.maximum(offsets[rows], ends - max_history)
    before = np.concatenate([[0], np.cumsum(own)])
    kept = before[ends] > before[starts]
    return rows[kept], starts[kept], (ends - starts)[kept]


def _cuts(lengths: np.ndarray, events_per_batch: int) -> list[tuple[int, int]]:
    """Consecutive ranges whose count x longest stays within `events_per_batch`."""
    if len(lengths) and lengths.min() == lengths.max():
        step = max(1, events_per_batch // int(lengths[0]))
        return [(a, min(a + step, len(lengths))) for a in range(0, len(lengths), step)]
    cuts, start, longest = [], 0, 0
    for position, length in enumerate(lengths.tolist()):
        longest_now = max(longest, length)
        if position > start and (position - start + 1) * longest_now > events_per_batch:
            cuts.append((start, position))
            start, longest_now = position, length
        longest = longest_now
    if start < len(lengths):
        cuts.append((start, len(lengths)))
    return cuts
