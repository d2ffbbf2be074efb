"""Source weights laid over a target model: which of its weights exist in both, and their values."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Anchor:
    """Where W and W_s overlap.

    Attributes:
        values: by parameter name, W_s laid out in the shape of the target's parameter.
        rows: by parameter name, (R,) rows of a table that exist in both; absent means all.
        source_per_target: n_s / n_t, training interactions of the source for each of the target.
        importance: by parameter name, laid out like `values`, how much the source's loss depends
            on each weight; of mean 1 over all weights that exist in both. Empty if nobody asked.
    """

    values: dict[str, Tensor]
    rows: dict[str, Tensor]
    source_per_target: float
    importance: dict[str, Tensor] = field(default_factory=dict)

    def pairs(self, model: nn.Module) -> "list[tuple[str, nn.Parameter, Tensor, Tensor | None]]":
        """(name, parameter, source values, rows or None) of every weight that exists in both."""
        parameters = dict(model.named_parameters())
        return [
            (name, parameters[name], value, self.rows.get(name))
            for name, value in self.values.items()
        ]

    @torch.no_grad()
    def put_back(self, model: nn.Module, names: Iterable[str]) -> None:
        """W = W_s for the named weights, in place; rows that the source does not have stay."""
        for name in names:
            parameter, value = model.get_parameter(name), self.values[name]
            rows = self.rows.get(name)
            if rows is None:
                parameter.copy_(value)
            else:
                parameter[rows] = value[rows]

    def to(self, device: torch.device) -> "Anchor":
        """The same anchor on another device."""
        return Anchor(
            {name: value.to(device) for name, value in self.values.items()},
            {name: rows.to(device) for name, rows in self.rows.items()},
            self.source_per_target,
            {name: value.to(device) for name, value in self.importance.items()},
        )


def lay_over(
    model: nn.Module,
    source: Mapping[str, Tensor],
    item_tables: tuple[str, ...],
    user_tables: tuple[str, ...],
    item_rows: Tensor,
    user_rows: Tensor,
    source_per_target: float,
    importance: Mapping[str, Tensor] | None = None,
) -> Anchor:
    """Match the weights of a source model with those of a target model.

    Args:
        model: the target model.
        source: source weights by parameter name.
        item_tables, user_tables: names of parameters whose rows are items or users.
        item_rows: (R, 2) target row and source row of the items that exist in both.
        user_rows: (R, 2) likewise for users.
        source_per_target: n_s / n_t.
        importance: of each source weight, by parameter name, >= 0 in any unit.

    Raises:
        ValueError: a weight of the same name has another shape, so the models are not alike.
    """
    parameters = {name: p for name, p in model.named_parameters() if name in source}
    matched = dict.fromkeys(item_tables, item_rows) | dict.fromkeys(user_tables, user_rows)

    def lay(given: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {
            name: _laid_out(name, given[name], parameter, matched.get(name))
            for name, parameter in parameters.items()
        }

    values = lay(source)
    rows = {name: matched[name][:, 0] for name in values if name in matched}
    weighed = _of_mean_one(lay(importance), rows) if importance is not None else {}
    return Anchor(values, rows, source_per_target, weighed)


def _laid_out(name: str, given: Tensor, parameter: Tensor, matched: Tensor | None) -> Tensor:
    """A source tensor in the shape of the target's parameter, zero in rows without a match."""
    given = given.to(parameter.dtype)
    if matched is not None:
        value = torch.zeros_like(parameter)
        value[matched[:, 0]] = given[matched[:, 1]]
        return value
    if given.shape != parameter.shape:
        raise ValueError(
            f"weight {name} has shape {tuple(given.shape)} in the source model and "
            f"{tuple(parameter.shape)} in the target model"
        )
    return given.clone()


def _of_mean_one(laid: dict[str, Tensor], rows: dict[str, Tensor]) -> dict[str, Tensor]:
    """Importance divided by its mean over the weights that exist in both; all zeros stay."""
    matched = {name: x[rows[name]] if name in rows else x for name, x in laid.items()}
    total = sum(float(x.double().sum()) for x in matched.values())
    if total == 0:
        return laid
    mean = total / sum(x.numel() for x in matched.values())
    return {name: x / mean for name, x in laid.items()}
