"""Source weights laid over a target model: which of its weights exist in both, and their values."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Anchor:
    """Where W and W_s overlap.

    Attributes:
        values: by parameter name, W_s laid out in the shape of the target's parameter.
        rows: by parameter name, (R,) rows of a table that exist in both; absent means all.
        source_per_target: n_s / n_t, training interactions of the source for each of the target.
    """

    values: dict[str, Tensor]
    rows: dict[str, Tensor]
    source_per_target: float

    def pairs(self, model: nn.Module) -> "list[tuple[str, nn.Parameter, Tensor, Tensor | None]]":
        """(name, parameter, source values, rows or None) of every weight that exists in both."""
        parameters = dict(model.named_parameters())
        return [
            (name, parameters[name], value, self.rows.get(name))
            for name, value in self.values.items()
        ]

    def to(self, device: torch.device) -> "Anchor":
        """The same anchor on another device."""
        return Anchor(
            {name: value.to(device) for name, value in self.values.items()},
            {name: rows.to(device) for name, rows in self.rows.items()},
            self.source_per_target,
        )


def lay_over(
    model: nn.Module,
    source: Mapping[str, Tensor],
    item_tables: tuple[str, ...],
    user_tables: tuple[str, ...],
    item_rows: Tensor,
    user_rows: Tensor,
    source_per_target: float,
) -> Anchor:
    """Match the weights of a source model with those of a target model.

    Args:
        model: the target model.
        source: source weights by parameter name.
        item_tables, user_tables: names of parameters whose rows are items or users.
        item_rows: (R, 2) target row and source row of the items that exist in both.
        user_rows: (R, 2) likewise for users.
        source_per_target: n_s / n_t.

    Raises:
        ValueError: a weight of the same name has another shape, so the models are not alike.
    """
    values: dict[str, Tensor] = {}
    rows: dict[str, Tensor] = {}
    for name, parameter in model.named_parameters():
        if name not in source:
            continue
        given = source[name].to(parameter.dtype)
        if name in item_tables or name in user_tables:
            matched = item_rows if name in item_tables else user_rows
            value = torch.zeros_like(parameter)
            value[matched[:, 0]] = given[matched[:, 1]]
            values[name], rows[name] = value, matched[:, 0]
        elif given.shape == parameter.shape:
            values[name] = given.clone()
        else:
            raise ValueError(
                f"weight {name} has shape {tuple(given.shape)} in the source model and "
                f"{tuple(parameter.shape)} in the target model"
            )
    return Anchor(values, rows, source_per_target)
