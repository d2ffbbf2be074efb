"""LightGCN (He et al., SIGIR 2020): embeddings that flow along the graph of users and items."""

import torch
from torch import Tensor, nn

from crossrec.models.graph import Graph, propagate
from crossrec.models.interface import Recommender, look_up

LAYER_STD = 0.1  # of layer 0: averaging shrinks it, and from 0.02 training stalls at popularity


class LightGCN(Recommender):
    """score(u, i) = p_u . q_i, where p and q are means of what 0 .. n_layers steps brought along.

    One step takes every node to the sum of its neighbors, each divided by the root of both degrees
    (equations 3 and 4 of the paper); the edges are the training interactions. There are no biases,
    as in the paper: popularity is in the degrees. The ridge penalty on the embeddings of layer 0 is
    the optimizer's weight decay. Items of other domains have no edges here: their rows exist for
    transfer. A user whom the model does not know (code PAD) scores 0 everywhere.

    Args:
        n_users: rows of the user table.
        n_items: candidates.
        n_context: items of other domains.
        content: taken as by every model, but not read.
        dim: d, the length of the embeddings.
        n_layers: steps along the edges; 0 is a matrix factorization without biases.

    Raises:
        ValueError: n_layers below 0.
    """

    sequential = False
    max_history = 1
    graph: Graph
    item_tables = ("item_embedding",)
    user_tables = ("user_embedding",)

    def __init__(
        self,
        n_users: int,
        n_items: int,
        n_context: int,
        content: Tensor | None,
        dim: int = 64,
        n_layers: int = 3,
    ) -> None:
        super().__init__()
        if n_layers < 0:
            raise ValueError(f"n_layers must be >= 0, got {n_layers}")
        self.n_items, self.n_layers = n_items, n_layers
        self.user_embedding = nn.Parameter(torch.randn(n_users, dim) * LAYER_STD)
        self.item_embedding = nn.Parameter(torch.randn(n_items + n_context, dim) * LAYER_STD)
        nobody = torch.empty(0, dtype=torch.int64)
        self.observe(nobody, nobody)

    def observe(self, users: Tensor, items: Tensor) -> None:
        """The edges of the graph, (E,) codes each; the same edge twice is one."""
        self.graph = Graph(users, items, len(self.user_embedding), len(self.item_embedding))

    def embed_items(self) -> Tensor:
        """(n_items + n_context + n_users, d): items, and after them the users."""
        nodes = torch.cat([self.user_embedding, self.item_embedding])
        nodes = propagate(self.graph.adjacency(), nodes, self.n_layers)
        return nodes.roll(-len(self.user_embedding), dims=0)

    def item_vectors(self, embedded: Tensor) -> Tensor:
        """(n_items, d)."""
        return embedded[: self.n_items]

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """(B, L + 1, d); the same at every position, for a user is a node here."""
        vectors = look_up(embedded[len(self.item_embedding) :], users)
        return vectors.unsqueeze(1).expand(-1, items.shape[1] + 1, -1)
