"""Low-rank adaptation of a language model's body: few weights learn, and are merged at the end."""

import re

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from crossrec.encoders.language_head import last_layers
from crossrec.errors import UserError

SCALE = 2  # alpha / r, fixed: another scale is another learning rate of B A, in effect


def add_low_rank(
    network: PreTrainedModel, rank: int, trainable_layers: int | None, seed: int
) -> None:
    """Freeze the body, and let W + (alpha / r) * B A stand for each W of its linear maps.

    Hu et al., ICLR 2022, section 4.1, through peft. A (r, inputs) is drawn from `seed`, B
    (outputs, r) is zero, so the network's function is at first the one it had. alpha = 2 r. The
    paper adapts the attention alone; here every linear map is adapted (GPT-2's Conv1D is one),
    and embeddings, norms and biases rest. The head is left as it is.

    Args:
        network: a transformers network, changed in place.
        rank: r >= 1.
        trainable_layers: only maps of the body's last so many layers; None for all of the body.
        seed: of A.

    Raises:
        UserError: if the body has fewer layers, or there is no linear map to adapt.
    """
    # Not above: peft takes seconds to import, which only this function should cost.
    from peft import LoraConfig, inject_adapter_in_model

    body = network.base_model
    roots = {"": body} if trainable_layers is None else last_layers(network, trainable_layers)
    maps = {
        f"{root}.{name}" if root else name: module
        for root, layer in roots.items()
        for name, module in layer.named_modules()
        if type(module) in (nn.Linear, Conv1D)
    }
    if not maps:
        raise UserError(
            f"pretraining.lora_rank={rank}: there is no linear map to adapt with "
            f"pretraining.trainable_layers={trainable_layers}; use another number of layers, or "
            "pretraining.lora_rank=null"
        )
    config = LoraConfig(
        r=rank,
        lora_alpha=SCALE * rank,
        target_modules="|".join(re.escape(name) for name in maps),
        fan_in_fan_out=any(type(module) is Conv1D for module in maps.values()),
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inject_adapter_in_model(config, body)  # which freezes all of the body but A and B


def merge_low_rank(adapted: nn.Module) -> None:
    """Add (alpha / r) * B A to the adapted maps, whose names are again those of before.

    Args:
        adapted: the module that peft put A and B into: a language model's body, a recommender.
    """
    from peft.tuners.lora import LoraLayer

    for name, layer in list(adapted.named_modules()):
        if isinstance(layer, LoraLayer):
            layer.merge()
            adapted.set_submodule(name, layer.get_base_layer())
    del adapted.peft_config
