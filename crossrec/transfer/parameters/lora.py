"""Low-rank adaptation: linear maps keep the source weights and learn a small difference."""

import re
from collections.abc import Sequence
from typing import Any

from torch import nn

from crossrec.errors import UserError
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.finetune import Finetune


class LoRA(Finetune):
    """W = W_s + (alpha / r) * B A in linear layers, with A and B of rank r learned (peft's LoRA).

    Hu et al., ICLR 2022, section 4.1. B starts at zero, so training starts at the source's
    function; weight decay shrinks A and B, so it pulls toward W_s and not toward zero.

    Frozen at W_s is all that is carried: the adapted maps with their biases, other layers' weights
    (norms, positions, scalars), and rows of tables that exist in the source. Free are A and B, rows
    that the source does not have (a new item's id), and weights that it does not have at all. A
    language model that learned with the source's recommender (`end_to_end`) is carried with what it
    learned, which is low-rank already, and frozen; `l2_sp` lets it go on learning. After
    training (alpha / r) * B A is added to W_s, and the model is what it was made as again.

    Args:
        rank: r.
        alpha: alpha; the difference is scaled by alpha / r.
        dropout: share of the inputs of A that training drops.
        modules: beginnings of the names of the linear layers to adapt; all carried ones if empty.
            A layer whose weight another module reads by itself (nn.MultiheadAttention's out_proj)
            is no such layer: it stays frozen.

    Raises:
        UserError: a value out of range, or, at the start, a model without such a layer or a name
            that fits none.
    """

    def __init__(
        self,
        rank: int = 4,
        alpha: int = 8,
        dropout: float = 0.0,
        modules: Sequence[str] = (),
    ) -> None:
        if rank < 1:
            raise UserError(f"transfer.rank must be >= 1, got {rank}")
        if alpha < 1:
            raise UserError(f"transfer.alpha must be >= 1, got {alpha}")
        if not 0 <= dropout < 1:
            raise UserError(f"transfer.dropout must be >= 0 and < 1, got {dropout}")
        self.rank, self.alpha, self.dropout = rank, alpha, dropout
        self.modules = tuple(modules)

    def start(self, model: nn.Module, anchor: Anchor) -> None:
        """Copy the source weights, freeze them, and put A and B beside the linear layers."""
        # Not above: peft takes seconds to import, which only this method should cost.
        from peft import LoraConfig, inject_adapter_in_model

        super().start(model, anchor)
        layers = self.layers(model, anchor)
        free = {
            name
            for name, parameter in model.named_parameters()
            if name not in anchor.values
            or (name in anchor.rows and len(anchor.rows[name]) < len(parameter))
        }
        config = LoraConfig(
            r=self.rank,
            lora_alpha=self.alpha,
            lora_dropout=self.dropout,
            target_modules="|".join(re.escape(name) for name in layers),
        )
        inject_adapter_in_model(config, model)  # which freezes all but A and B
        for name in free:
            model.get_parameter(name).requires_grad_()

    def layers(self, model: nn.Module, anchor: Anchor) -> list[str]:
        """Names of the linear layers to adapt.

        Raises:
            UserError: there is none, or none that begins with one of `modules`.
        """
        carried = [
            name
            for name, module in model.named_modules()
            if type(module) is nn.Linear and f"{name}.weight" in anchor.values
        ]
        if not carried:
            raise UserError(
                "transfer=lora adapts linear layers, but this model carries none: choose another "
                "model (model=two_tower), let it read content, or use transfer=l2_sp"
            )
        for name in self.modules:
            if not any(layer.startswith(name) for layer in carried):
                raise UserError(
                    f"transfer.modules: no carried linear layer begins with {name!r}; there are "
                    f"{', '.join(carried)}"
                )
        return [name for name in carried if not self.modules or name.startswith(self.modules)]

    def after_step(self, model: nn.Module, anchor: Anchor, learning_rate: float) -> None:
        """Put rows of tables that exist in the source back where the source had them."""
        anchor.put_back(model, anchor.rows)

    def finish(self, model: nn.Module, anchor: Anchor) -> dict[str, Any]:
        """Add (alpha / r) * B A to the linear layers and take A and B out of the model."""
        # Not above: it knows transformers, which takes seconds to import.
        from crossrec.encoders.low_rank import merge_low_rank

        merge_low_rank(model)
        return {}
