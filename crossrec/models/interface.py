"""What training, transfer and evaluation ask of a recommender, and the convention for padding."""

from abc import ABC, abstractmethod

import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.columns import PAD

INITIAL_STD = 0.02  # of every table and weight: scores start near zero


class Recommender(nn.Module, ABC):
    """A recommender whose score is one inner product of a user vector and an item vector.

    Item codes 0 .. n_items - 1 are the domain's own catalog, the candidates; the n_context codes
    above them are items of other domains, which occur in histories only.

    Attributes:
        sequential: whether the user side reads the history (True) or the user's id (False).
        max_history: how many events of history it can read; 1 for models that read ids.
        item_tables: names of the parameters with one row an item (n_items + n_context rows).
        user_tables: names of the parameters with one row a user (n_users rows).
    """

    sequential: bool
    max_history: int
    item_tables: tuple[str, ...]
    user_tables: tuple[str, ...]

    @abstractmethod
    def embed_items(self) -> Tensor:
        """Embeddings of all items, (n_items + n_context, d)."""

    @abstractmethod
    def item_vectors(self, embedded: Tensor) -> Tensor:
        """Candidates' side of the score, (n_items, k), from what `embed_items` returned."""

    @abstractmethod
    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        """The users' side of the score after every prefix of their histories.

        Args:
            users: (B,) int64 user codes, PAD for a user whom the model does not know.
            items: (B, L) int64 item codes in the order of events, PAD on the right.
            embedded: what `embed_items` returned.

        Returns:
            (B, L + 1, k); position p describes the user after the first p events and depends on
            no later one. Positions beyond a user's last event are finite and mean nothing.
        """


def look_up(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of a (rows, d) table at codes of any shape, (*codes.shape, d); zeros where PAD."""
    found = F.embedding(codes.clamp(min=0), table)
    return found.masked_fill((codes == PAD).unsqueeze(-1), 0.0)


def content_map(content: Tensor, dim: int) -> nn.Linear:
    """A linear map without bias from content vectors to d dimensions.

    Without bias, an item that has no content (a zero vector) stays what its id says. Weights start
    at the tables' scale, so that unit-length content weighs as much as the id does.
    """
    linear = nn.Linear(content.shape[1], dim, bias=False)
    nn.init.normal_(linear.weight, std=INITIAL_STD)
    return linear
