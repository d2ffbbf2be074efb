"""NeuMF (He et al., WWW 2017): a factorization and a network over embeddings of their own."""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from crossrec.models.interface import INITIAL_STD, Recommender, look_up


class NeuMF(Recommender):
    """score(u, i) = h . [p_u * q_i, MLP([r_u, s_i])], equations 8 to 12 of the paper.

    The network's first layer is linear in both inputs, W [r_u, s_i] + b = A r_u + (C s_i + b): each
    side is multiplied once, and no catalog needs an input for every pair. The factorization's part
    of h is folded into the users' side. So the vector of either side is [factors (d), first layer
    (layers[0])]. Both halves are trained together from the start; the paper first trains each
    alone. A user whom the model does not know (code PAD) has zeros for p_u and r_u.

    Args:
        n_users: rows of the user tables.
        n_items: candidates.
        n_context: items of other domains; their rows exist for transfer and are never scored.
        content: taken as by every model, but not read.
        dim: d, the length of each of the four embeddings.
        layers: widths of the network's hidden layers, ReLU after each.
        dropout: on each hidden layer.

    Raises:
        ValueError: layers is empty.
    """

    sequential = False
    factorized = False
    max_history = 1
    item_tables = ("item_factors", "item_inputs")
    user_tables = ("user_factors", "user_inputs")

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_context: int,
        content: Tensor | None,
        dim: int = 64,
        layers: Sequence[int] = (64, 32, 16),
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        if len(layers) == 0:
            raise ValueError("layers must name at least one width")
        self.n_items, self.dim = n_items, dim
        n_rows = n_items + n_context
        self.user_factors = nn.Parameter(torch.randn(n_users, dim) * INITIAL_STD)
        self.item_factors = nn.Parameter(torch.randn(n_rows, dim) * INITIAL_STD)
        self.user_inputs = nn.Parameter(torch.randn(n_users, dim) * INITIAL_STD)
        self.item_inputs = nn.Parameter(torch.randn(n_rows, dim) * INITIAL_STD)
        self.user_layer = nn.Linear(dim, layers[0], bias=False)
        self.item_layer = nn.Linear(dim, layers[0])
        hidden: list[nn.Module] = [nn.ReLU(), nn.Dropout(dropout)]
        for width, next_width in pairwise(layers):
            hidden += [nn.Linear(width, next_width), nn.ReLU(), nn.Dropout(dropout)]
        self.hidden = nn.Sequential(*hidden)
        self.factor_weights = nn.Parameter(torch.ones(dim))
        self.output = nn.Linear(layers[-1], 1, bias=False)

    def embed_items(self) -> Tensor:
        """(n_items + n_context, 2 d): factors and inputs of the network."""
        return torch.cat([self.item_factors, self.item_inputs], dim=1)

    def item_vectors(self, embedded: Tensor) -> Tensor:
        """(n_items, d + layers[0])."""
        factors, inputs = embedded[: self.n_items].split(self.dim, dim=1)
        return torch.cat([factors, self.item_layer(inputs)], dim=1)

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """(B, L + 1, d + layers[0]); the same at every position, for a user is an id here."""
        factors = look_up(self.user_factors, users) * self.factor_weights
        inputs = self.user_layer(look_up(self.user_inputs, users))
        vectors = torch.cat([factors, inputs], dim=1)
        return vectors.unsqueeze(1).expand(-1, items.shape[1] + 1, -1)

    def score(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores of user vectors and item vectors whose leading dimensions broadcast."""
        factors = (user[..., : self.dim] * item[..., : self.dim]).sum(-1)
        hidden = self.hidden(user[..., self.dim :] + item[..., self.dim :])
        return factors + self.output(hidden).squeeze(-1)
