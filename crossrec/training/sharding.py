"""A language model that several ranks train as one: its weights in shards, its batches shared.

Fully sharded data parallelism (FSDP; Zhao et al., VLDB 2023): each rank keeps a part of every
weight, of its gradient and of its moments, and has a layer whole only while it computes with it.

A step stays the step that one rank would take. Each rank reads a part of the batch's rows, and the
gradients of the ranks add up to that of the batch: a loss that is a sum over texts is divided by
the number of all of them, and a contrast, which needs the vectors of all, is given them.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.distributed
from torch import Tensor
from torch.distributed.device_mesh import DeviceMesh
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor
from transformers import PreTrainedModel

from crossrec.encoders.language_head import layers_of


@dataclass(frozen=True)
class Share:
    """The part of each batch that a rank reads: every so-many-th row.

    Attributes:
        rank: the number of the rank.
        n_ranks: how many there are.
    """

    rank: int = 0
    n_ranks: int = 1

    def rows(self, n_rows: int, device: torch.device) -> tuple[Tensor, Tensor]:
        """(m,) int64 numbers of the rows to read, and (m,) bool whether each counts.

        All ranks read equally many, at least one, for they have to ask for layers in step: one
        that has fewer reads some row that does not count here.
        """
        per_rank = -(-n_rows // self.n_ranks)
        places = torch.arange(per_rank, device=device) * self.n_ranks + self.rank
        return places % n_rows, places < n_rows

    def gathered(self, mine: Tensor, n_rows: int) -> Tensor:
        """(m, ...) what each rank made of its `rows` -> (n_rows, ...) of all, in their order.

        A gradient flows back into this rank's own rows alone: the other ranks compute the same
        with theirs, and the gradients of the weights add up.
        """
        if self.n_ranks == 1:
            return mine
        parts = [torch.empty_like(mine) for _ in range(self.n_ranks)]
        torch.distributed.all_gather(parts, mine.detach().contiguous())
        parts[self.rank] = mine
        return torch.stack(parts, dim=1).flatten(0, 1)[:n_rows]

    def total(self, mine: Tensor) -> Tensor:
        """The sum over ranks, of the shape of `mine`, without a gradient."""
        summed = mine.detach().clone()
        if self.n_ranks > 1:
            torch.distributed.all_reduce(summed)
        return summed


ALONE = Share()


def shard(network: PreTrainedModel, mesh: DeviceMesh) -> None:
    """Leave each rank of a mesh its part of the weights, in place; layer by layer they go to its
    device, so that none has to hold the whole network."""
    for layer in layers_of(network).values():
        fully_shard(layer, mesh=mesh)
    # The rest as well is given back after each use: outside of it, weights are always in shards.
    fully_shard(network, mesh=mesh, reshard_after_forward=True)


def part_of(whole: Tensor, parameter: Tensor) -> Tensor:
    """This rank's part of what belongs to a parameter: its moments, say; a number stays whole."""
    if isinstance(parameter, DTensor) and whole.dim():
        placed = whole.to(parameter.device)
        return distribute_tensor(placed, parameter.device_mesh, parameter.placements)
    return whole


def wholes(tensors: Mapping[str, Tensor], keep: bool) -> dict[str, Tensor]:
    """Tensors put together, on the processor, one after the other: all ranks have to take part.

    Args:
        tensors: by name; what is in no shards is whole already.
        keep: whether this rank is given them; else {}.
    """
    kept = {}
    for name, tensor in tensors.items():
        whole = tensor.detach()
        if isinstance(whole, DTensor):
            whole = whole.full_tensor()
        if keep:
            kept[name] = whole.cpu()
    return kept
