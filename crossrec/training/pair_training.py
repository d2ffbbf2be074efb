"""Training a method that brings a network of its own: one Lightning training a phase."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.data.pair_datamodule import PairDataModule
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.training.fitting import check_trainable
from crossrec.training.objectives import Objective
from crossrec.training.ranks import SpawnedRank
from crossrec.training.resuming import Progress, stored_in
from crossrec.training.selection import MakeTrainer, ValidatedTraining, fit
from crossrec.transfer.pair_model import PairModel, Phase, domain_of


class PairTraining(ValidatedTraining):
    """One phase: steps that make the method's loss smaller, and validation on one side.

    Logs `train/loss`, and what `ValidatedTraining` says.

    Args:
        model: the method, built and in the phase.
        pair: source and target.
        phase: what is trained.
        make_objective: makes the objective of a side.
        learning_rate, weight_decay: of AdamW.
    """

    def __init__(
        self,
        model: PairModel,
        pair: DomainPair,
        phase: Phase,
        make_objective: Callable[[], Objective],
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        sides = {*phase.reads, phase.validates}
        objectives: dict[Side, Objective] = {side: make_objective() for side in sides}
        for side, objective in objectives.items():
            if side != phase.validates:
                objective.prepare(domain_of(pair, side))
        super().__init__(
            model,
            domain_of(pair, phase.validates),
            objectives[phase.validates],
            learning_rate,
            weight_decay,
        )
        self.model: PairModel = model
        self.phase = phase
        self.objectives = objectives
        self.phases: dict[str, Any] = {}  # that are over: their accounts, and what they left
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not phase.trains or name.startswith(phase.trains))

    def training_step(self, batches: dict[Side, Batch], batch_idx: int) -> Tensor:
        """One batch of each side that the phase reads; ranks' parts of it count alike."""
        loss = self.model.loss(batches, self.objectives)
        self.note(loss, max(batch.n_whole or len(batch.users) for batch in batches.values()))
        return loss

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Which phase this is."""
        checkpoint["phases"] = self.phases

    def on_validation_epoch_start(self) -> None:
        """What all users share is made once an epoch."""
        self._scores = self.model.scorer(self.phase.validates)

    def validation_step(self, batch: tuple[Batch, Tensor], batch_idx: int) -> None:
        """Rank a block of queries."""
        histories, rows = batch
        self.validate(lambda chosen: self._scores(histories.part(chosen)).float(), rows)


def fit_pair(
    model: PairModel,
    pair: DomainPair,
    content: Content,
    make_objective: Callable[[], Objective],
    make_trainer: MakeTrainer,
    training: dict[str, Any],
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Build a method's network and train it, phase after phase, in place.

    A training that was killed goes on from its progress, and ends as it would have ended.

    Returns:
        The account of the last phase, and under "phases" that of each.
    """
    build_pair(model, pair, content, seed)
    if not model.phases:
        return _validate(model, pair, make_objective, make_trainer, training, seed)
    stored = stored_in(progress.file) if progress else None
    accounts = stored["phases"]["accounts"] if stored else []
    if stored:
        model.load_state_dict(stored["phases"]["entered"])
    for phase in model.phases[len(accounts) :]:
        entered = {k: v.clone() for k, v in model.state_dict().items()} if progress else {}
        model.enter(phase)
        module = PairTraining(
            model,
            pair,
            phase,
            make_objective,
            training["learning_rate"],
            training["weight_decay"],
        )
        module.phases = {"accounts": accounts, "entered": entered}
        for side in {*phase.reads, phase.validates}:
            check_trainable(domain_of(pair, side))
        L.seed_everything(seed, verbose=False)
        data = PairDataModule(
            {side: domain_of(pair, side) for side in phase.reads},
            domain_of(pair, phase.validates),
            model.max_history,
            training["events_per_batch"],
            seed,
        )
        make = _bounded(make_trainer, phase.epochs)
        account = fit(module, data, make, training, progress, bool(stored))
        accounts = [*accounts, {"phase": phase.name, **account}]
        stored = None
    return {**accounts[-1], "phases": accounts}


def _bounded(make_trainer: MakeTrainer, epochs: int | None) -> MakeTrainer:
    """Makes trainers that stop after so many epochs, if they would go on."""

    def make(callbacks: list[Callback]) -> L.Trainer:
        trainer = make_trainer(callbacks)
        if epochs is not None:
            trainer.fit_loop.max_epochs = min(epochs, trainer.max_epochs or epochs)
        return trainer

    return make


def _validate(
    model: PairModel,
    pair: DomainPair,
    make_objective: Callable[[], Objective],
    make_trainer: MakeTrainer,
    training: dict[str, Any],
    seed: int,
) -> dict[str, Any]:
    """The account of a method that trains nothing: what it reaches in validation as it is."""
    check_trainable(pair.target)
    module = PairTraining(model, pair, Phase("none", reads=()), make_objective, 0.0, 0.0)
    data = PairDataModule({}, pair.target, model.max_history, training["events_per_batch"], seed)
    trainer = make_trainer([SpawnedRank()])
    trainer.validate(module, datamodule=data, verbose=False)
    monitor = module.objective.monitor
    best = float(trainer.callback_metrics[monitor])
    return {"monitor": monitor, "best": best, "best_epoch": -1, "epochs": 0, "steps": 0}


def build_pair(model: PairModel, pair: DomainPair, content: Content, seed: int) -> None:
    """Make a method's parameters, in place, and put it in its last phase, if it has any."""
    torch.manual_seed(seed)
    model.build(pair, content)
    if model.phases:
        model.phase = model.phases[-1].name
