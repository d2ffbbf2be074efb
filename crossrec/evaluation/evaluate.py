"""One model's ranking -> one row a user: everything that the results table is made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crossrec.errors import UserError
from crossrec.evaluation.beyond_accuracy import diversity, novelty
from crossrec.evaluation.metrics import METRICS
from crossrec.evaluation.ranking import Ranking
from crossrec.evaluation.ratings import RatingErrors

BEYOND = ("coverage", "novelty", "diversity")


@dataclass(frozen=True)
class Panel:
    """Who is asked and what is measured: the same for every model of a run.

    Attributes:
        user_ids: (U,) ids of the queries' users, in the order of the queries.
        n_train: (U,) train interactions of each in the target.
        cold: (U,) bool: the cold users; the others are warm.
        shared: (U,) bool: the users who are in the source, too.
        train_counts: (n_items,) train interactions of each item, for novelty.
        content: (n_items, d) content vectors for diversity; None leaves that column out.
        truth_items: (T,) the held-out items of all queries, in their order.
        metrics: names in METRICS.
        ks: list lengths at which they are taken.
        beyond: any of coverage, novelty, diversity.

    Raises:
        UserError: a metric that does not exist, or a list length below 1.
    """

    user_ids: Sequence[str]
    n_train: np.ndarray
    cold: np.ndarray
    shared: np.ndarray
    train_counts: Tensor
    content: Tensor | None
    truth_items: Tensor
    metrics: Sequence[str] = tuple(METRICS)
    ks: Sequence[int] = (10,)
    beyond: Sequence[str] = BEYOND

    def __post_init__(self) -> None:
        known: tuple[tuple[str, Sequence[str], Sequence[str]], ...] = (
            ("evaluation.metrics", self.metrics, tuple(METRICS)),
            ("evaluation.beyond", self.beyond, BEYOND),
        )
        for key, names, allowed in known:
            for name in names:
                if name not in allowed:
                    raise UserError(f"{key}: no metric {name!r}; there are {', '.join(allowed)}")
        if not self.ks or min(self.ks) < 1:
            raise UserError(f"evaluation.ks must be list lengths >= 1, got {list(self.ks)}")

    @property
    def n_items(self) -> int:
        """Size of the target catalog."""
        return len(self.train_counts)

    def evaluate(
        self, model: str, ranking: Ranking, errors: RatingErrors | None = None
    ) -> pl.DataFrame:
        """One row a user: model, user_id, group, shared, n_train, METRIC@K ..., and more.

        top_items is the list itself (coverage is a property of all lists together); n_ratings,
        squared_error, absolute_error and like_right are sums over the user's held-out ratings;
        truth_items and truth_ranks list the held-out items and where each of them stands.

        Args:
            model: its name in the table.
            ranking: of the panel's queries, with lists of at least max(ks).
            errors: of its predicted ratings; None where there are none.
        """
        if ranking.top_items.shape != (len(self.user_ids), ranking.top_items.shape[1]):
            raise ValueError(f"{len(ranking.top_items)} lists for {len(self.user_ids)} users")
        if ranking.top_items.shape[1] < max(self.ks):
            raise ValueError(f"lists of {ranking.top_items.shape[1]}, but ks go to {max(self.ks)}")
        columns: dict[str, np.ndarray] = {}
        for k in self.ks:
            for name in self.metrics:
                values = METRICS[name](ranking.truth_ranks, ranking.truth_offsets, k)
                columns[f"{name}@{k}"] = values.numpy()
            lists = ranking.top_items[:, :k]
            if "novelty" in self.beyond:
                columns[f"novelty@{k}"] = novelty(lists, self.train_counts).numpy()
            if "diversity" in self.beyond and self.content is not None:
                columns[f"diversity@{k}"] = diversity(lists, self.content).numpy()
        if "coverage" in self.beyond:
            columns["top_items"] = ranking.top_items[:, : max(self.ks)].int().numpy()
        if errors is not None:
            columns |= {
                "n_ratings": errors.n,
                "squared_error": errors.squared,
                "absolute_error": errors.absolute,
                "like_right": errors.right,
            }
        return pl.DataFrame(
            {
                "model": [model] * len(self.user_ids),
                "user_id": list(self.user_ids),
                "group": np.where(self.cold, "cold", "warm").tolist(),
                "shared": self.shared,
                "n_train": self.n_train,
                **columns,
                "truth_items": _lists(self.truth_items, ranking.truth_offsets),
                "truth_ranks": _lists(ranking.truth_ranks, ranking.truth_offsets),
            }
        )


def _lists(values: Tensor, offsets: Tensor) -> pl.Series:
    """Each query's part of (T,) values, as lists of int32."""
    query = torch.repeat_interleave(offsets.diff()).numpy()  # each has at least one
    flat = pl.DataFrame({"query": query, "value": values.int().numpy()})
    return flat.group_by("query", maintain_order=True).agg("value")["value"]
