"""The contest: every row of the table ranks the same test queries, once."""

import logging
from collections.abc import Callable, Iterable
from operator import itemgetter
from typing import Any

import numpy as np
import polars as pl
import torch
from rich.console import Console
from rich.progress import track
from scipy.sparse import csr_array
from torch import Tensor

from crossrec.data.columns import ITEM
from crossrec.data.domain import Domain
from crossrec.data.sequences import HeldOut
from crossrec.data.simulation.preferences import Preferences
from crossrec.evaluation.evaluate import Panel
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.models.ease import EASE, Gram
from crossrec.models.item_knn import ItemKNN
from crossrec.models.popularity import Popularity
from crossrec.scoring import (
    Contestant,
    Ranker,
    RatingModel,
    Single,
    calibrated,
    direct,
    history_matrix,
    of_baseline,
    of_utility,
    train_matrix,
)
from crossrec.training.objectives import mean_rating

log = logging.getLogger(__name__)

Scale = tuple[float, float]
Fitted = Callable[[csr_array], Tensor]
"""(B, n_items) interactions of B users -> their scores."""

# What validation chooses from.
N_NEIGHBORS, SHRINKAGE = (5, 20, 100, 300), (0.0, 10.0, 100.0, 300.0)
L2 = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
MAX_QUERIES = 10_000  # validation queries that choose
MAX_SIDE = 8_000  # of the matrix that EASE inverts: 0.5 GB, and some 20 seconds for each l2


def baselines(target: Domain, scale: Scale | None) -> list[Contestant]:
    """Popularity, item-kNN and EASE, from the target's own data.

    They are fitted to train, and validation chooses their settings, as it does for models. What
    they read of a user in test is train and validation. EASE stays away where it would invert too
    large a matrix.
    """
    matrix = train_matrix(target)
    neighbors = (
        (f"n_neighbors={model.n_neighbors} shrinkage={model.shrinkage:g}", model.score)
        for model in ItemKNN.fit_grid(matrix, N_NEIGHBORS, SHRINKAGE)
    )
    fitted = {
        "popularity": Popularity().fit(matrix).score,
        "item-knn": _best("item-knn", neighbors, target),
    }
    side = Gram.side(matrix)
    if side <= MAX_SIDE:
        gram = Gram(matrix)
        fitted["ease"] = _best(
            "ease", ((f"l2={x:g}", EASE(x).solve(gram).score) for x in L2), target
        )
    else:
        log.info("           no ease: it would invert a matrix of %s rows", f"{side:,}")
    rankers = {
        name: Single(target, of_baseline(score, target.n_items)) for name, score in fitted.items()
    }
    return [
        Contestant(name, ranker, calibrated(ranker, scale) if scale else None)
        for name, ranker in rankers.items()
    ]


def _best(name: str, settings: Iterable[tuple[str, Fitted]], target: Domain) -> Fitted:
    """The first of those with the highest NDCG@10 in validation; the log says which it is.

    Args:
        settings: what a setting is called, and the scores it gives; made when their turn comes.
    """
    chosen = np.random.default_rng(0).permutation(len(target.valid))[:MAX_QUERIES]
    queries = target.valid.queries(torch.from_numpy(chosen))
    known = history_matrix(target.valid.history, target.n_items)[chosen]

    def value(score: Fitted) -> float:
        ranking = rank(lambda rows: score(known[rows]), queries, target.n_items, 10)
        return float(ndcg(ranking.truth_ranks, queries.truth_offsets, 10).mean())

    best, setting, score = max(
        ((value(score), setting, score) for setting, score in settings), key=itemgetter(0)
    )
    log.info("           %s: %s, ndcg@10 %.4f in validation", name, setting, best)
    return score


def trained(name: str, ranker: Ranker, predicts_ratings: bool, scale: Scale | None) -> Contestant:
    """A model that was trained on the domain in which it competes."""
    return Contestant(name, ranker, _ratings(ranker, predicts_ratings, scale))


def carried(
    name: str, ranker: Ranker, source: Ranker, predicts_ratings: bool, scale: Scale | None
) -> Contestant:
    """A model that competes in the target on the strength of the source alone."""
    return Contestant(name, ranker, _ratings(source, predicts_ratings, scale))


def _ratings(ranker: Ranker, predicts_ratings: bool, scale: Scale | None) -> RatingModel | None:
    if scale is None:
        return None
    if predicts_ratings:
        return direct(mean_rating(ranker.domain), scale)
    return calibrated(ranker, scale)


def oracle(preferences: Preferences, domain: Domain, scale: Scale | None) -> Contestant:
    """The ceiling on simulated data: it ranks by the true utility, which nobody else knows."""
    place = {item: column for column, item in enumerate(preferences.items)}
    columns = np.array([place[item] for item in domain.items[ITEM]])

    def utility(users: list[int]) -> np.ndarray:
        return preferences.utility(domain.user_ids[users].to_list())[:, columns]

    def ratings(held_out: HeldOut, scores: Tensor) -> np.ndarray:
        query, item, _ = (column.numpy() for column in held_out.truths())
        users = domain.user_ids[held_out.users.tolist()].to_list()
        return preferences.expected_rating(users)[query, columns[item]]

    return Contestant("oracle", Single(domain, of_utility(utility)), ratings if scale else None)


def judge(
    contestants: list[Contestant],
    target: Domain,
    content: Tensor | None,
    shared_users: Tensor,
    cold_at_most: int,
    evaluation: dict[str, Any],
) -> pl.DataFrame:
    """One row for each contestant and test user: all that the results table is made of.

    Args:
        target: the domain that the panel describes; all contestants rank its queries.
        content: (n_items, d) vectors of the own items, for intra-list diversity.
        shared_users: codes of the users who are in the source, too.
        cold_at_most: users with at most so many own train interactions are cold.
        evaluation: metrics, ks, beyond and like_at.
    """
    test = target.test
    panel = Panel(
        user_ids=target.user_ids[test.users.tolist()].to_list(),
        n_train=test.n_train.numpy(),
        cold=(test.n_train <= cold_at_most).numpy(),
        shared=torch.isin(test.users, shared_users).numpy(),
        train_counts=target.item_counts(),
        content=content,
        metrics=evaluation["metrics"],
        ks=evaluation["ks"],
        beyond=evaluation["beyond"],
    )
    rows = []
    console = Console(stderr=True)
    for contestant in track(
        contestants,
        f"{'evaluate':<10}",
        console=console,
        transient=True,
        disable=not console.is_interactive,
    ):
        ranking = contestant.compete(max(evaluation["ks"]))
        errors = contestant.errors(ranking, evaluation["like_at"])
        rows.append(panel.evaluate(contestant.name, ranking, errors))
    return pl.concat(rows, how="diagonal")
