"""The language-modeling side of a model: which objective it serves, and its head."""

from pathlib import Path

import torch
from torch import nn
from transformers import (
    MODEL_FOR_CAUSAL_LM_MAPPING,
    MODEL_FOR_MASKED_LM_MAPPING,
    AutoConfig,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    PreTrainedModel,
)

from crossrec.encoders.quiet import quiet
from crossrec.errors import UserError

OBJECTIVES = {
    "masked": (AutoModelForMaskedLM, MODEL_FOR_MASKED_LM_MAPPING),
    "causal": (AutoModelForCausalLM, MODEL_FOR_CAUSAL_LM_MAPPING),
}


def objective_of(model_folder: Path) -> str:
    """ "masked" for an encoder such as BERT, "causal" for a decoder such as LLaMA or GPT."""
    config = AutoConfig.from_pretrained(model_folder, trust_remote_code=False)
    made_causal = any(name.endswith("ForCausalLM") for name in config.architectures or ())
    return "masked" if type(config) in MODEL_FOR_MASKED_LM_MAPPING and not made_causal else "causal"


def open_with_head(model_folder: Path, objective: str, seed: int) -> tuple[PreTrainedModel, bool]:
    """The folder's network with its language-modeling head, float32, without dropout.

    A head that the folder lacks is drawn from `seed`.

    Returns:
        the network, and whether (a part of) its head is such a fresh one.

    Raises:
        UserError: if the objective is unknown or the architecture cannot serve it.
    """
    if objective not in OBJECTIVES:
        raise UserError(
            f"pretraining.objective={objective}: expected auto or one of {', '.join(OBJECTIVES)}"
        )
    auto_class, mapping = OBJECTIVES[objective]
    config = AutoConfig.from_pretrained(model_folder, trust_remote_code=False)
    if type(config) not in mapping or config.is_encoder_decoder:
        raise UserError(
            f"pretraining.objective={objective}: {model_folder} holds a {config.model_type} model, "
            "which has no such head. Use another objective, or pretraining=off"
        )
    with quiet(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network, report = auto_class.from_pretrained(
            model_folder,
            dtype=torch.float32,
            use_safetensors=True,
            trust_remote_code=False,
            output_loading_info=True,
        )
    # Evaluation mode on purpose: few steps over fresh texts do not overfit, and a training
    # without dropout draws no random numbers besides order and masks.
    return network.eval(), bool(report["missing_keys"])


def freeze_lower_layers(network: PreTrainedModel, trainable_layers: int) -> None:
    """Let only the last `trainable_layers` layers of the body learn, and the head.

    Raises:
        UserError: if the body has fewer layers.
    """
    layers = last_layers(network, trainable_layers)
    network.base_model.requires_grad_(False)
    for layer in layers.values():
        layer.requires_grad_(True)


def last_layers(network: PreTrainedModel, trainable_layers: int) -> dict[str, nn.Module]:
    """Name within the body -> layer, of the body's last `trainable_layers` layers.

    Raises:
        UserError: if the body has fewer layers.
    """
    layers = layers_of(network)
    if not 0 <= trainable_layers <= len(layers):
        raise UserError(
            f"pretraining.trainable_layers={trainable_layers}: this model has {len(layers)} layers"
        )
    return dict(list(layers.items())[len(layers) - trainable_layers :])


def layers_of(network: PreTrainedModel) -> dict[str, nn.Module]:
    """Name within the body -> layer, of all layers of the body, the lowest first.

    Raises:
        UserError: if they are not beside each other, as in ALBERT, which runs one again and again.
    """
    n_layers = network.config.num_hidden_layers
    for name, module in network.base_model.named_modules():
        if isinstance(module, nn.ModuleList) and len(module) == n_layers:
            return {f"{name}.{n}": layer for n, layer in enumerate(module)}
    raise UserError(
        f"this {network.config.model_type} model has no {n_layers} layers of their own: use "
        "pretraining.trainable_layers=null, another trainer than fsdp, or another model"
    )
