"""The configured Trainer of a stage, and the device that it computes on."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.strategies import ModelParallelStrategy

from crossrec.stages.settings import Part, Settings
from crossrec.training.progress import StageBar
from crossrec.world import n_machines, n_ranks

FSDP = "fsdp"  # trainer.strategy where the ranks that were started share a language model


def trainer_of(settings: Settings, stage: str) -> Callable[..., L.Trainer]:
    """Makes the Trainer of a stage; what the configuration says reaches it untouched."""

    def make(callbacks: list[L.Callback], **limits: Any) -> L.Trainer:
        callbacks = [*callbacks, *settings.callbacks(stage)]
        if settings.trainer.config.get("enable_progress_bar", True):
            callbacks = [*callbacks, StageBar(stage)]
        logger = settings.logger(stage) or False
        limits = {"strategy": strategy_of(settings.trainer), **started(), **limits}
        return settings.trainer.make(
            callbacks=callbacks, logger=logger, default_root_dir=settings.run_folder, **limits
        )

    return make


def strategy_of(trainer: Part) -> str:
    """How ranks share a training, as Lightning calls it: started ones need not be spawned, and
    recommenders are small enough for each rank to hold a copy."""
    strategy = str(trainer.config["strategy"])
    if n_ranks() == 1:
        return "auto" if strategy == FSDP else strategy
    return "ddp_find_unused_parameters_true" if strategy == FSDP else strategy.replace("_spawn", "")


def shards(trainer: Part) -> bool:
    """Whether each rank holds a part of a language model that is pretrained."""
    return n_ranks() > 1 and trainer.config["strategy"] == FSDP


def sharded(trainer: Part) -> dict[str, Any]:
    """How a language model is pretrained, in the words of Lightning's Trainer: in shards, or by
    one process, for a bounded stage does not earn the start of several."""
    if shards(trainer):
        strategy = ModelParallelStrategy(data_parallel_size=n_ranks(), tensor_parallel_size=1)
        return {"strategy": strategy, **started()}
    return {"strategy": "auto", "devices": 1, "num_nodes": 1}


def started() -> dict[str, int]:
    """What torchrun or SLURM started, in the words of Lightning's Trainer; {} if nothing."""
    if n_ranks() == 1:
        return {}
    return {"devices": n_ranks() // n_machines(), "num_nodes": n_machines()}


def device_of(settings: Settings) -> str:
    """Where encoding, ranking and recommending run: the trainer's accelerator."""
    return "cuda" if settings.trainer.config["accelerator"] in ("gpu", "cuda") else "cpu"


def processes_of(settings: Settings) -> int:
    """How many processes the trainer's devices ask for: one for each of several."""
    devices = settings.trainer.config["devices"]
    if isinstance(devices, list):
        return len(devices)
    if str(devices) in ("auto", "-1"):  # all GPUs that there are; of processors there is one
        return max(1, torch.cuda.device_count()) if device_of(settings) == "cuda" else 1
    return int(devices)
