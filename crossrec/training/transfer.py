"""Training in the target: the source's weights lie beside the target's loss."""

import torch
from torch import Tensor, nn

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.models.interface import Recommender
from crossrec.training.objectives import Objective
from crossrec.training.recommender import RecommenderTraining
from crossrec.transfer.anchor import Anchor, lay_over
from crossrec.transfer.method import TransferMethod


class TransferTraining(RecommenderTraining):
    """min over W of the mean over D_t of l(R_ui, f(S_u, C_i; W)) + the method's penalty.

    Args:
        model: the target model, freshly initialized; `method.start` moves it at once.
        domain: the target domain.
        objective: l.
        method: what is carried, and how.
        anchor: the source weights laid over the model.
        learning_rate, weight_decay: of AdamW.
    """

    def __init__(
        self,
        model: Recommender,
        domain: Domain,
        objective: Objective,
        method: TransferMethod,
        anchor: Anchor,
        learning_rate: float,
        weight_decay: float,
    ) -> None:
        super().__init__(model, domain, objective, learning_rate, weight_decay)
        self.method = method
        self.anchor = anchor
        method.start(model, anchor)

    def row_tables(self) -> list[nn.Parameter]:
        """None: a method may move any row at any step."""
        return []

    def on_fit_start(self) -> None:
        """The anchor goes where the model went."""
        self.anchor = self.anchor.to(self.device)

    def on_train_epoch_start(self) -> None:
        """The method may free more of the model; patience begins when it has freed all."""
        super().on_train_epoch_start()
        if self.method.begin_epoch(self.current_epoch):
            return
        for stopping in self.trainer.early_stopping_callbacks:
            # One below zero: this epoch cannot use up even a patience of one.
            stopping.wait_count = -1

    def loss(self, batch: Batch) -> Tensor:
        """The target's loss and the method's penalty."""
        loss = super().loss(batch)
        penalty = self.method.penalty(self.model, self.anchor)
        if penalty is None:
            return loss
        return loss + penalty

    def on_train_batch_end(self, outputs: object, batch: Batch, batch_idx: int) -> None:
        """What the method does after the optimizer's step."""
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        self.method.after_step(self.model, self.anchor, rate)


def anchor_for(
    model: Recommender,
    weights: dict[str, Tensor],
    pair: DomainPair,
    domain: Domain,
    importance: dict[str, Tensor] | None = None,
) -> Anchor:
    """Lay the source weights over a model of the pair's target.

    Items that exist in both are those that stand in both catalogs and, where the target's
    histories hold source events, the source's own items. Users have one code over both domains.

    Args:
        model: a model of `domain`.
        weights: the source model's weights by parameter name.
        pair: source and target.
        domain: `pair.target` or `pair.target_only`.
        importance: of the source model's weights, by parameter name.
    """
    item_rows = pair.shared_items
    if domain.n_context:
        code = torch.arange(domain.n_context)
        item_rows = torch.cat([item_rows, torch.stack([domain.n_items + code, code], dim=1)])
    n_source, n_target = len(pair.source.train_events()[0]), len(domain.train_events()[0])
    return lay_over(
        model,
        weights,
        model.item_tables,
        model.user_tables,
        item_rows,
        pair.shared_users[:, None].expand(-1, 2),
        n_source / max(1, n_target),
        importance,
    )
