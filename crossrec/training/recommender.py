"""The LightningModule that trains a recommender on one domain, at the source or the target."""

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from torch import Tensor
from torchmetrics import MeanMetric, MeanSquaredError

from crossrec.data.domain import Domain
from crossrec.data.sequences import Batch
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import factorized, rank
from crossrec.models.interface import Recommender
from crossrec.training.objectives import Cases, Objective, Rating


class RecommenderTraining(L.LightningModule):
    """min over W of the mean over D of l(R_ui, f(S_u, S_i; W)).

    Logs `train/loss`, and after each epoch `valid/ndcg@10` (exact full ranking, ties against the
    model) and, for the rating objective, `valid/rmse`.

    Args:
        model: the recommender.
        domain: where it is trained and validated.
        objective: l.
        learning_rate, weight_decay: of AdamW.
    """

    def __init__(
        self,
        model: Recommender,
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
        self._valid: list[tuple[Tensor, Tensor]] = []

    def loss(self, batch: Batch) -> Tensor:
        """The objective over the own events of a batch."""
        embedded = self.model.embed_items()
        item = self.model.item_vectors(embedded)
        state = self.model.user_vectors(batch.users, batch.items, embedded)[:, :-1]
        own = batch.own
        users = batch.users[:, None].expand_as(batch.items)
        return self.objective(
            Cases(state[own], item, users[own], batch.items[own], batch.ratings[own])
        )

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One batch of windows."""
        loss = self.loss(batch)
        size = len(batch.users)
        self.log("train/loss", loss, batch_size=size, on_epoch=True, on_step=False, sync_dist=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Item vectors are made once an epoch."""
        self._embedded = self.model.embed_items()
        self._items = self.model.item_vectors(self._embedded)

    def validation_step(self, batch: tuple[Batch, Tensor], batch_idx: int) -> None:
        """User vectors of a block of queries."""
        histories, rows = batch
        state = self.model.user_vectors(histories.users, histories.items, self._embedded)
        self._valid.append((rows, final_states(state, histories)))

    def on_validation_epoch_end(self) -> None:
        """Rank all of this rank's queries at once."""
        if not self._valid:
            return
        rows = torch.cat([rows for rows, _ in self._valid])
        users = torch.cat([state for _, state in self._valid]).float()
        items = self._items.float()
        self._valid = []
        queries = self.domain.valid.queries(rows.cpu())
        ranking = rank(factorized(users, items), queries, len(items), 10)
        values = ndcg(ranking.truth_ranks, queries.truth_offsets, 10)
        self.valid_ndcg.update(values.to(self.device))
        self.log("valid/ndcg@10", self.valid_ndcg, prog_bar=True)
        if isinstance(self.objective, Rating):
            self._log_rmse(users, items, rows.cpu(), self.objective.mean)

    def _log_rmse(self, users: Tensor, items: Tensor, rows: Tensor, mean: float) -> None:
        query, item, observed = self.domain.valid.truths(rows)
        known = ~observed.isnan()
        predicted = mean + (users[query] * items[item]).sum(-1)
        self.valid_error.update(predicted[known], observed[known].to(predicted.device))
        self.log("valid/rmse", self.valid_error, prog_bar=True)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """AdamW on everything."""
        return torch.optim.AdamW(
            self.model.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay
        )


def final_states(state: Tensor, histories: Batch) -> Tensor:
    """(B, k) the state after the last event of each history, from (B, L + 1, k)."""
    lengths = (histories.items >= 0).sum(1)
    return state[torch.arange(len(lengths), device=state.device), lengths]


class BestWeights(Callback):
    """Keeps the weights that validation liked best and leaves them in the model at the end.

    Only weights after at least one training step count. They stay in memory: nothing is written
    that could be mistaken for a finished model, and nothing needs unpickling.
    """

    def __init__(self, monitor: str, mode: str) -> None:
        self.monitor, self.sign = monitor, 1.0 if mode == "max" else -1.0
        self.best: dict[str, Tensor] | None = None
        self.score = float("-inf")
        self.epoch = -1

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


def selection(objective: Objective, patience: int) -> list[Callback]:
    """Early stopping and the choice of weights, both on validation alone."""
    stop = EarlyStopping(objective.monitor, mode=objective.mode, patience=patience)
    return [stop, BestWeights(objective.monitor, objective.mode)]
