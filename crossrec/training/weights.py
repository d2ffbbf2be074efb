"""Weights on disk: safetensors beside a JSON file, never a pickle."""

import json
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file
from torch import Tensor, nn


def save_weights(folder: Path, model: nn.Module, account: dict[str, Any]) -> None:
    """Write weights.safetensors (named parameters) and training.json."""
    weights = {name: p.detach().cpu().contiguous() for name, p in model.named_parameters()}
    save_file(weights, folder / "weights.safetensors")
    (folder / "training.json").write_text(json.dumps(account, indent=1) + "\n")


def read_weights(folder: Path) -> dict[str, Tensor]:
    """Weights by parameter name."""
    return load_file(folder / "weights.safetensors")


def put_weights(model: nn.Module, weights: dict[str, Tensor]) -> None:
    """Load saved weights into a model of the same shape, in place."""
    model.load_state_dict(weights, strict=True)
