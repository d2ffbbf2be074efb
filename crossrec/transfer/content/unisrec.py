"""UniSRec: sequences of text vectors mean the same in any domain (Hou et al., KDD 2022)."""

from collections.abc import Mapping
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD, last_state, look_up
from crossrec.transfer.content.adapter import Adapter
from crossrec.transfer.content.sequence_encoder import (
    SequenceEncoder,
    check_sizes,
    content_of,
    contrast,
    drop_events,
    next_item_cases,
    next_item_scores,
    own_events,
)
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Phase, Scores


class UniSRec(PairModel):
    """A mixture-of-experts adapter over frozen text vectors, and a transformer over its output.

    "pretrain" reads the source's sequences: sequence-item + contrast * sequence-sequence, both
    contrastive with negatives from the batch (equations 6 to 8); its loss is the method, whatever
    the objective. "finetune" goes on in the target with the objective (section 2.3, where it is
    softmax). Scores are cosines over the temperature throughout, as in the authors' code; that code
    leaves a batch's repeats of the positive in the denominator with a score of 0, here they are
    left out.

    Every position of a sequence is a case, not the last alone, and the transformer's blocks are
    SASRec's. A second view of a sequence drops events or, on the toss of a coin, features of the
    text vectors: the paper drops words, but texts are encoded once here.

    Args:
        dim: d of item vectors and states.
        n_layers, n_heads: of the transformer.
        n_experts: of the adapter.
        dropout: of the network.
        max_history: events of history that are read.
        temperature: t, 0.07 in the paper.
        contrast: weight of the sequence-sequence loss, lambda in the paper.
        drop: share of events or features that a second view lacks.
        mode: "inductive" knows target items by their text, "transductive" adds a vector of the id.
        freeze_encoder: train the adapter (and the ids) alone in the target, as the paper does.
        reads_source: whether target histories hold what the user did in the source.

    Raises:
        UserError: a value is out of range; in `build`, that there are no text vectors.
    """

    content: Tensor
    needs: Overlap = "none"
    reads_text = True

    def __init__(
        self,
        dim: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        n_experts: int = 8,
        dropout: float = 0.2,
        max_history: int = 50,
        temperature: float = 0.2,
        contrast: float = 1e-3,
        drop: float = 0.2,
        mode: Literal["inductive", "transductive"] = "inductive",
        freeze_encoder: bool = True,
        reads_source: bool = True,
    ) -> None:
        super().__init__()
        check_sizes("transfer", dim, n_heads, temperature)
        if n_experts < 1:
            raise UserError(f"transfer.n_experts must be >= 1, got {n_experts}")
        if not contrast >= 0:
            raise UserError(f"transfer.contrast must be >= 0, got {contrast}")
        if not 0 <= drop < 1:
            raise UserError(f"transfer.drop must be >= 0 and < 1, got {drop}")
        if mode not in ("inductive", "transductive"):
            raise UserError(f"transfer.mode must be inductive or transductive, got {mode!r}")
        self.dim, self.n_layers, self.n_heads = dim, n_layers, n_heads
        self.n_experts, self.dropout = n_experts, dropout
        self.max_history = max_history
        self.temperature, self.contrast, self.drop = temperature, contrast, drop
        self.mode, self.reads_source = mode, reads_source
        moving = ("adapter", "ids") if freeze_encoder else ()
        self.phases = (
            Phase("pretrain", ("source",), ("adapter", "encoder"), "source"),
            Phase("finetune", ("target",), moving, "target"),
        )

    def build(self, pair: DomainPair, content: Content) -> None:
        """The adapter, the transformer and, in transductive mode, a vector for each target item."""
        source, target = content_of(content, "unisrec")
        self.n_items: dict[Side, int] = {"source": len(source), "target": len(target)}
        self.register_buffer("content", torch.cat([target, source]), persistent=False)
        self.adapter = Adapter(source.shape[1], self.dim, self.n_experts, self.dropout)
        self.encoder = SequenceEncoder(
            self.dim, self.n_layers, self.n_heads, self.dropout, self.max_history
        )
        if self.mode == "transductive":
            self.ids = nn.Parameter(torch.randn(len(target), self.dim) * INITIAL_STD)

    def text(self, side: Side) -> Tensor:
        """Text vectors of all items in a side's histories, (rows, d_c), its catalog first."""
        return self.content if side == "target" else self.content[self.n_items["target"] :]

    def vectors(self, side: Side) -> Tensor:
        """Vectors of all items in a side's histories, (rows, d), its catalog first."""
        adapted = self.adapter(self.text(side))
        if side == "source" or self.mode == "inductive":
            return adapted
        return adapted + F.pad(self.ids, (0, 0, 0, self.n_items["source"]))

    def read(self, batch: Batch) -> Batch:
        """A batch of the target as this method reads it."""
        return batch if self.reads_source else own_events(batch, self.n_items["target"])

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """The loss of the phase."""
        if self.phase == "pretrain":
            return self.pretraining_loss(batches["source"])
        batch, table = self.read(batches["target"]), self.vectors("target")
        states = self.encoder(look_up(table, batch.items))
        catalog = table[: self.n_items["target"]]
        return losses["target"](next_item_cases(states, catalog, batch, self.temperature))

    def pretraining_loss(self, batch: Batch) -> Tensor:
        """Sequence-item and sequence-sequence contrast; only the batch's items are adapted."""
        vectors = self.adapter(look_up(self.text("source"), batch.items))
        states = self.encoder(vectors)
        own = batch.own
        items = F.normalize(vectors[own], dim=-1)
        loss = contrast(states[:, :-1][own], items, batch.items[own], self.temperature)
        if self.contrast == 0:
            return loss
        view, other = last_state(states, batch.items), self.second_view(batch)
        return loss + self.contrast * contrast(view, other, batch.users, self.temperature)

    def second_view(self, batch: Batch) -> Tensor:
        """(B, d) last states of the same sequences without some of their events or features."""
        of_events = torch.rand(len(batch.items), device=batch.items.device) < 0.5
        less = drop_events(batch, self.drop, of_events)
        text = look_up(self.text("source"), less.items)
        text = torch.where(of_events[:, None, None], text, F.dropout(text, self.drop))
        return last_state(self.encoder(self.adapter(text)), less.items)

    def scorer(self, side: Side) -> Scores:
        """Cosines of a history's last state with the side's catalog, over the temperature."""
        table = self.vectors(side)

        def scores(histories: Batch) -> Tensor:
            batch = histories if side == "source" else self.read(histories)
            return next_item_scores(
                self.encoder, table, self.n_items[side], batch, self.temperature
            )

        return scores
