"""Lightning checkpoints between epochs, as safetensors and JSON: a killed training goes on."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import CheckpointIO
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor

from crossrec.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint


@dataclass(frozen=True)
class Progress:
    """Where a training writes down how far it is.

    Attributes:
        file: the checkpoint, one of its own; for the caller to remove.
        partial: see `write_checkpoint`.
        minutes: from one checkpoint to the next, at least; 0 for one after every epoch.
    """

    file: Path
    partial: Path
    minutes: float


class Resuming(L.Callback):
    """Writes a checkpoint between two epochs whenever one is due, and takes a training up again.

    Lightning puts back weights, the optimizer's moments, counters and the state of all callbacks;
    this one adds the random numbers of every rank and the learning curve as it was. What is dealt
    to whom depends on seed and epoch alone.
    """

    def __init__(self, progress: Progress) -> None:
        self.progress = progress
        self.resumed: dict[str, Any] | None = None

    def setup(self, trainer: L.Trainer, pl_module: L.LightningModule, stage: str) -> None:
        """What is to be taken up again, is read as it was written."""
        self.others = trainer.strategy.checkpoint_io
        trainer.strategy.checkpoint_io = SafeCheckpoints(self.progress.partial)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The clock starts; a curve goes on where it was."""
        self.written = time.monotonic()
        # Spawned ranks hand their weights over in a file of Lightning's own.
        trainer.strategy.checkpoint_io = self.others
        if self.resumed is not None and trainer.is_global_zero:
            for logger, rows in zip(_curves(trainer), self.resumed["curves"], strict=False):
                file = Path(logger.experiment.metrics_file_path)
                file.write_bytes(rows.encode())
                logger.experiment.metrics_keys = rows.partition("\n")[0].strip().split(",")

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the random numbers back, or write a checkpoint if one is due."""
        if self.resumed is not None:
            _put_random_states(trainer, self.resumed["random"])
            self.resumed = None
            return
        waited = time.monotonic() - self.written
        due = trainer.current_epoch > 0 and waited >= 60 * self.progress.minutes
        if trainer.strategy.reduce_boolean_decision(due, all=False):
            trainer.strategy.checkpoint_io = SafeCheckpoints(self.progress.partial)
            trainer.save_checkpoint(self.progress.file)
            trainer.strategy.checkpoint_io = self.others
            self.written = time.monotonic()

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """What Lightning does not write; every rank is here."""
        for count in checkpoint["loops"]["fit_loop"]["epoch_progress"].values():
            count["ready"] -= 1  # the epoch at whose start this is: it is to be begun again
        checkpoint["random"] = _random_states(trainer)
        checkpoint["curves"] = []
        for logger in _curves(trainer) if trainer.is_global_zero else []:
            logger.save()
            file = Path(logger.experiment.metrics_file_path)
            checkpoint["curves"].append(file.read_bytes().decode())

    def on_load_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep for later what is put back once training starts."""
        self.resumed = {key: checkpoint[key] for key in ("random", "curves")}


class SafeCheckpoints(CheckpointIO):
    """Lightning's checkpoints as safetensors and JSON.

    Args:
        partial: see `write_checkpoint`.
    """

    def __init__(self, partial: Path) -> None:
        self.partial = partial

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write it whole or not at all."""
        tensors: dict[str, Tensor] = {}
        packed = _pack(checkpoint, tensors)
        account = {"checkpoint": packed}
        write_checkpoint(
            Path(path), self.partial, Checkpoint(checkpoint["global_step"], tensors, account)
        )

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """What was written; {} if that cannot be read."""
        return stored_in(Path(path)) or {}

    def remove_checkpoint(self, path: Any) -> None:
        """Remove the file."""
        Path(path).unlink(missing_ok=True)


def stored_in(file: Path) -> dict[str, Any] | None:
    """The Lightning checkpoint in a file; None if there is none that can be read."""
    found = read_checkpoint(file)
    if found is None:
        return None
    checkpoint: dict[str, Any] = _unpack(found.account["checkpoint"], found.tensors)
    return checkpoint


def _pack(value: Any, tensors: dict[str, Tensor]) -> Any:
    """A value as JSON has it; its tensors go to `tensors` and leave their names.

    Raises:
        TypeError: it holds something else than tensors and plain values.
    """
    if value is None or isinstance(value, str | int | float | bool):
        return value
    if isinstance(value, Tensor):
        name = f"{len(tensors):05}"
        tensors[name] = value.detach().clone()  # safetensors refuses tensors that share memory
        return {"tensor": name}
    if isinstance(value, Mapping):
        pairs = [[_pack(k, tensors), _pack(v, tensors)] for k, v in value.items()]
        return {"mapping": pairs}
    if isinstance(value, list | tuple):
        return {type(value).__name__: [_pack(each, tensors) for each in value]}
    raise TypeError(f"a checkpoint holds tensors and plain values, not a {type(value).__name__}")


def _unpack(packed: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(packed, dict):
        return packed
    ((kind, content),) = packed.items()
    if kind == "tensor":
        return tensors[content]
    if kind == "mapping":
        return {_unpack(k, tensors): _unpack(v, tensors) for k, v in content}
    values = [_unpack(each, tensors) for each in content]
    return tuple(values) if kind == "tuple" else values


def _curves(trainer: L.Trainer) -> list[CSVLogger]:
    return [logger for logger in trainer.loggers if isinstance(logger, CSVLogger)]


def _random_states(trainer: L.Trainer) -> dict[str, Tensor]:
    """(ranks, bytes) of each generator."""
    device = trainer.strategy.root_device
    states = {"cpu": torch.get_rng_state()}
    if device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(device)
    return {
        name: trainer.strategy.all_gather(state.to(device)).view(trainer.world_size, -1).cpu()
        for name, state in states.items()
    }


def _put_random_states(trainer: L.Trainer, states: Mapping[str, Tensor]) -> None:
    torch.set_rng_state(states["cpu"][trainer.global_rank].clone())  # not a view
    if "cuda" in states:
        mine = states["cuda"][trainer.global_rank].clone()
        torch.cuda.set_rng_state(mine, trainer.strategy.root_device)
    # From its second epoch on an undisturbed training asks its loader for a new pass here, which
    # draws a number; a resumed one has asked before.
    torch.empty((), dtype=torch.int64).random_()
