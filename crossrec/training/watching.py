"""A training watched from outside, epoch by epoch: for what ends hopeless runs early."""

from collections.abc import Callable
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback

from crossrec.training.pair_training import PairTraining
from crossrec.training.selection import ValidatedTraining

Say = Callable[[str, float, int], None]


class Watch(Callback):
    """Says after each validation what the training has come to so far.

    Of a method that trains in phases the last one counts: the others' validation does not choose
    the model.

    Args:
        say: takes the metric ("ndcg@10"), its best value so far and how many validations there
            were. What it raises ends the training.
    """

    def __init__(self, say: Say) -> None:
        self.say = say
        self.values: list[float] = []

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"values": self.values}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.values = state_dict["values"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say it."""
        assert isinstance(pl_module, ValidatedTraining)
        is_early = isinstance(pl_module, PairTraining) and (
            pl_module.phase != pl_module.model.phases[-1]
        )
        if trainer.sanity_checking or is_early:
            return
        monitor = pl_module.objective.monitor
        self.values.append(float(trainer.callback_metrics[monitor]))
        best = max(self.values) if pl_module.objective.mode == "max" else min(self.values)
        self.say(monitor.removeprefix("valid/"), best, len(self.values))
