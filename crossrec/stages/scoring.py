"""Every row of the results table as one function: held-out queries -> scores of the catalog."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Literal, Protocol

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.sequences import HeldOut, Sequences
from crossrec.evaluation.mixing import mixed
from crossrec.evaluation.ranking import Ranking, ScoreBlock, rank
from crossrec.evaluation.ratings import RatingCalibration, RatingErrors, TrainMeans
from crossrec.models.interface import Recommender, last_state
from crossrec.transfer.pair_model import PairModel

Scorer = Callable[[Sequences], ScoreBlock]
"""(S,) histories -> scores of every item for each of them, by slices of rows."""
RatingModel = Callable[[HeldOut, Tensor], np.ndarray]
"""(queries, (T,) scores of their held-out items) -> (T,) predicted ratings."""

USERS_PER_BLOCK = 1024


def of_model(model: Recommender) -> Scorer:
    """Scores of a trained recommender, on the device where it is."""

    def scorer(histories: Sequences) -> ScoreBlock:
        states = user_states(model, histories)
        with torch.no_grad():
            return model.score_block(states, model.item_vectors(model.embed_items()))

    return scorer


def of_pair_model(model: PairModel) -> Scorer:
    """Scores in the target of a method that brings its own network, on the device where it is."""

    def scorer(histories: Sequences) -> ScoreBlock:
        model.eval()
        with torch.no_grad():
            scores = model.scorer("target")
        rows = torch.arange(len(histories.users))
        # A method that trains nothing may have buffers alone, or nothing at all.
        held = next(chain(model.parameters(), model.buffers()), torch.empty(0))

        @torch.no_grad()
        def block(chosen: slice) -> Tensor:
            return scores(histories.last(rows[chosen], model.max_history).to(held.device))

        return block

    return scorer


@torch.no_grad()
def user_states(model: Recommender, histories: Sequences) -> Tensor:
    """(S, k) what the model makes of each whole history, in evaluation mode."""
    model.eval()
    embedded = model.embed_items()
    states = []
    for rows in torch.arange(len(histories.users)).split(USERS_PER_BLOCK):
        batch = histories.last(rows, model.max_history).to(embedded.device)
        state = model.user_vectors(batch.users, batch.items, embedded)
        states.append(last_state(state, batch.items))
    return torch.cat(states)


def of_baseline(fitted: Callable[[csr_array], Tensor], n_items: int) -> Scorer:
    """Scores of a baseline that reads a row of the interaction matrix."""

    def scorer(histories: Sequences) -> ScoreBlock:
        known = history_matrix(histories, n_items)
        return lambda rows: fitted(known[rows])

    return scorer


def of_utility(utility: Callable[[list[int]], np.ndarray]) -> Scorer:
    """Scores that are known: utility takes user codes and gives (users, n_items)."""

    def scorer(histories: Sequences) -> ScoreBlock:
        users = histories.users.tolist()
        return lambda rows: torch.from_numpy(utility(users[rows]))

    return scorer


def train_matrix(domain: Domain) -> csr_array:
    """(n_users, n_items) float32, 1 where a user has an item in train."""
    users, items, _ = domain.train_events()
    ones = np.ones(len(users), dtype=np.float32)
    matrix = csr_array((ones, (users.numpy(), items.numpy())), (domain.n_users, domain.n_items))
    matrix.data[:] = 1  # repeats add up
    return matrix


def history_matrix(histories: Sequences, n_items: int) -> csr_array:
    """(S, n_items) float32, 1 where a history holds an own item."""
    rows = torch.repeat_interleave(torch.arange(len(histories.users)), histories.lengths)
    own = histories.own
    ones = np.ones(int(own.sum()), dtype=np.float32)
    at = (rows[own].numpy(), histories.items[own].numpy())
    matrix = csr_array((ones, at), (len(histories.users), n_items))
    matrix.data[:] = 1
    return matrix


def calibrated(ranker: "Ranker", scale: tuple[float, float]) -> RatingModel | None:
    """Ratings from the scores of what ranks a domain, fitted on the domain's validation.

    Returns None where no validation event has a rating. In a domain other than the one it was
    fitted on (zero-shot) items are strangers, and stand at the mean over all items.
    """
    domain = ranker.domain
    users, items, ratings = (column.numpy() for column in domain.train_events())
    means = TrainMeans.of(users, items, ratings, domain.n_users, domain.n_items)
    query, item, observed = (column.numpy() for column in domain.valid.truths())
    if np.isnan(observed).all():
        return None
    scores = truth_scores(ranker.block("valid"), domain.valid, domain.n_items)
    of_user = means.users[domain.valid.users.numpy()[query]]
    calibration = RatingCalibration.fit(of_user, means.items[item], scores, observed, scale)
    stranger = float(means.items.mean())

    def predict(held_out: HeldOut, scores: Tensor) -> np.ndarray:
        query, item, _ = (column.numpy() for column in held_out.truths())
        known = held_out is domain.valid or held_out is domain.test
        of_item = means.items[item] if known else np.full(len(item), stranger)
        of_user = means.users[held_out.users.numpy()[query]]
        return calibration.predict(of_user, of_item, scores.numpy())

    return predict


def truth_scores(block: ScoreBlock, held_out: HeldOut, n_items: int) -> np.ndarray:
    """(T,) the scores of the held-out items, from the scores of their queries."""
    ranking = rank(block, held_out.queries(), n_items, 1, beyond_k=False)
    return ranking.truth_scores.numpy()


def direct(mean: float, scale: tuple[float, float]) -> RatingModel:
    """Ratings of a model that was trained on them: mean + score, cut to the scale."""

    def predict(held_out: HeldOut, scores: Tensor) -> np.ndarray:
        return (mean + scores).clamp(*scale).numpy()

    return predict


Asked = Literal["valid", "test", "known"]
"""Whose scores are wanted: of the validation or test queries, or of every user of the pair."""


class Ranker(Protocol):
    """What ranks the catalog of a domain.

    Attributes:
        domain: its queries and catalog.
    """

    @property
    def domain(self) -> Domain: ...

    def block(self, asked: Asked) -> ScoreBlock:
        """Scores of the catalog for those who are asked about, in their order."""


@dataclass(frozen=True)
class Single:
    """One model; the histories of its domain are all that it may read."""

    domain: Domain
    scorer: Scorer

    def block(self, asked: Asked) -> ScoreBlock:
        """Scores from the histories of those who are asked about."""
        if asked == "known":
            return self.scorer(self.domain.known)
        queries = self.domain.valid if asked == "valid" else self.domain.test
        return self.scorer(queries.history)


@dataclass(frozen=True)
class Mixture:
    """Several rankers of one catalog and its queries, each with its own histories, by weight."""

    domain: Domain
    rankers: Sequence[Ranker]
    weights: Sequence[float]

    def block(self, asked: Asked) -> ScoreBlock:
        """The weighted sum of standardized scores."""
        return mixed([ranker.block(asked) for ranker in self.rankers], self.weights)


@dataclass(frozen=True)
class Contestant:
    """One row of the table.

    Attributes:
        name: of the row.
        ranker: ranks the catalog.
        ratings: predicts ratings; None where there are none to learn from.
    """

    name: str
    ranker: Ranker
    ratings: RatingModel | None

    def compete(self, k: int, negatives: Tensor | None = None) -> Ranking:
        """Rank the test queries: the one time that this contestant sees test.

        Args:
            k: length of the lists.
            negatives: (queries, n) that ranks are among; None ranks among the whole catalog.
        """
        domain = self.ranker.domain
        queries = domain.test.queries()
        return rank(self.ranker.block("test"), queries, domain.n_items, k, negatives=negatives)

    def errors(self, ranking: Ranking, like_at: float) -> RatingErrors | None:
        """How wrong the predicted ratings of the test events are."""
        if self.ratings is None:
            return None
        test = self.ranker.domain.test
        query, _, observed = (column.numpy() for column in test.truths())
        predicted = self.ratings(test, ranking.truth_scores)
        return RatingErrors.of(predicted, observed, query, len(test), like_at)
