"""Choosing weights on validation alone: what is logged, when to stop, what is kept."""

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor, nn
from torchmetrics import MeanMetric, MeanSquaredError

from crossrec.data.domain import Domain
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import ScoreBlock, rank
from crossrec.training.averaging import AveragedWeights
from crossrec.training.objectives import Objective, Rating
from crossrec.training.ranks import SpawnedRank
from crossrec.training.resuming import Progress, Resuming
from crossrec.training.row_wise import RowWiseAdamW

MakeTrainer = Callable[[list[Callback]], L.Trainer]


class ValidatedTraining(L.LightningModule):
    """A training whose weights are chosen by how a domain's validation queries are ranked.

    Logs `train/loss`, the mean over the rows of an epoch's batches, and `valid/ndcg@10` (exact full
    ranking, ties against the model) after each epoch; for the rating objective `valid/rmse`, too.

    Args:
        model: what is trained.
        domain: where it is validated.
        objective: of that domain, not yet prepared.
        learning_rate, weight_decay: of AdamW.
    """

    def __init__(
        self,
        model: nn.Module,
        domain: Domain,
        objective: Objective,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        super().__init__()
        objective.prepare(domain)
        self.model = model
        self.domain = domain
        self.objective = objective
        self.learning_rate, self.weight_decay = learning_rate, weight_decay
        self.optimizer: RowWiseAdamW | None = None  # while it trains
        self.valid_ndcg = MeanMetric()
        self.valid_error = MeanSquaredError(squared=False)
        # Buffers, so that they come back from spawned ranks together with the weights.
        self.best_score: Tensor
        self.best_epoch: Tensor
        self.n_epochs: Tensor
        self.n_steps: Tensor
        self.register_buffer("best_score", torch.tensor(float("nan")))
        for name in ("best_epoch", "n_epochs", "n_steps"):
            self.register_buffer(name, torch.tensor(-1))

    def __setattr__(self, name: str, value: Any) -> None:
        """Lightning notes the running hook here some fifty times a step: at once, without asking
        as torch does whether it is a parameter."""
        if name == "_current_fx_name":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def on_train_epoch_start(self) -> None:
        """No loss is noted yet."""
        self._total = torch.zeros((), dtype=torch.float64, device=self.device)
        self._rows = 0

    def on_train_end(self) -> None:
        """The best weights are in the model."""
        if self.optimizer is not None:
            self.optimizer.release()
            self.optimizer = None

    def note(self, loss: Tensor, n_rows: int) -> None:
        """Count the loss of a batch. It is logged once an epoch: at every step that would cost as
        much as the step, and an accelerator would have to be waited for."""
        self._total.add_(loss.detach(), alpha=n_rows)
        self._rows += n_rows

    def on_train_epoch_end(self) -> None:
        """Log the mean over the rows of the epoch's batches."""
        if self.optimizer is not None:
            self.optimizer.read_all()
        # An epoch of DP-SGD may have drawn nobody.
        self.log("train/loss", self._total / max(self._rows, 1), sync_dist=True)

    def validate(self, score_block: ScoreBlock, rows: Tensor) -> None:
        """Rank some of the validation queries and log how well they are ranked so far.

        Args:
            score_block: scores of the queries, by their place in `rows`.
            rows: (R,) numbers of the queries.
        """
        rows = rows.cpu()
        queries = self.domain.valid.queries(rows)
        ranking = rank(score_block, queries, self.domain.n_items, 10, beyond_k=False)
        values = ndcg(ranking.truth_ranks, queries.truth_offsets, 10)
        counted = self.global_rank < len(self.domain.valid)  # see `Queries.of_rank`
        self.valid_ndcg.update(values.to(self.device), weight=float(counted))
        self.log("valid/ndcg@10", self.valid_ndcg, prog_bar=True)
        if isinstance(self.objective, Rating):
            observed = self.domain.valid.truths(rows)[2]
            known = ~observed.isnan() & counted
            predicted = self.objective.mean + ranking.truth_scores
            self.valid_error.update(*(x[known].to(self.device) for x in (predicted, observed)))
            self.log("valid/rmse", self.valid_error, prog_bar=True)

    def row_tables(self) -> list[nn.Parameter]:
        """Tables that are so large, and read in such a way, that they are trained row by row."""
        return []

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on everything that moves."""
        moving = [p for p in self.parameters() if p.requires_grad]
        self.optimizer = RowWiseAdamW(
            moving, self.row_tables(), self.learning_rate, self.weight_decay
        )
        return self.optimizer

    def on_validation_start(self) -> None:
        """Weights are looked at as a whole, and may be kept."""
        if self.optimizer is not None:
            self.optimizer.read_all()

    def account(self) -> dict[str, float | int | str]:
        """What the training came to, once it is over."""
        return {
            "monitor": self.objective.monitor,
            "best": float(self.best_score),
            "best_epoch": int(self.best_epoch),
            "epochs": int(self.n_epochs),
            "steps": int(self.n_steps),
        }


class BestWeights(Callback):
    """Keeps the weights that validation liked best and leaves them in the model at the end.

    Only weights after at least one training step count. They stay in memory: nothing is written
    that could be mistaken for a finished model; a checkpoint holds them, too.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor, self.sign = monitor, 1.0 if mode == "max" else -1.0
        self.best: dict[str, Tensor] | None = None
        self.score = float("-inf")
        self.epoch = -1

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"best": self.best, "score": self.score, "epoch": self.epoch}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """From a checkpoint."""
        self.best, self.score = state_dict["best"], state_dict["score"]
        self.epoch = state_dict["epoch"]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Copy the weights if this validation is the best so far."""
        if trainer.sanity_checking or self.monitor not in trainer.callback_metrics:
            return
        score = self.sign * float(trainer.callback_metrics[self.monitor])
        if self.best is None or score > self.score:
            self.score, self.epoch = score, trainer.current_epoch
            self.best = {
                k: v.detach().clone()
                for k, v in pl_module.get_submodule("model").state_dict().items()
            }

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Put the best weights back."""
        if self.best is not None:
            pl_module.get_submodule("model").load_state_dict(self.best)
            pl_module.get_buffer("best_score").fill_(self.sign * self.score)
            pl_module.get_buffer("best_epoch").fill_(self.epoch)
            pl_module.get_buffer("n_epochs").fill_(trainer.current_epoch)
            pl_module.get_buffer("n_steps").fill_(trainer.global_step)


class WholeEpochs(Callback):
    """Every epoch trains on all of its batches and ends with a validation.

    Windows of like length share a batch, so epochs, which differ in their order, differ by some
    batches. Lightning counts those of the first epoch alone: it would leave out the last batches of
    a longer one, and the validation of a shorter one.
    """

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Tell Lightning how many there are now, unless the user asked for a part of them."""
        if trainer.limit_train_batches != 1.0 or trainer.val_check_interval != 1.0:
            return
        loop: Any = trainer.fit_loop  # no public name leads to the bounds below
        n_batches = len(loop._combined_loader.iterables)
        loop.max_batches = trainer.val_check_batch = n_batches
        loop._combined_loader.limits = [n_batches]
        loop._data_fetcher.length = n_batches  # of a pass that was begun before its epoch was known


def fit(
    module: ValidatedTraining,
    data: L.LightningDataModule,
    make_trainer: MakeTrainer,
    training: Mapping[str, Any],
    progress: Progress | None,
    resumed: bool,
) -> dict[str, float | int | str]:
    """Train until validation has not become better for long, and keep what it liked best.

    Args:
        make_trainer: makes the Trainer with callbacks.
        training: patience in epochs, and averaging: the decay of `AveragedWeights`, or 0 for the
            weights as they are.
        progress: where to write how far it is; None writes nothing.
        resumed: whether to go on from there.

    Returns:
        The account of the training.
    """
    monitor, mode = module.objective.monitor, module.objective.mode
    callbacks: list[Callback] = [
        EarlyStopping(monitor, mode=mode, patience=training["patience"]),
        BestWeights(monitor, mode),
        WholeEpochs(),
        SpawnedRank(),
    ]
    if training["averaging"]:
        callbacks.append(AveragedWeights(training["averaging"]))
    if progress is not None:
        callbacks.append(Resuming(progress))
    trainer = make_trainer(callbacks)
    with warnings.catch_warnings():
        # A language model has no dropout, and a training that goes on has no first epoch.
        warnings.filterwarnings("ignore", "Found .* in eval mode")
        trainer.fit(
            module, datamodule=data, ckpt_path=str(progress.file) if progress and resumed else None
        )
    return module.account()
