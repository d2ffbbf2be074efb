"""The contest: every row of the table ranks the same test queries, once."""

import logging
from typing import Any

import numpy as np
import polars as pl
import torch
from rich.console import Console
from rich.progress import track
from torch import Tensor

from crossrec.data.columns import ITEM
from crossrec.data.domain import Domain
from crossrec.data.sequences import HeldOut
from crossrec.data.simulation.preferences import Preferences
from crossrec.evaluation.evaluate import Panel
from crossrec.evaluation.sampled import fixed_negatives
from crossrec.stages.scoring import (
    Contestant,
    Ranker,
    RatingModel,
    Single,
    calibrated,
    direct,
    of_utility,
)
from crossrec.training.objectives import mean_rating

log = logging.getLogger(__name__)

Scale = tuple[float, float]


def trained(name: str, ranker: Ranker, predicts_ratings: bool, scale: Scale | None) -> Contestant:
    """A model that was trained on the domain in which it competes."""
    return Contestant(name, ranker, _ratings(ranker, predicts_ratings, scale))


def carried(
    name: str, ranker: Ranker, source: Ranker | None, predicts_ratings: bool, scale: Scale | None
) -> Contestant:
    """A model that competes in the target on the strength of the source alone.

    Args:
        source: ranks the source, whose users say what its scores mean as ratings; None: nobody.
    """
    if source is None:
        return Contestant(name, ranker, None)
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
        evaluation: metrics, ks, beyond, like_at, negatives and negatives_seed.

    Raises:
        UserError: the protocol's negatives cannot be drawn from this data.
    """
    test = target.test
    negatives = None
    if evaluation["negatives"] is not None:
        among = evaluation["negatives"], evaluation["negatives_seed"]
        negatives = fixed_negatives(test.queries(), target.n_items, *among)
    panel = Panel(
        user_ids=target.user_ids[test.users.tolist()].to_list(),
        n_train=test.n_train.numpy(),
        cold=(test.n_train <= cold_at_most).numpy(),
        shared=torch.isin(test.users, shared_users).numpy(),
        train_counts=target.item_counts(),
        content=content,
        truth_items=test.truth_items,
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
        ranking = contestant.compete(max(evaluation["ks"]), negatives)
        errors = contestant.errors(ranking, evaluation["like_at"])
        rows.append(panel.evaluate(contestant.name, ranking, errors))
    return pl.concat(rows, how="diagonal")
