"""Batches of pictures or sounds to learn from, each time a little different."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

SHIFT = 0.08  # of an input's height and width: how far it is moved at random, at most
NOISE = 0.1  # standard deviation of what is added to inputs, which have one near 1

Batch = tuple[dict[str, Tensor], Tensor]


class Shown(Dataset[Batch]):
    """Batch number b, its chance included, depends on (inputs, labels, seed, b) alone.

    Each epoch shows all items once in a new order, moved a little and with noise.

    Args:
        inputs: of all items by name, (items, ...) each; the last two dimensions are height and
            width of a picture, time and frequency of a sound.
        labels: (items, words).
        batch_size, n_batches, seed: of the plan.
        moves: dimensions along which inputs are moved: (-2, -1), or (-2,) along time alone.
    """

    def __init__(
        self,
        inputs: dict[str, Tensor],
        labels: Tensor,
        batch_size: int,
        n_batches: int,
        seed: int,
        moves: tuple[int, ...],
    ) -> None:
        self.inputs, self.labels, self.seed, self.moves = inputs, labels, seed, moves
        rng = np.random.default_rng(seed)
        rows: list[np.ndarray] = []
        while len(rows) < n_batches:
            order = rng.permutation(len(labels))
            rows += np.array_split(order, -(-len(order) // batch_size))
        self.plan = rows[:n_batches]

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> Batch:
        rows = torch.from_numpy(self.plan[number])
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1)[0])
        generator = torch.Generator().manual_seed(seed)
        inputs = {
            name: _moved(value[rows].float(), self.moves, generator)
            for name, value in self.inputs.items()
        }
        return inputs, self.labels[rows]


def _moved(batch: Tensor, dims: tuple[int, ...], generator: torch.Generator) -> Tensor:
    """A batch of inputs moved together, edges repeated, with noise."""
    for dim in dims:
        size = batch.shape[dim]
        most = round(SHIFT * size)
        by = int(torch.randint(-most, most + 1, (1,), generator=generator))
        batch = batch.index_select(dim, (torch.arange(size) + by).clamp(0, size - 1))
    return batch + NOISE * torch.randn(batch.shape, generator=generator)
