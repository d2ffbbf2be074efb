"""The transfer-meta framework for cross-domain recommendation (Zhu et al., SIGIR 2021)."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.func import functional_call

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.errors import UserError
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, Phase
from crossrec.transfer.preferences.emcdr import Kind, check_mapping, perceptron
from crossrec.transfer.preferences.ptupcdr import TaskOriented, events
from crossrec.transfer.preferences.two_factorizations import Mapped


class TMCDR(TaskOriented):
    """Two factorizations, and a map that is learned to be good for users it was not learned from.

    The paper's meta stage: the users of a batch who are in both domains are dealt to two groups
    at random. A gradient step on the objective of the first group's target events makes theta' of
    the map's parameters theta, and theta moves to lower the objective of the second group at
    theta' (MAML, Finn et al., ICML 2017, with second derivatives). The first group's softmax, if
    that is the objective, is the sampled one: the full one cannot be derived twice.

    Args:
        dim: d, length of the vectors.
        mapping: "linear" or "mlp".
        hidden: sizes of the mlp's hidden layers.
        inner_rate: length of the gradient step.
        mapped: "cold" or "shared", see `TwoFactorizations`.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "users"

    def __init__(
        self,
        dim: int = 64,
        mapping: Kind = "linear",
        hidden: Sequence[int] = (128,),
        inner_rate: float = 0.1,
        mapped: Mapped = "cold",
    ) -> None:
        super().__init__(dim, mapped)
        check_mapping(mapping, hidden)
        if not inner_rate >= 0:
            raise UserError(f"transfer.inner_rate must be >= 0, got {inner_rate}")
        self.kind, self.hidden, self.inner_rate = mapping, tuple(hidden), inner_rate

    def make_mapping(self, pair: DomainPair) -> nn.Module:
        """The meta network."""
        return perceptron(self.dim + 1, self.hidden if self.kind == "mlp" else None)

    def enter(self, phase: Phase) -> None:
        """A linear map starts where the least squares have it."""
        super().enter(phase)
        if phase.name == "map" and isinstance(self.mapping, nn.Linear):
            with torch.no_grad():
                self.mapping.weight.copy_(self.least_squares().T)

    def map(self, codes: Tensor) -> Tensor:
        """f of points of the source."""
        return self._map(codes, dict(self.mapping.named_parameters()))

    def _map(self, codes: Tensor, parameters: Mapping[str, Tensor]) -> Tensor:
        mapped: Tensor = functional_call(
            self.mapping, dict(parameters), (self.source.users[codes],)
        )
        return mapped

    def map_loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The second group's objective after a step on the first one's."""
        batch = self.known(batches["target"])
        users, place = batch.users.unique(return_inverse=True)
        if len(users) < 2:
            return self.nothing()
        first = (torch.randperm(len(users), device=users.device) < len(users) // 2)[place]
        return self.after_a_step(events(batch, first), events(batch, ~first), losses["target"])

    def after_a_step(self, support: Batch, query: Batch, objective: Loss) -> Tensor:
        """L_query(theta - inner_rate * gradient of L_support at theta)."""
        theta = dict(self.mapping.named_parameters())
        cases = self.cases(support, lambda users: self._map(users, theta))
        loss = objective(replace(cases, factors=None))
        gradients = torch.autograd.grad(loss, list(theta.values()), create_graph=True)
        moved = {
            name: value - self.inner_rate * gradient
            for (name, value), gradient in zip(theta.items(), gradients, strict=True)
        }
        return objective(self.cases(query, lambda users: self._map(users, moved)))
