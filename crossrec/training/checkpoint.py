"""What a killed training needs to go on as if nothing had happened, in one safetensors file."""

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
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
    """Write a checkpoint whole or not at all, with a checksum.

    Args:
        file: where it is to be, in place of an earlier one.
        partial: a file of the same file system that only this process writes.
        checkpoint: to write.
    """
    tensors = {name: t.detach().cpu().contiguous() for name, t in checkpoint.tensors.items()}
    state = {"step": checkpoint.step, "account": checkpoint.account}
    written = json.dumps(state)
    metadata = {"state": written, "sha256": _checksum(written, tensors)}
    save_file(tensors, partial, metadata=metadata)
    partial.replace(file)


def read_checkpoint(file: Path) -> Checkpoint | None:
    """What `write_checkpoint` wrote last; None if there is nothing, or if that was damaged."""
    if not file.is_file():
        return None
    try:
        with safe_open(file, framework="pt") as stored:
            written, checksum = (stored.metadata()[key] for key in ("state", "sha256"))
            tensors = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118
        if _checksum(written, tensors) != checksum:
            raise ValueError("it is not what was written")
        state = json.loads(written)
    except (OSError, SafetensorError, ValueError, KeyError, TypeError) as error:
        log.warning("checkpoint %s is damaged (%s): this training starts anew", file, error)
        return None
    return Checkpoint(state["step"], tensors, state["account"])


def _checksum(written: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(written.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"\0{name}\0{tensor.dtype}{list(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
