"""The configured Trainer of a stage, and the device that it computes on."""

from collections.abc import Callable
from typing import Any

import lightning as L

from crossrec.settings import Settings
from crossrec.training.progress import StageBar


def trainer_of(settings: Settings, stage: str) -> Callable[..., L.Trainer]:
    """Makes the Trainer of a stage; what the configuration says reaches it untouched."""

    def make(callbacks: list[L.Callback], **limits: Any) -> L.Trainer:
        callbacks = [*callbacks, *settings.callbacks(stage)]
        if settings.trainer.config.get("enable_progress_bar", True):
            callbacks = [*callbacks, StageBar(stage)]
        logger = settings.logger(stage) or False
        return settings.trainer.make(
            callbacks=callbacks, logger=logger, default_root_dir=settings.run_folder, **limits
        )

    return make


def device_of(settings: Settings) -> str:
    """Where encoding, ranking and recommending run: the trainer's accelerator."""
    return "cuda" if settings.trainer.config["accelerator"] in ("gpu", "cuda") else "cpu"
