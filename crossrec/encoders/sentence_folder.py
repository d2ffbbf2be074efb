"""What a folder says of how its texts become vectors: sentence-transformers' files.

modules.json names a chain: Transformer, Pooling, and then any of Dense and Normalize. Its types
are known by their names, never imported, and weights are read from safetensors alone.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.functional import normalize

from crossrec.errors import UserError

POOLINGS = ("mean", "cls", "last", "weighted")
_POOLING_NAMES = {
    "mean": ("mean", "pooling_mode_mean_tokens"),
    "cls": ("cls", "pooling_mode_cls_token"),
    "last": ("lasttoken", "pooling_mode_lasttoken"),
    "weighted": ("weightedmean", "pooling_mode_weightedmean_tokens"),
}
_ACTIVATIONS = ("Identity", "Tanh", "ReLU", "GELU", "SiLU", "Sigmoid")


def pooling_of(folder: Path) -> str:
    """The pooling that a folder asks for, else "mean".

    Raises:
        UserError: if it asks for one that is not in `POOLINGS`, or for several.
    """
    file = folder / _pooling_folder(folder) / "config.json"
    if not file.is_file():
        return "mean"
    stated = _read(file)
    named = stated.get("pooling_mode", [])
    wanted = {named} if isinstance(named, str) else set(named)
    wanted |= {key for key, value in stated.items() if key.startswith("pooling_mode_") and value}
    found = [pooling for pooling, names in _POOLING_NAMES.items() if wanted & set(names)]
    if len(wanted) != 1 or not found:
        raise UserError(
            f"{file}: no pooling of {', '.join(POOLINGS)} alone; state one in encoder.pooling"
        )
    return found[0]


def prefix_of(folder: Path) -> str:
    """What a folder puts before every text: its default prompt, else nothing."""
    stated = _read(folder / "config_sentence_transformers.json")
    prompt = (stated.get("prompts") or {}).get(stated.get("default_prompt_name"))
    return prompt or ""


def pools_prefix(folder: Path) -> bool:
    """Whether the tokens of a prefix count in pooling."""
    stated = _read(folder / _pooling_folder(folder) / "config.json")
    return bool(stated.get("include_prompt", True))


def longest_text_of(folder: Path) -> int | None:
    """The longest text in tokens that a folder was made for; None where it does not say."""
    longest: int | None = _read(folder / "sentence_bert_config.json").get("max_seq_length")
    return longest


def lowers(folder: Path) -> bool:
    """Whether a folder wants its texts in lower case, whatever its tokenizer does."""
    return bool(_read(folder / "sentence_bert_config.json").get("do_lower_case"))


def said(texts: Sequence[str], folder: Path, prefix: str) -> list[str]:
    """Texts as a folder's model is to read them: after the prefix, in lower case if it wants it."""
    whole = [prefix + text for text in texts]
    return [text.lower() for text in whole] if lowers(folder) else whole


class Normalize(nn.Module):
    """Vectors (texts, d) scaled to length 1."""

    def forward(self, vectors: Tensor) -> Tensor:
        return normalize(vectors, dim=1)


def head_of(folder: Path) -> nn.Sequential:
    """What comes after pooling: (texts, hidden) -> (texts, d), in float32.

    Raises:
        UserError: for a module, an activation or a kind of weights that is not known.
    """
    layers: list[nn.Module] = []
    for kind, path in _modules(folder):
        if kind == "Dense":
            layers += _dense(folder / path)
        elif kind == "Normalize":
            layers.append(Normalize())
        elif kind not in ("Transformer", "Pooling"):
            raise UserError(
                f"{folder / 'modules.json'}: {kind} is no module of Transformer, Pooling, Dense "
                "and Normalize; use another encoder.model"
            )
    return nn.Sequential(*layers).eval()


def width_after(head: nn.Sequential, width: int) -> int:
    """Length of the vectors that `head` makes of vectors of length `width`."""
    widths = [layer.out_features for layer in head if isinstance(layer, nn.Linear)]
    return widths[-1] if widths else width


def _dense(folder: Path) -> list[nn.Module]:
    stated, weights = _read(folder / "config.json"), folder / "model.safetensors"
    activation = stated.get("activation_function", "torch.nn.modules.activation.Tanh")
    name = activation.rpartition(".")[2]
    if not activation.startswith("torch.nn.") or name not in _ACTIVATIONS:
        raise UserError(
            f"{folder / 'config.json'}: activation_function={activation} is none of "
            f"{', '.join(_ACTIVATIONS)} of torch.nn"
        )
    inputs = stated.get("module_input_name", "sentence_embedding")
    if stated.get("use_residual") or inputs != "sentence_embedding":
        raise UserError(
            f"{folder / 'config.json'}: only a plain map of the sentence's vector is known, "
            "neither use_residual nor another module_input_name; use another encoder.model"
        )
    if not weights.is_file():
        raise UserError(
            f"{folder} has no model.safetensors; weights in other formats can run code and are "
            "not read. Save the model again with safetensors"
        )
    with torch.device("meta"):
        linear = nn.Linear(stated["in_features"], stated["out_features"], stated.get("bias", True))
    tensors = {name.removeprefix("linear."): t.float() for name, t in load_file(weights).items()}
    linear.load_state_dict(tensors, assign=True)
    return [linear, getattr(nn, name)()]


def _pooling_folder(folder: Path) -> str:
    return next((path for kind, path in _modules(folder) if kind == "Pooling"), "1_Pooling")


def _modules(folder: Path) -> list[tuple[str, str]]:
    """Kind and folder of each module, in their order."""
    stated = _read(folder / "modules.json") or []
    return [(module["type"].rpartition(".")[2], module["path"]) for module in stated]


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
