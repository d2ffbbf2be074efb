"""A moving average of the weights, which is validated and kept in their place."""

from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn


class AveragedWeights(Callback):
    """What is validated, and kept if it is best, is an average over the last steps' weights.

    Single steps of a stochastic gradient wander around an optimum whose middle their average finds
    (Polyak and Juditsky, SIAM J. Control Optim. 1992). After step t, with d = `decay`,

        average <- d_t * average + (1 - d_t) * weights,    d_t = min(d, (1 + t) / (10 + t)),

    so that the first steps, far from where the training leads, are soon forgotten (TensorFlow's
    ExponentialMovingAverage has the same d_t). Training itself goes on from the weights as they
    are. Lightning's callback for this takes the average away before `BestWeights` looks, and
    copies all data that the module holds.

    Args:
        decay: d, 0 < d < 1; about 1 / (1 - d) steps have a part in the average.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.average: dict[str, Tensor] = {}
        self.weights: dict[str, Tensor] = {}  # while the average is in their place

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"steps": self.steps, "average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.steps, self.average = state_dict["steps"], state_dict["average"]

    def on_train_batch_start(
        self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """The step before this one is over, and so is what a transfer method does after it."""
        self.include(trainer.global_step, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the average in the place of the weights."""
        if trainer.sanity_checking:
            return
        self.include(trainer.global_step, pl_module)
        for name, parameter in moving(pl_module).items():
            self.weights[name] = parameter.detach().clone()
            parameter.data.copy_(self.average[name])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the weights back."""
        parameters = dict(pl_module.get_submodule("model").named_parameters())
        while self.weights:
            name, weights = self.weights.popitem()
            parameters[name].data.copy_(weights)

    @torch.no_grad()
    def include(self, steps: int, module: L.LightningModule) -> None:
        """Take the weights after so many steps into the average, if they are not yet in it."""
        if steps == self.steps:
            return
        self.steps = steps
        optimizer: Any = module.optimizer
        optimizer.read_all()
        share = 1 - min(self.decay, (1 + steps) / (10 + steps))
        for name, parameter in moving(module).items():
            if name not in self.average:  # the first step, or a method has freed it just now
                self.average[name] = parameter.detach().clone()
            self.average[name] = self.average[name].to(parameter.device).lerp_(parameter, share)


def moving(module: L.LightningModule) -> dict[str, nn.Parameter]:
    """The parameters of its model that are trained, by name."""
    named = module.get_submodule("model").named_parameters()
    return {name: parameter for name, parameter in named if parameter.requires_grad}
