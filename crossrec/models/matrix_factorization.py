"""Matrix factorization with biases (Koren, Bell and Volinsky, IEEE Computer 2009)."""

import torch
from torch import Tensor, nn

from crossrec.models.cases import Cases, Factors
from crossrec.models.content import Content, as_module
from crossrec.models.interface import INITIAL_STD, Recommender, content_map, look_up
from crossrec.models.tables import rows


class MatrixFactorization(Recommender):
    """score(u, i) = p_u . q_i + b_u + b_i, with q_i = id embedding (+ linear map of the content).

    The biases are folded in: user side [p_u, b_u, 1], item side [q_i, 1, b_i], so k = d + 2. A user
    whom the model does not know (code PAD) has p_u = 0 and b_u = 0.

    Args:
        n_users: rows of the user tables.
        n_items: candidates.
        n_context: items of other domains; their rows exist for transfer and are never scored.
        content: (n_items + n_context, d_c) content vectors, zero where an item has none, or what
            makes and learns them; None if the domain has none, which leaves the ids.
        dim: d, the length of p_u and q_i.
        use_content: whether q_i also has a linear map of the content (hybrid factorization).
    """

    sequential = False
    content_maps = ("content_map",)
    max_history = 1

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_context: int,
        content: Content | None,
        dim: int = 64,
        use_content: bool = False,
    ) -> None:
        super().__init__()
        self.n_items = n_items
        n_rows = n_items + n_context
        self.user_embedding = nn.Parameter(torch.randn(n_users, dim) * INITIAL_STD)
        self.user_bias = nn.Parameter(torch.zeros(n_users, 1))
        self.item_embedding = nn.Parameter(torch.randn(n_rows, dim) * INITIAL_STD)
        self.item_bias = nn.Parameter(torch.zeros(n_rows, 1))
        self.item_tables = ("item_embedding", "item_bias")
        self.user_tables = ("user_embedding", "user_bias")
        self.content = as_module(content if use_content else None)
        if self.content is None:
            self.row_tables = (*self.item_tables, *self.user_tables)
        self.content_map = content_map(self.content.dim, dim) if self.content else None

    def embed_items(self) -> Tensor:
        if self.content is None or self.content_map is None:
            return self.item_embedding
        return self.item_embedding + self.content_map(self.content())

    def item_vectors(self, embedded: Tensor) -> Tensor:
        bias = self.item_bias[: self.n_items]
        return torch.cat([embedded[: self.n_items], torch.ones_like(bias), bias], dim=1)

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """(B, L + 1, d + 2); the same at every position, for a user is an id here."""
        bias = look_up(self.user_bias, users)
        vectors = torch.cat(
            [look_up(self.user_embedding, users), bias, torch.ones_like(bias)], dim=1
        )
        return vectors.unsqueeze(1).expand(-1, items.shape[1] + 1, -1)

    def training_cases(self, users: Tensor, items: Tensor, ratings: Tensor, own: Tensor) -> Cases:
        """Straight from the tables: nothing is made that a batch does not ask for."""
        factors = Factors(
            rows(self.user_embedding, users),
            self.embed_items(),
            rows(self.user_bias, users),
            self.item_bias,
            n_items=self.n_items,
        )
        return Cases.of_factors(factors, (users, items[:, 0], ratings[:, 0]))
