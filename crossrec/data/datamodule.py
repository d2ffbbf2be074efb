"""One domain, ready for Lightning: batches are slices of tensors."""

from dataclasses import replace

import lightning as L
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crossrec.data.domain import Domain
from crossrec.data.sequences import Batch, BatchSampler, HeldOut, Sequences


class DomainDataModule(L.LightningDataModule):
    """Training batches and validation queries of one domain.

    Args:
        domain: the domain.
        max_history: events of history that the model reads; 1 for models that read user ids.
        events_per_batch: events in a training batch, padding included.
        queries_per_batch: users in a validation batch.
        seed: of the order of training batches.
    """

    def __init__(
        self,
        domain: Domain,
        max_history: int,
        events_per_batch: int,
        seed: int,
        queries_per_batch: int = 1024,
    ) -> None:
        super().__init__()
        self.domain = domain
        self.max_history = max_history
        self.events_per_batch = events_per_batch
        self.queries_per_batch = queries_per_batch
        self.seed = seed

    def _rank(self) -> tuple[int, int]:
        """(rank, world size), also where no trainer is attached."""
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def train_dataloader(self) -> DataLoader[Batch]:
        """Batches of training windows, in an order that depends on seed and epoch alone."""
        sampler = BatchSampler(
            self.domain.train, self.max_history, self.events_per_batch, self.seed
        )
        windows = Windows(self.domain.train, sampler, *self._rank())
        return DataLoader(windows, sampler=sampler, batch_size=None)

    def val_dataloader(self) -> DataLoader[tuple[Batch, Tensor]]:
        """Blocks of validation queries as (history batch, row numbers of the queries)."""
        rank, world_size = self._rank()
        queries = Queries(self.domain.valid, self.max_history)
        blocks = queries.of_rank(rank, world_size, self.queries_per_batch)
        return DataLoader(queries, sampler=blocks, batch_size=None)


class Windows(Dataset[Batch]):
    """Training windows by a list of their numbers; with several ranks, one rank's part of them.

    Args:
        sequences: the training sequences.
        sampler: of the numbers.
        rank, world_size: this process and how many there are.
    """

    def __init__(
        self, sequences: Sequences, sampler: BatchSampler, rank: int = 0, world_size: int = 1
    ) -> None:
        self.sequences = sequences
        self.rank, self.world_size = rank, world_size
        self.rows, self.starts, self.lengths = (
            torch.from_numpy(x) for x in (sampler.rows, sampler.starts, sampler.lengths)
        )
        self.events = _side_by_side(sequences, self.rows, self.starts) if sampler.single else None

    def __getitem__(self, windows: Tensor) -> Batch:
        whole = torch.as_tensor(windows)
        if self.world_size == 1:
            return self._batch(whole)
        mine = whole[self.rank :: self.world_size]
        if len(mine) == 0:  # more ranks than windows: the first one, which counts nothing here
            return replace(self._batch(whole[:1]), share=0.0, n_whole=len(whole))
        batch = self._batch(mine)
        share = self.world_size * int(batch.own.sum()) / int(self._batch(whole).own.sum())
        return replace(batch, share=share, n_whole=len(whole))

    def _batch(self, chosen: Tensor) -> Batch:
        if self.events is None:
            windows_of = (self.rows, self.starts, self.lengths)
            return self.sequences.batch(*(x[chosen] for x in windows_of))
        events = self.events.index_select(0, chosen)
        users, items, ratings = events[:, 0], events[:, 1:2], events[:, 2:]
        own = torch.ones(len(chosen), 1, dtype=torch.bool)
        return Batch(users.long(), items.long(), ratings.contiguous().view(torch.float32), own)


def _side_by_side(sequences: Sequences, rows: Tensor, events: Tensor) -> Tensor:
    """(W, 3) int32 user, item and the bits of the rating of single events: a batch is then one
    look into memory for each of its events, where columns apart would be five."""
    ratings = sequences.ratings[events].view(torch.int32)
    users, items = sequences.users[rows].int(), sequences.items[events].int()
    return torch.stack([users, items, ratings], dim=1)


class Queries(Dataset[tuple[Batch, Tensor]]):
    """Held-out queries by a list of their numbers, as (history batch, the numbers)."""

    def __init__(self, held_out: HeldOut, max_history: int) -> None:
        self.held_out = held_out
        self.max_history = max_history

    def of_rank(self, rank: int, world_size: int, size: int) -> list[Tensor]:
        """Blocks of up to `size` numbers that one of the ranks asks."""
        rows = torch.arange(len(self.held_out))
        # A rank without a query of its own would stop the others: it repeats the first one, which
        # counts nothing there (see `ValidatedTraining.validate`).
        mine = rows[rank::world_size] if rank < len(rows) else rows[:1]
        return list(mine.split(size))

    def __getitem__(self, rows: Tensor) -> tuple[Batch, Tensor]:
        return self.held_out.history.last(rows, self.max_history), rows
