"""What a killed pretraining needs to go on as if nothing had happened, in one safetensors file."""

import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """Where a training stood.

    Attributes:
        step: optimizer steps that were taken.
        tensors: weights, moments and other state by name.
        account: what was measured and counted so far.
    """

    step: int
    tensors: dict[str, Tensor]
    account: dict[str, Any]

    def group(self, name: str) -> dict[str, Tensor]:
        """The tensors of a group by their names in it."""
        start = f"{name}:"
        return {k.removeprefix(start): t for k, t in self.tensors.items() if k.startswith(start)}


def write_checkpoint(file: Path, partial: Path, checkpoint: Checkpoint) -> None:
    """Write a checkpoint whole or not at all.

    Args:
        file: where it is to be, in place of an earlier one.
        partial: a file of the same file system that only this process writes.
        checkpoint: to write.
    """
    state = {"step": checkpoint.step, "account": checkpoint.account}
    tensors = {name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()}
    save_file(tensors, partial, metadata={"state": json.dumps(state)})
    partial.replace(file)


def read_checkpoint(file: Path) -> Checkpoint | None:
    """What `write_checkpoint` wrote last; None if there is nothing, or nothing that can be read."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            state = json.loads(stored.metadata()["state"])
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        log.warning("checkpoint %s is damaged (%s): pretraining starts anew", file, error)
        return None
    return Checkpoint(state["step"], tensors, state["account"])
