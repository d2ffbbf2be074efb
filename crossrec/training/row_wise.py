"""AdamW for large tables: a step touches the rows that its batch reads, and no others."""

import math
from typing import Any

import torch
from torch import Tensor, nn

FROM_ROWS = 50_000  # smaller tables are faster in one dense pass
WINDOW = 400  # steps after which momentum is gone: (0.9 / sqrt(0.999)) ** 400 < 1e-17
STATE = ("step_number", "first", "second", "last", "sums")


class RowWise:
    """The state of a table whose rows are brought up to date when they are read.

    A row without a gradient still moves under AdamW (Loshchilov and Hutter, ICLR 2019): with
    a = 1 - lr * decay, and m and v as they were at its last gradient, in step t, it has become
    after the steps t + 1 .. T

        a^(T - t) w - m / (sqrt(v) + eps') * sum_s lr a^(T - s) (b1 / sqrt(b2))^(s - t)
                                             * sqrt(1 - b2^s) / (1 - b1^s),

    which is what `read` makes of it, and m and v decay by their powers. The sum is the same for all
    rows of the same t, and is kept up for each t. Only eps' = eps sqrt(1 - b2^(t + 1)), which
    changes from step to step while the sum's terms die out, is taken as in its first term.

    Args:
        table: (n, d) parameter; marked with this object, so that reading it leads here.
        learning_rate, weight_decay, betas, eps: of AdamW.
    """

    def __init__(
        self,
        table: nn.Parameter,
        learning_rate: float,
        weight_decay: float,
        betas: tuple[float, float],
        eps: float,
    ) -> None:
        self.table, self.betas, self.eps = table, betas, eps
        self.learning_rate, self.keep = learning_rate, 1 - learning_rate * weight_decay
        self.step_number = 0
        device = table.device
        self.first, self.second = torch.zeros_like(table), torch.zeros_like(table)
        self.last = torch.zeros(len(table), dtype=torch.int64, device=device)
        self.sums = torch.zeros(1024, dtype=torch.float64, device=device)  # by t
        table.row_wise = self  # type: ignore[attr-defined]

    @torch.no_grad()
    def read(self, codes: Tensor | None = None) -> None:
        """Bring rows up to date in place: those of `codes`, of any shape, or all."""
        if self.step_number == 0:
            return
        if codes is None:
            rows = (self.last < self.step_number).nonzero()[:, 0]
        else:
            rows = codes.flatten().unique()
            rows = rows[self.last[rows] < self.step_number]
        for block in rows.split(2**16):
            self._bring(block)

    def _bring(self, rows: Tensor) -> None:
        last = self.last[rows]
        passed = (self.step_number - last).double()
        late = (passed - WINDOW).clamp(min=0)
        total = self.sums[last] * self.keep**late
        first, second = self.first[rows], self.second[rows]
        beta, gamma = self.betas
        eps = self.eps * (1 - gamma ** (last + 1).double()).sqrt()
        direction = first / (second.sqrt() + eps[:, None].to(second.dtype))
        kept = (self.keep**passed)[:, None].to(first.dtype)
        self.table[rows] = kept * self.table[rows] - total[:, None].to(first.dtype) * direction
        self.first[rows] = first * (beta**passed)[:, None].to(first.dtype)
        self.second[rows] = second * (gamma**passed)[:, None].to(first.dtype)
        self.last[rows] = self.step_number

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {name: getattr(self, name) for name in STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """From a checkpoint."""
        for name in STATE:
            setattr(self, name, state[name])

    @torch.no_grad()
    def step(self, gradient: Tensor) -> None:
        """A step of AdamW on the rows that a gradient has; they have been read.

        A dense gradient's rows of zeros are rows without one: AdamW moves both alike.
        """
        self.step_number += 1
        number, (beta, gamma) = self.step_number, self.betas
        gradient = gradient.coalesce() if gradient.is_sparse else gradient.to_sparse(1)
        rows, values = gradient.indices()[0], gradient.values()
        first = self.first[rows].lerp_(values, 1 - beta)
        second = self.second[rows].mul_(gamma).addcmul_(values, values, value=1 - gamma)
        self.first[rows], self.second[rows] = first, second
        root = second.sqrt_().div_(math.sqrt(1 - gamma**number)).add_(self.eps)
        stride = self.learning_rate / (1 - beta**number)
        self.table[rows] = self.table[rows].mul_(self.keep).addcdiv_(first, root, value=-stride)
        self._sum_up(number)
        self.last[rows] = number

    def _sum_up(self, number: int) -> None:
        """What the step `number` adds to the way of a row whose last gradient was in step t < it;
        the step itself is counted for a row that has one in it by being its t."""
        if number >= len(self.sums):
            self.sums = torch.cat([self.sums, torch.zeros_like(self.sums)])
        beta, gamma = self.betas
        scale = self.learning_rate * math.sqrt(1 - gamma**number) / (1 - beta**number)
        since = torch.arange(max(0, number - WINDOW), number, device=self.sums.device)
        ratio = (beta / math.sqrt(gamma)) ** (number - since).double()
        self.sums[since] = self.sums[since] * self.keep + scale * ratio


class RowWiseAdamW(torch.optim.AdamW):
    """AdamW: fused on what has dense gradients, row by row on marked tables.

    Args:
        parameters: all that move.
        tables: those of them that are read by rows.
        learning_rate, weight_decay: as of AdamW.
    """

    def __init__(
        self,
        parameters: list[nn.Parameter],
        tables: list[nn.Parameter],
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        super().__init__(parameters, lr=learning_rate, weight_decay=weight_decay, fused=True)
        group = self.param_groups[0]
        settings = (learning_rate, weight_decay, group["betas"], group["eps"])
        self.tables = [RowWise(table, *settings) for table in tables]

    def step(self, closure: Any = None) -> Any:
        """The gradients of a closure, if one is given; then the rows, then all else."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for state in self.tables:
            if state.table.grad is not None:
                state.step(state.table.grad)
                state.table.grad = None
        super().step()
        return loss

    def state_dict(self) -> dict[str, Any]:
        """AdamW's, and that of each table."""
        return {**super().state_dict(), "tables": [state.state_dict() for state in self.tables]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        for state, stored in zip(self.tables, state_dict["tables"], strict=True):
            state.load_state_dict(stored)
        super().load_state_dict({k: v for k, v in state_dict.items() if k != "tables"})

    def read_all(self) -> None:
        """Bring every row up to date: before weights are looked at as a whole."""
        for state in self.tables:
            state.read()

    def release(self) -> None:
        """Training is over, and the tables are tables like any other."""
        for state in self.tables:
            del state.table.row_wise  # type: ignore[attr-defined]
