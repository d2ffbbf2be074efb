"""What training, transfer and evaluation ask of a recommender, and the convention for padding."""

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.evaluation.ranking import ScoreBlock, factorized
from crossrec.models.cases import Cases, Events
from crossrec.models.tables import rows

INITIAL_STD = 0.02  # of every table and weight: scores start near zero


class Recommender(nn.Module, ABC):
    """A recommender: a vector of the user, a vector of the item, and a score of both.

    The score is their inner product unless a model says otherwise (`factorized`, `score`).

    Item codes 0 .. n_items - 1 are the domain's own catalog, the candidates; the n_context codes
    above them are items of other domains, which occur in histories only.

    Attributes:
        sequential: whether the user side reads the history (True) or the user's id (False).
        max_history: how many events of history it can read; 1 for models that read ids.
        item_tables: names of the parameters with one row an item (n_items + n_context rows).
        user_tables: names of the parameters with one row a user (n_users rows).
        factorized: whether the score is the inner product.
        row_tables: names of the tables of which training reads the rows that a batch asks for,
            and no others, as `tables.rows` and the like do it.
        content_maps: names of the linear maps, without bias, that read content vectors (or None).
    """

    sequential: bool
    factorized: bool = True
    max_history: int
    item_tables: tuple[str, ...]
    user_tables: tuple[str, ...]
    row_tables: tuple[str, ...] = ()
    content_maps: tuple[str, ...] = ()

    def observe(self, users: Tensor, items: Tensor) -> None:
        """See who has what in train, (E,) codes each, once before anything else.

        Only models that compute with the interactions themselves need it (a graph's edges).
        """

    @abstractmethod
    def embed_items(self) -> Tensor:
        """Embeddings of all items, (n_items + n_context, d); rows after these are the model's."""

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
            no later one, though it may know how many there are. Positions beyond a user's last
            event are finite and mean nothing.
        """

    def score(self, user: Tensor, item: Tensor) -> Tensor:
        """Scores of user vectors and item vectors whose leading dimensions broadcast."""
        return (user * item).sum(-1)

    def training_cases(self, users: Tensor, items: Tensor, ratings: Tensor, own: Tensor) -> Cases:
        """The own events of a batch, each with what the model knows of its user before it.

        Args:
            users: (B,) codes.
            items, ratings, own: (B, L) as a batch has them; of a model that reads ids (B, 1), and
                every event an own one.
        """
        embedded = self.embed_items()
        item = self.item_vectors(embedded)
        if not self.sequential:
            user = self.user_vectors(users, items[:, :0], embedded)[:, 0]
            return self.cases(user, item, (users, items[:, 0], ratings[:, 0]))
        state = self.user_vectors(users, before_last(items, own), embedded)[:, :-1]
        events = users[:, None].expand_as(items)[own], items[own], ratings[own]
        return self.cases(state[own], item, events)

    def cases(self, user: Tensor, item: Tensor, events: Events) -> Cases:
        """Training cases of (M, k) user vectors and (n_items, k) candidates.

        Args:
            events: users, items, ratings of the cases, (M,) each.
        """
        if self.factorized:
            return Cases.of_vectors(user, item, *events)

        def score(candidates: Tensor) -> Tensor:
            of_user = user.view(len(user), *[1] * (candidates.dim() - 1), -1)
            return self.score(of_user, rows(item, candidates))

        return Cases(*events, len(item), score)

    def score_block(self, users: Tensor, items: Tensor) -> ScoreBlock:
        """Scores of (U, k) user vectors and (n_items, k) candidates, for ranking."""
        if self.factorized:
            return factorized(users, items)
        step = users_at_once(len(items), items.device)

        def block(rows: slice) -> Tensor:
            return torch.cat([self.score(part[:, None], items) for part in users[rows].split(step)])

        return block


def users_at_once(n_items: int, device: torch.device) -> int:
    """Users whose pairs with a catalog a network scores together.

    On a processor their hidden layers are to stay in its cache; an accelerator is to be kept busy.
    """
    pairs = 2**14 if device.type == "cpu" else 2**20
    return max(1, pairs // n_items)


def before_last(items: Tensor, predicted: Tensor) -> Tensor:
    """The events of training windows that are read: those before the last that is predicted.

    Nothing is predicted from that event or a later one. Without them the state that predicts it
    stands where that of a whole history stands, after the last event that is read.

    Args:
        items: (..., L) codes, PAD on the right.
        predicted: (..., L) bool, events that the model is to predict.

    Returns:
        (..., L) the codes, PAD in the place of what is not read.
    """
    of_it = predicted.long()
    later = of_it.flip(-1).cumsum(-1).flip(-1) - of_it
    return items.masked_fill(later == 0, PAD)


def at_end(items: Tensor) -> tuple[Tensor, Tensor]:
    """Index of the states after the last events: (B,) rows, (B,) lengths of (B, L) histories."""
    lengths = (items != PAD).sum(dim=1)
    return torch.arange(len(lengths), device=lengths.device), lengths


def last_state(states: Tensor, items: Tensor) -> Tensor:
    """(B, k) the state after each history's last event, from (B, L + 1, k) and (B, L) codes."""
    return states[at_end(items)]


def look_up(table: Tensor, codes: Tensor) -> Tensor:
    """Rows of a (rows, d) table at codes of any shape, (*codes.shape, d); zeros where PAD."""
    found = rows(table, codes.clamp(min=0))
    return found.masked_fill((codes == PAD).unsqueeze(-1), 0.0)


def content_map(n_features: int, dim: int) -> nn.Linear:
    """A linear map without bias from content vectors to d dimensions.

    Without bias, an item that has no content (a zero vector) stays what its id says. Weights start
    at the tables' scale, so that unit-length content weighs as much as the id does.
    """
    linear = nn.Linear(n_features, dim, bias=False)
    nn.init.normal_(linear.weight, std=INITIAL_STD)
    return linear
