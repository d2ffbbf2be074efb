"""The contest: every row of the table ranks the same test queries, once."""

from typing import Any

import numpy as np
import polars as pl
from rich.console import Console
from rich.progress import track
from torch import Tensor

from crossrec.data.columns import ITEM
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import HeldOut
from crossrec.data.simulation.preferences import Preferences
from crossrec.evaluation.evaluate import Panel
from crossrec.models.item_knn import ItemKNN
from crossrec.models.popularity import Popularity
from crossrec.scoring import (
    Contestant,
    RatingModel,
    Scorer,
    calibrated,
    direct,
    of_baseline,
    of_utility,
    train_matrix,
)
from crossrec.training.objectives import mean_rating

Scale = tuple[float, float]


def baselines(target: Domain, scale: Scale | None) -> list[Contestant]:
    """Popularity and item-kNN, from the target's own data."""
    matrix = train_matrix(target)
    scorers = {
        "popularity": of_baseline(Popularity().fit(matrix).score, target.n_items),
        "item-knn": of_baseline(ItemKNN().fit(matrix).score, target.n_items),
    }
    return [
        Contestant(name, target, scorer, calibrated(scorer, target, scale) if scale else None)
        for name, scorer in scorers.items()
    ]


def trained(
    name: str, scorer: Scorer, domain: Domain, predicts_ratings: bool, scale: Scale | None
) -> Contestant:
    """A model that was trained on the domain in which it competes."""
    return Contestant(name, domain, scorer, _ratings(scorer, domain, predicts_ratings, scale))


def carried(
    name: str,
    scorer: Scorer,
    source: Scorer,
    pair: DomainPair,
    predicts_ratings: bool,
    scale: Scale | None,
) -> Contestant:
    """A model that competes in the target on the strength of the source alone."""
    ratings = _ratings(source, pair.source, predicts_ratings, scale)
    return Contestant(name, pair.target, scorer, ratings)


def _ratings(
    scorer: Scorer, domain: Domain, predicts_ratings: bool, scale: Scale | None
) -> RatingModel | None:
    if scale is None:
        return None
    if predicts_ratings:
        return direct(mean_rating(domain), scale)
    return calibrated(scorer, domain, scale)


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

    return Contestant("oracle", domain, of_utility(utility), ratings if scale else None)


def judge(
    contestants: list[Contestant],
    target: Domain,
    content: Tensor | None,
    cold_at_most: int,
    evaluation: dict[str, Any],
) -> pl.DataFrame:
    """One row for each contestant and test user: all that the results table is made of.

    Args:
        target: the domain that the panel describes; all contestants rank its queries.
        content: (n_items, d) vectors of the own items, for intra-list diversity.
        cold_at_most: users with at most so many own train interactions are cold.
        evaluation: metrics, ks, beyond and like_at.
    """
    test = target.test
    panel = Panel(
        user_ids=target.user_ids[test.users.tolist()].to_list(),
        n_train=test.n_train.numpy(),
        cold=(test.n_train <= cold_at_most).numpy(),
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
