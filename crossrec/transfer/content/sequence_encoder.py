"""What methods on sequences of item vectors share: an encoder, and a contrastive loss."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases
from crossrec.models.interface import INITIAL_STD, last_state, look_up
from crossrec.models.sasrec import Block


class SequenceEncoder(nn.Module):
    """A causal transformer over vectors of events, whoever made them.

    The input is LayerNorm(vector + position); the blocks are SASRec's, which normalize before each
    sublayer. Position 0 stands before the first event and is a learned start token.

    Args:
        dim: d, divisible by n_heads.
        n_layers, n_heads: of the transformer.
        dropout: share of dropped inputs and of dropped outputs of each sublayer.
        max_history: most events of a history.
    """

    def __init__(
        self, dim: int, n_layers: int, n_heads: int, dropout: float, max_history: int
    ) -> None:
        super().__init__()
        self.positions = nn.Parameter(torch.randn(max_history + 1, dim) * INITIAL_STD)
        self.input_norm = nn.LayerNorm(dim)
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, n_heads, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(dim)

    def forward(self, events: Tensor) -> Tensor:
        """(B, L, d) events, padded on the right -> (B, L + 1, d) states of length 1.

        Position p describes the user after the first p events and depends on no later one.
        """
        state = F.pad(events, (0, 0, 1, 0)) + self.positions[: events.shape[1] + 1]
        state = self.dropout(self.input_norm(state))
        for block in self.blocks:
            state = block(state)
        return F.normalize(self.norm(state), dim=-1)


def check_sizes(name: str, dim: int, n_heads: int, temperature: float) -> None:
    """Refuse sizes that no encoder has.

    Raises:
        UserError: names the key.
    """
    if dim % n_heads:
        raise UserError(f"{name}.dim must be divisible by {name}.n_heads, got {dim}, {n_heads}")
    if not temperature > 0:
        raise UserError(f"{name}.temperature must be > 0, got {temperature}")


def content_of(content: Content, method: str) -> tuple[Tensor, Tensor]:
    """Content vectors of the source's items and of the target's.

    Args:
        method: as users write it, for the message.

    Raises:
        UserError: there is no encoder.
    """
    if content.source is None or content.target is None:
        raise UserError(
            f"transfer={method} knows items by their texts alone, but with encoder=none there are "
            "no content vectors: choose an encoder (encoder=minilm, say), or another transfer"
        )
    return content.source, content.target


def keep_events(batch: Batch, kept: Tensor) -> Batch:
    """The same histories without the events that are not `kept` (B, L); the rest close ranks."""
    kept = kept & (batch.items != PAD)
    order = torch.argsort((~kept).int(), dim=1, stable=True)
    left = kept.gather(1, order)
    return Batch(
        batch.users,
        batch.items.gather(1, order).masked_fill(~left, PAD),
        batch.ratings.gather(1, order),
        batch.own.gather(1, order) & left,
    )


def drop_events(batch: Batch, drop: float, rows: Tensor) -> Batch:
    """The same histories, each event left out with probability `drop`, but never all of them.

    Args:
        rows: (B,) bool, the histories that lose events.
    """
    real, device = batch.items != PAD, batch.items.device
    dropped = (torch.rand(real.shape, device=device) < drop) & rows[:, None]
    kept = real & ~dropped
    return keep_events(batch, kept | ~kept.any(1, keepdim=True))


def own_events(batch: Batch, n_items: int) -> Batch:
    """The same histories without the events of another domain, codes from `n_items` on."""
    return keep_events(batch, batch.items < n_items)


def contrast(
    anchor: Tensor, positive: Tensor, keys: Tensor, temperature: float, hard: Tensor | None = None
) -> Tensor:
    """Mean of -log(exp(a_j . p_j / t) / sum_j' exp(a_j . p_j' / t)), negatives from the batch.

    Rows with the same key are no negatives of each other.

    Args:
        anchor, positive: (M, d) of length 1.
        keys: (M,) what a row is about.
        temperature: t.
        hard: (M, d) one more negative for each row, or None.
    """
    same = keys[:, None] == keys
    same.fill_diagonal_(False)
    scores = (anchor @ positive.T / temperature).masked_fill(same, -torch.inf)
    if hard is not None:
        scores = torch.cat([scores, (anchor * hard).sum(1, keepdim=True) / temperature], dim=1)
    return F.cross_entropy(scores, torch.arange(len(anchor), device=anchor.device))


def next_item_cases(states: Tensor, catalog: Tensor, batch: Batch, temperature: float) -> Cases:
    """The cases of the own events of a batch; the score is the cosine over the temperature.

    Args:
        states: (B, L + 1, d) from `SequenceEncoder`.
        catalog: (n_items, d) vectors of the candidates.
    """
    own = batch.own
    users = batch.users[:, None].expand_as(batch.items)
    return Cases.of_vectors(
        states[:, :-1][own] / temperature,
        F.normalize(catalog, dim=-1),
        users[own],
        batch.items[own],
        batch.ratings[own],
    )


def next_item_scores(
    encoder: SequenceEncoder, table: Tensor, n_items: int, batch: Batch, temperature: float
) -> Tensor:
    """(B, n_items) cosines over the temperature of each history's last state and the catalog.

    Args:
        table: (rows, d) vectors of all items of the histories, the catalog first.
    """
    states = encoder(look_up(table, batch.items))
    last = last_state(states, batch.items)
    return last / temperature @ F.normalize(table[:n_items], dim=-1).T
