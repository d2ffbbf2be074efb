"""A two-tower recommender whose sides both speak the language of content vectors."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from crossrec.models.content import Content, as_module
from crossrec.models.interface import PAD, Recommender

RECENCY = 0.2  # where it starts: an event weighs 1.2 times as much as the one before it


class TwoTower(Recommender):
    """Item side: content + adapter + id residual. User side: the history, of either domain.

    An item is e_i = A c_i + r_i, with c_i its content vector (from a language model), A a linear
    adapter and r_i a residual that only its id knows. A user is described by what they did:

        own  = attention-pooled e_i over the history in this domain        (n_own events)
        past = M x attention-pooled e_i over the history in other domains  (n_past events)
        p    = kappa * n_past ** rho
        z    = (n_own * own + p * past) / (n_own + p + 1)
        u    = z + MLP([z, e_last])

    p is the pseudo-count of the other history: how many own events it is worth. It describes a
    user who is new here and fades as their own history grows. With M = I and kappa = rho = 1, where
    training starts, a user is the same function of their history in whichever domain it lies, so a
    source model speaks of target users unchanged. Every state is causal (cumulative sums), so one
    pass over a sequence trains all of its positions.

    With `text_profile`, u also gets what the texts of the history say by themselves:

        u += sum_h w_h P c_h / sum_h w_h,    w_h = exp(recency * place of h in the history)

    over the events of all domains, whose texts lie in one space. It is not shrunk where the history
    is short, so that a user with one event has a preference by its text; P starts at zero.

    Args:
        n_users: taken as by every model, but not read: users are described by their history.
        n_items: own catalog size.
        n_context: items of other domains that may stand in histories.
        content: (n_items + n_context, d_c) content vectors, or what makes and learns them; None for
            ids only.
        dim: width of both towers.
        hidden: width of the user MLP's hidden layer.
        dropout: on the item vectors of the history and in the MLP.
        past_dropout: share of training sequences that are read without their other history, so
            that the model leans on it only as far as it helps and still knows users without one.
        max_history: events of history that are read.
        use_ids: give items an id residual; without it the model is inductive in items.
        text_profile: read the texts of the history directly, too.

    Raises:
        ValueError: no content, and nothing else that an item or a profile could be made of.
    """

    sequential = True
    user_tables: tuple[str, ...] = ()
    content_maps = ("adapter",)

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_context: int,
        content: Content | None,
        dim: int = 64,
        hidden: int = 128,
        dropout: float = 0.2,
        past_dropout: float = 0.5,
        max_history: int = 50,
        use_ids: bool = True,
        text_profile: bool = False,
    ) -> None:
        super().__init__()
        if content is None and not use_ids:
            raise ValueError("a two-tower model needs content vectors, item ids, or both")
        if content is None and text_profile:
            raise ValueError("text_profile=true needs content vectors: choose an encoder")
        self.n_items, self.n_context = n_items, n_context
        self.max_history = max_history
        self.item_tables = ("item_ids", "item_bias") if use_ids else ("item_bias",)
        self.content = as_module(content)
        self.adapter = nn.Linear(self.content.dim, dim, bias=False) if self.content else None
        if use_ids:
            scale = 0.01 if self.content else dim**-0.5
            self.item_ids = nn.Parameter(torch.randn(n_items + n_context, dim) * scale)
        self.item_bias = nn.Parameter(torch.zeros(n_items + n_context))
        self.use_ids = use_ids
        self.dim = dim
        self.profile: nn.Linear | None = None
        if self.content and text_profile:
            self.profile = nn.Linear(self.content.dim, dim, bias=False)
            self.recency = nn.Parameter(torch.tensor(RECENCY))
            nn.init.zeros_(self.profile.weight)
        self.past_dropout = past_dropout
        self.attention = nn.Linear(dim, 1)
        self.past_map = nn.Linear(dim, dim, bias=False)
        self.past_weight = nn.Parameter(torch.tensor([0.0, 1.0]))  # log kappa, rho
        last = nn.Linear(hidden, dim + 1)
        self.mlp = nn.Sequential(nn.Linear(2 * dim, hidden), nn.GELU(), nn.Dropout(dropout), last)
        self.dropout = nn.Dropout(dropout)
        nn.init.eye_(self.past_map.weight)
        nn.init.zeros_(self.attention.weight)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)

    def embed_items(self) -> Tensor:
        """(n_items + n_context, d) vectors of all items that may occur; with a text profile
        (n_items + n_context, 2 d), P c_i behind e_i."""
        if self.content is None or self.adapter is None:
            return self.item_ids
        content = self.content()
        embedded = self.adapter(content)
        if self.use_ids:
            embedded = embedded + self.item_ids
        return torch.cat([embedded, self.profile(content)], 1) if self.profile else embedded

    def item_vectors(self, embedded: Tensor) -> Tensor:
        """(n_items, d + 2) candidates, as [e, 1, b_i]."""
        own = embedded[: self.n_items, : self.dim]
        bias = self.item_bias[: self.n_items, None].to(own.dtype)
        return torch.cat([own, torch.ones_like(bias), bias], dim=1)

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """(B, L + 1, d + 2) states before each event and after the last, as [u, b_u, 1].

        Args:
            users: (B,) user codes, not read.
            items: (B, L) item codes padded right with PAD.
            embedded: what `embed_items` gave.
        """
        if self.training and self.n_context and self.past_dropout > 0:
            left_out = torch.rand(len(items), 1, device=items.device) < self.past_dropout
            items = items.masked_fill(left_out & (items >= self.n_items), PAD)
        real = items != PAD
        own = (real & (items < self.n_items))[..., None]
        read = F.embedding(items.clamp(min=0), embedded)
        vectors = self.dropout(read[..., : self.dim])  # (B, L, d)
        weight = torch.exp(self.attention(vectors).float().clamp(-8, 8))  # (B, L, 1)
        pooled_own, n_own = _causal_mean(vectors, weight, own)
        other = real[..., None] & ~own
        pooled_past, n_past = _causal_mean(vectors, weight, other)
        log_kappa, rho = self.past_weight
        pseudo = torch.where(n_past > 0, log_kappa.exp() * n_past.clamp(min=1) ** rho, n_past)
        past = self.past_map(pooled_past)
        state = (n_own * pooled_own + pseudo * past) / (n_own + pseudo + 1)
        last_past = self.past_map(_latest(vectors, other))
        last = torch.where(n_own > 0, _latest(vectors, own), last_past)
        out = self.mlp(torch.cat([state, last], dim=-1).to(vectors.dtype))
        user, bias = state + out[..., :-1], out[..., -1:]
        if self.profile:
            place = torch.arange(items.shape[1], device=items.device)
            recent = torch.exp(self.recency.clamp(0, 1) * place)[:, None].expand(*items.shape, 1)
            user = user + _causal_mean(read[..., self.dim :], recent, real[..., None])[0]
        return torch.cat([user, bias, torch.ones_like(bias)], dim=-1)


def _causal_mean(vectors: Tensor, weight: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
    """Weighted mean of the chosen events before each position, and how many there were.

    Args:
        vectors: (B, L, d).
        weight: (B, L, 1) positive.
        chosen: (B, L, 1) bool.

    Returns:
        (B, L + 1, d) means, zero where nothing was chosen yet, and (B, L + 1, 1) counts.
    """
    weight = weight * chosen
    total = F.pad(torch.cumsum(weight * vectors, dim=1), (0, 0, 1, 0))
    mass = F.pad(torch.cumsum(weight, dim=1), (0, 0, 1, 0))
    count = F.pad(torch.cumsum(chosen.to(weight.dtype), dim=1), (0, 0, 1, 0))
    return (total / mass.clamp(min=1e-6)).to(vectors.dtype), count


def _latest(vectors: Tensor, chosen: Tensor) -> Tensor:
    """(B, L + 1, d) the last chosen vector before each position, zero where there is none."""
    length = vectors.shape[1]
    place = torch.arange(1, length + 1, device=vectors.device)
    index = torch.cummax(place[:, None] * chosen, dim=1).values if length else chosen.long()
    index = F.pad(index, (0, 0, 1, 0))  # (B, L + 1, 1), 0 means none
    padded = F.pad(vectors, (0, 0, 1, 0))  # row 0 is the zero vector
    return padded.gather(1, index.expand(-1, -1, vectors.shape[2]))
