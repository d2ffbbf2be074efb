"""The LightningModule that trains a recommender on one domain, at the source or the target."""

import torch
from torch import Tensor, nn

from crossrec.data.domain import Domain
from crossrec.data.sequences import Batch
from crossrec.models.interface import Recommender, last_state
from crossrec.training.objectives import Objective
from crossrec.training.row_wise import FROM_ROWS
from crossrec.training.selection import ValidatedTraining


class RecommenderTraining(ValidatedTraining):
    """min over W of the mean over D of l(R_ui, f(S_u, S_i; W)).

    Logs `train/loss`, and what `ValidatedTraining` says.

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
        super().__init__(model, domain, objective, learning_rate, weight_decay)
        self.model: Recommender = model
        self._valid: list[tuple[Tensor, Tensor]] = []

    def row_tables(self) -> list[nn.Parameter]:
        """The model's, from a size on, on a single processor: ranks share dense gradients alone,
        and an accelerator passes over a table sooner than it sorts rows."""
        if self.device.type != "cpu" or (self._trainer and self.trainer.world_size > 1):
            return []
        tables = [self.model.get_parameter(name) for name in self.model.row_tables]
        return [table for table in tables if len(table) >= FROM_ROWS]

    def loss(self, batch: Batch) -> Tensor:
        """The objective over the own events of a batch."""
        cases = self.model.training_cases(batch.users, batch.items, batch.ratings, batch.own)
        return batch.share * self.objective(cases)

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        """One batch of windows."""
        loss = self.loss(batch)
        self.note(loss, batch.n_whole or len(batch.users))
        return loss

    def on_validation_epoch_start(self) -> None:
        """Item vectors are made once an epoch."""
        embedded = self.model.embed_items()
        # In a tuple: a table that is returned as it is would count as a parameter of this module.
        self._items = embedded, self.model.item_vectors(embedded)

    def validation_step(self, batch: tuple[Batch, Tensor], batch_idx: int) -> None:
        """User vectors of a block of queries."""
        histories, rows = batch
        state = self.model.user_vectors(histories.users, histories.items, self._items[0])
        self._valid.append((rows, last_state(state, histories.items)))

    def on_validation_epoch_end(self) -> None:
        """Rank all of this rank's queries at once."""
        if not self._valid:
            return
        rows = torch.cat([rows for rows, _ in self._valid])
        users = torch.cat([state for _, state in self._valid]).float()
        items = self._items[1].float()
        self._valid = []
        self.validate(self.model.score_block(users, items), rows)
