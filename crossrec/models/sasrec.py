"""Self-attentive sequential recommendation (Kang and McAuley, ICDM 2018)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.errors import UserError
from crossrec.models.content import Content, as_module
from crossrec.models.interface import INITIAL_STD, Recommender, content_map, look_up


class SASRec(Recommender):
    """score(u, i) = h_u . e_i: a causal transformer over the history, items shared with its input.

    The input is e_item * sqrt(d) + position. Positions count from the last event back, as those of
    the authors' code do, which pads on the left: the newest event has the same one in every
    history, so that the network learns what was bought of late. Before the first event stands a
    learned start token, so that a user without history has a state too. Each block is, as in the
    paper's section III.C, x + Dropout(Attention(LayerNorm(x))), then the same with two pointwise
    layers; a last LayerNorm gives h.

    Histories are padded on the right, so the events before a real position are all real: the causal
    mask alone keeps padding out, and no key mask is needed.

    Args:
        n_users: not used by the network (users are their histories); every model takes it.
        n_items: candidates.
        n_context: items of other domains that may occur in histories.
        content: (n_items + n_context, d_c) content vectors, zero where an item has none, or what
            makes and learns them; None if the domain has none, which leaves the ids.
        dim: d, divisible by n_heads.
        n_layers: attention blocks.
        n_heads: attention heads.
        dropout: share of dropped inputs and of dropped outputs of each sublayer.
        max_history: most events of a history; the caller keeps the last ones.
        use_content: whether e_item is id embedding + linear map of the content, or the id alone.

    Raises:
        UserError: dim is not divisible by n_heads.
    """

    sequential = True
    content_maps = ("content_map",)

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_context: int,
        content: Content | None,
        dim: int = 64,
        n_layers: int = 2,
        n_heads: int = 2,
        dropout: float = 0.2,
        max_history: int = 50,
        use_content: bool = True,
    ) -> None:
        super().__init__()
        if dim % n_heads:
            raise UserError(f"model.dim must be divisible by model.n_heads, got {dim}, {n_heads}")
        self.n_items = n_items
        self.max_history = max_history
        self.item_tables = ("item_embedding",)
        self.user_tables = ()
        self.item_embedding = nn.Parameter(torch.randn(n_items + n_context, dim) * INITIAL_STD)
        self.positions = nn.Parameter(torch.randn(max_history + 1, dim) * INITIAL_STD)
        self.content = as_module(content if use_content else None)
        self.content_map = content_map(self.content.dim, dim) if self.content else None
        self.dropout = nn.Dropout(dropout)
        self.blocks = nn.ModuleList(Block(dim, n_heads, dropout) for _ in range(n_layers))
        self.norm = nn.LayerNorm(dim)

    def embed_items(self) -> Tensor:
        if self.content is None or self.content_map is None:
            return self.item_embedding
        return self.item_embedding + self.content_map(self.content())

    def item_vectors(self, embedded: Tensor) -> Tensor:
        return embedded[: self.n_items]

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """(B, L + 1, d); `users` is not read.

        Raises:
            ValueError: L exceeds `max_history`.
        """
        length = items.shape[1]
        if length > self.max_history:
            raise ValueError(f"a history of {length} events exceeds max_history={self.max_history}")
        events = look_up(embedded, items) * math.sqrt(embedded.shape[1])
        state = self.dropout(F.pad(events, (0, 0, 1, 0)) + position_vectors(items, self.positions))
        for block in self.blocks:
            state = block(state)
        return self.norm(state)


def position_vectors(items: Tensor, positions: Tensor) -> Tensor:
    """(B, L + 1, d) position vectors of a start token and of (B, L) events, PAD on the right.

    Args:
        positions: (at least L + 1, d); the start token has the first row, the last event the next,
            the one before it the next but one.
    """
    n_events = (items != PAD).sum(dim=1, keepdim=True)
    from_end = (n_events - torch.arange(items.shape[1], device=items.device)).clamp(min=1)
    return F.embedding(F.pad(from_end, (1, 0)), positions)


class Block(nn.Module):
    """One causal block on states of shape (B, T, d): attention, then two pointwise layers."""

    def __init__(self, dim: int, n_heads: int, dropout: float) -> None:
        super().__init__()
        self.attention_norm = nn.LayerNorm(dim)
        self.attention = Attention(dim, n_heads)
        self.pointwise_norm = nn.LayerNorm(dim)
        self.pointwise_in = nn.Linear(dim, dim)
        self.pointwise_out = nn.Linear(dim, dim)
        self.dropout = nn.Dropout(dropout)
        for layer in (self.pointwise_in, self.pointwise_out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, state: Tensor) -> Tensor:
        state = state + self.dropout(self.attention(self.attention_norm(state)))
        hidden = F.relu(self.pointwise_in(self.pointwise_norm(state)))
        return state + self.dropout(self.pointwise_out(hidden))


class Attention(nn.Module):
    """Causal multi-head self-attention, (B, T, d) to (B, T, d)."""

    def __init__(self, dim: int, n_heads: int) -> None:
        super().__init__()
        self.n_heads = n_heads
        self.query_key_value = nn.Linear(dim, 3 * dim)
        self.out = nn.Linear(dim, dim)
        for layer in (self.query_key_value, self.out):
            nn.init.xavier_uniform_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, state: Tensor) -> Tensor:
        n_users, length, dim = state.shape
        split = self.query_key_value(state).view(
            n_users, length, 3, self.n_heads, dim // self.n_heads
        )
        query, key, value = split.permute(2, 0, 3, 1, 4)  # each (B, heads, T, d / heads)
        mixed = F.scaled_dot_product_attention(query, key, value, is_causal=True)
        return self.out(mixed.transpose(1, 2).reshape(n_users, length, dim))
