"""Batches of one or both domains of a pair, ready for Lightning."""

from collections.abc import Iterator, Mapping

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from crossrec.data.datamodule import Queries, Windows
from crossrec.data.domain import Domain
from crossrec.data.pair import Side
from crossrec.data.sequences import Batch, BatchSampler


class PairDataModule(L.LightningDataModule):
    """Training batches of the sides that a phase reads, and validation queries of one side.

    The first side that is read leads: an epoch is one pass over its events. The batches of the
    other are as large and follow each other from epoch to epoch, pass after pass.

    Args:
        domains: the sides that are read, in order; the first one leads.
        validated: the domain whose validation queries are asked.
        max_history: events of history that the model reads; 1 for models that read user ids.
        events_per_batch: events in a training batch of one side, padding included.
        seed: of the order of training batches.
        queries_per_batch: users in a validation batch.
    """

    def __init__(
        self,
        domains: Mapping[Side, Domain],
        validated: Domain,
        max_history: int,
        events_per_batch: int,
        seed: int,
        queries_per_batch: int = 1024,
    ) -> None:
        super().__init__()
        self.domains = dict(domains)
        self.validated = validated
        self.max_history = max_history
        self.events_per_batch = events_per_batch
        self.seed = seed
        self.queries_per_batch = queries_per_batch

    def _rank(self) -> tuple[int, int]:
        if self.trainer is None:
            return 0, 1
        return self.trainer.global_rank, self.trainer.world_size

    def train_dataloader(self) -> DataLoader[dict[Side, Batch]]:
        """A batch of each side at every step, in an order that depends on seed and epoch alone."""
        rank, world_size = self._rank()
        samplers = {
            side: BatchSampler(domain.train, self.max_history, self.events_per_batch, self.seed)
            for side, domain in self.domains.items()
        }
        windows = {
            side: Windows(domain.train, samplers[side], rank, world_size)
            for side, domain in self.domains.items()
        }
        sampler = PairSampler(samplers)
        return DataLoader(_PairWindows(windows), sampler=sampler, batch_size=None)

    def val_dataloader(self) -> DataLoader[tuple[Batch, Tensor]]:
        """Blocks of validation queries as (history batch, row numbers of the queries)."""
        rank, world_size = self._rank()
        queries = Queries(self.validated.valid, self.max_history)
        blocks = queries.of_rank(rank, world_size, self.queries_per_batch)
        return DataLoader(queries, sampler=blocks, batch_size=None)


class PairSampler:
    """Window numbers of each side for every step; the first side decides how many steps.

    Step i of epoch e takes batch e * steps + i of the other side, counted over that side's own
    passes, so that a training that is taken up again at an epoch goes on as it would have.
    """

    def __init__(self, samplers: Mapping[Side, BatchSampler]) -> None:
        self.lead, *self.others = samplers.values()
        self.lengths = [len(sampler) for sampler in self.others]
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this at the start of every epoch."""
        self.epoch = epoch
        self.lead.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.lead)

    def __iter__(self) -> Iterator[tuple[np.ndarray, ...]]:
        first = self.epoch * len(self)
        others = [
            _from(sampler, length, first)
            for sampler, length in zip(self.others, self.lengths, strict=True)
        ]
        for windows in self.lead:
            yield (windows, *(next(other) for other in others))


def _from(sampler: BatchSampler, length: int, position: int) -> Iterator[np.ndarray]:
    """The batches of pass after pass, of `length` batches each, from one on.

    A pass may have some batches more or less than the first had: it is cut, or ends early.
    """
    number, start = divmod(position, length)
    while True:
        sampler.set_epoch(number)
        yield from list(sampler)[start:length]
        number, start = number + 1, 0


class _PairWindows(Dataset[dict[Side, Batch]]):
    """A batch of each side by their window numbers."""

    def __init__(self, windows: Mapping[Side, Windows]) -> None:
        self.windows = windows

    def __getitem__(self, chosen: tuple[np.ndarray, ...]) -> dict[Side, Batch]:
        return {
            side: windows[torch.from_numpy(numbers)]
            for (side, windows), numbers in zip(self.windows.items(), chosen, strict=True)
        }
