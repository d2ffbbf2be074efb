"""Invariant interests by low-rank adapters, in the manner of ABXI (Bian et al., WWW 2025)."""

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import INITIAL_STD, at_end, content_map, look_up
from crossrec.models.sasrec import Attention, position_vectors
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import Batches, Loss, PairModel, Scores
from crossrec.transfer.sequences.two_domain_batch import (
    Events,
    StateIndex,
    TwoDomains,
    check_network,
    label_loss,
)


class ABXI(PairModel):
    """One encoder for the sequence of both domains and of each, adapted at low rank to each.

    One item table, one attention and one feed-forward layer serve three sequences, of both domains
    (x), of the source and of the target; beside the feed-forward layer a low-rank map of each
    sequence's own keeps what is particular to it:

        a_k = Norm(e_k + Attention(e_k)),    e_k item + position, k of x, s, t
        h_k = Norm_k(a_k + FFN(a_k) + Adapter_k(a_k))

    A projector that all share takes from h_x what holds in any domain, a low-rank map turns it to
    the domain d that is asked, and the domain's own state joins:

        h = Norm(h_x + Projector(h_x) + Adapter'_d(h_x)) + Norm'(h_d + Projector_d(h_d))

    The event of d that comes next is predicted from h, with h_d the state after the last event of
    d: sequences are aligned by what is to be predicted, not by time. The losses of the domains are
    added (here alpha * l_source + (1 - alpha) * l_target; 0.5 is theirs).

    Ours: a start state, which makes the first event of a domain a case; the configured objective in
    the place of InfoNCE with 128 negatives of each domain and temperature 0.75; and users of one
    domain train what they can. Positions count from the last event back, as theirs do.

    Args:
        dim: d, length of the vectors, divisible by n_heads.
        n_heads: of the attention.
        rank: of the adapters.
        dropout: share of dropped inputs and of dropped outputs of each part.
        max_history: events of both domains that are read.
        alpha: weight of the source's loss, 0 <= alpha < 1.

    Raises:
        UserError: a setting is out of range.
    """

    needs: Overlap = "users"

    def __init__(
        self,
        dim: int = 64,
        n_heads: int = 2,
        rank: int = 8,
        dropout: float = 0.5,
        max_history: int = 50,
        alpha: float = 0.5,
    ) -> None:
        super().__init__()
        check_network(alpha, dim, n_heads, max_history)
        if not 1 <= rank <= dim:
            raise UserError(f"transfer.rank must be >= 1 and <= transfer.dim, got {rank}")
        self.dim, self.n_heads, self.rank = dim, n_heads, rank
        self.max_history, self.alpha = max_history, alpha
        self.dropout = nn.Dropout(dropout)

    def build(self, pair: DomainPair, content: Content) -> None:
        """The table, the shared layers, and each sequence's adapters, projectors and norms."""
        self.domains = TwoDomains(pair, self.max_history)
        vectors = self.domains.content(content)
        self.item_embedding = nn.Parameter(
            torch.randn(self.domains.ids.n_items, self.dim) * INITIAL_STD
        )
        self.content_map = content_map(vectors.shape[1], self.dim) if vectors is not None else None
        self.register_buffer("content", vectors, persistent=False)
        self.positions = nn.Parameter(torch.randn(self.max_history + 1, self.dim) * INITIAL_STD)
        self.attention = Attention(self.dim, self.n_heads)
        self.attention_norm = nn.LayerNorm(self.dim)
        self.feed_forward = SwiGLU(self.dim)
        each = ("cross", *SIDES)
        self.adapter = nn.ModuleDict({key: LowRank(self.dim, self.rank) for key in each})
        self.norm = nn.ModuleDict({key: nn.LayerNorm(self.dim) for key in each})
        self.projector = nn.ModuleDict({key: SwiGLU(self.dim) for key in each})
        self.to_domain = nn.ModuleDict({side: LowRank(self.dim, self.rank) for side in SIDES})
        self.invariant_norm = nn.ModuleDict({side: nn.LayerNorm(self.dim) for side in SIDES})
        self.own_norm = nn.ModuleDict({side: nn.LayerNorm(self.dim) for side in SIDES})

    def embed_items(self) -> Tensor:
        """(items of both catalogs, d)."""
        if self.content_map is None:
            return self.item_embedding
        return self.item_embedding + self.content_map(self.content)

    def attend(self, codes: Tensor, table: Tensor) -> Tensor:
        """(B, L + 1, d) a_k of one kind of sequence, before each event and after the last.

        Args:
            codes: (B, L) rows of `table`, PAD on the right.
            table: (n, d) item vectors.
        """
        events = F.pad(look_up(table, codes), (0, 0, 1, 0))
        state = self.dropout(events + position_vectors(codes, self.positions))
        return self.attention_norm(state + self.dropout(self.attention(state)))

    def adapt(self, key: str, attended: Tensor) -> Tensor:
        """(M, d) h_k of (M, d) a_k; k is cross, source or target."""
        fed = self.dropout(self.feed_forward(attended))
        return self.norm[key](attended + fed + self.dropout(self.adapter[key](attended)))

    def states(
        self, side: Side, events: Events, cross: Tensor, table: Tensor, where: StateIndex
    ) -> Tensor:
        """(M, d) h, what says which event of a side comes next.

        Only attention looks at other events, so all that follows it is done where h is asked.

        Args:
            events: of B users.
            cross: (B, L + 1, d) a_x of their sequences over both domains.
            table: what `embed_items` gave.
            where: (M,) users' rows and (M,) numbers of the events that came before.
        """
        alone = self.attend(events.alone(side), table[self.domains.ids.rows(side)])
        own = self.adapt(side, alone[events.alone_index(side, where)])
        both = self.adapt("cross", cross[where])
        invariant = self.dropout(self.projector["cross"](both))
        invariant = invariant + self.dropout(self.to_domain[side](both))
        specific = self.dropout(self.projector[side](own))
        return self.invariant_norm[side](both + invariant) + self.own_norm[side](own + specific)

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """alpha of the source's loss and 1 - alpha of the target's."""
        table = self.embed_items()
        read = self.domains.read_training(batches)
        cross = [self.attend(events.rows, table) for events in read]

        def of(side: Side) -> Tensor:
            users = [
                self.states(side, events, x, table, events.before_labels(side))
                for events, x in zip(read, cross, strict=True)
            ]
            item = table[self.domains.ids.rows(side)]
            return label_loss(losses[side], side, read, torch.cat(users), item)

        return self.alpha * of("source") + (1 - self.alpha) * of("target")

    def scorer(self, side: Side) -> Scores:
        """Inner products of the last state with the side's catalog."""
        table = self.embed_items()
        item = table[self.domains.ids.rows(side)]

        def scores(histories: Batch) -> Tensor:
            events = self.domains.read(side, histories)
            cross = self.attend(events.rows, table)
            return self.states(side, events, cross, table, at_end(events.rows)) @ item.T

        return scores


class LowRank(nn.Module):
    """A linear map of rank r that starts as zero, as in LoRA (Hu et al., ICLR 2022)."""

    def __init__(self, dim: int, rank: int) -> None:
        super().__init__()
        self.down = nn.Parameter(torch.randn(dim, rank) * INITIAL_STD)
        self.up = nn.Parameter(torch.zeros(rank, dim))

    def forward(self, state: Tensor) -> Tensor:
        """(..., d) to (..., d)."""
        return state @ self.down @ self.up


class SwiGLU(nn.Module):
    """Feed-forward layers with a gate (Shazeer, 2020), 8/3 as wide inside as their input."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        inner = 8 * dim // 3
        self.gate, self.value = (nn.Linear(dim, inner, bias=False) for _ in range(2))
        self.out = nn.Linear(inner, dim, bias=False)

    def forward(self, state: Tensor) -> Tensor:
        """(..., d) to (..., d)."""
        return self.out(F.silu(self.gate(state)) * self.value(state))
