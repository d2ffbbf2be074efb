"""The results of a run: values and comparisons, both a pure function of its per-user table."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import polars as pl

from crossrec.evaluation.coverage import coverage
from crossrec.evaluation.significance import holm, linearized, mean_interval, paired_test

BASELINE, CANDIDATE = "scratch", "transferred"
CEILING = "oracle"  # the last row
TUNED = ("popularity", "item-knn", "ease")  # baselines whose settings validation chooses
SINGLE_DOMAIN = (*TUNED, BASELINE)  # rows that know the target alone
MODELS = (*SINGLE_DOMAIN, "zero-shot")
"""The first rows; others stand between them and the candidate."""
BY_OVERLAP = ("shared", "other")  # users who are in the source, too, and the others
GROUPS = ("all", "cold", "warm", *BY_OVERLAP)
METRIC_ORDER = (
    *("ndcg", "recall", "hit", "mrr", "precision"),
    *("coverage", "novelty", "diversity", "rmse", "mae", "like_accuracy"),
)
LOWER_IS_BETTER = ("rmse", "mae")
VALUE_SCHEMA: dict[str, type[pl.DataType]] = {
    "model": pl.String,
    "users": pl.String,
    "metric": pl.String,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
}
COMPARISON_SCHEMA: dict[str, type[pl.DataType]] = {
    "model": pl.String,
    "baseline": pl.String,
    "users": pl.String,
    "metric": pl.String,
    "gain": pl.Float64,
    "relative_gain": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    "p": pl.Float64,
    "p_holm": pl.Float64,
}


@dataclass(frozen=True)
class Results:
    """What a run found.

    Attributes:
        values: model, users, metric, value, low, high: 95% intervals, NaN where one user alone
            cannot give one.
        comparisons: model, baseline, users, metric, gain = value - baseline's value,
            relative_gain (NaN where the baseline has 0), low and high of the gain, p of the paired
            t test and p_holm. For each metric Holm's correction runs over the user groups of
            `transferred`, the one comparison that a run is made for, and separately over models
            and user groups of the others. A gain in rmse or mae is a loss.
        sizes: users in each group.
    """

    values: pl.DataFrame
    comparisons: pl.DataFrame
    sizes: dict[str, int]

    @classmethod
    def of(cls, per_user: pl.DataFrame, n_items: int) -> Results:
        """From the rows that `Panel.evaluate` gave for each model, one under the other.

        Raises:
            ValueError: models were asked about different users.
        """
        models = sorted(per_user["model"].unique(), key=model_order)
        values, tests, sizes = [], [], {}
        for users in GROUPS:
            chosen = per_user.filter(in_group(users))
            if chosen.is_empty() or (users in BY_OVERLAP and len(chosen) == len(per_user)):
                continue  # where all users are shared, or none is, the group says nothing new
            frames = {m: chosen.filter(pl.col("model") == m).sort("user_id") for m in models}
            if any(not f["user_id"].equals(frames[models[0]]["user_id"]) for f in frames.values()):
                raise ValueError(f"the models were not asked about the same {users} users")
            sizes[users] = len(frames[models[0]])
            columns = {m: by_user(frame) for m, frame in frames.items()}
            for m in models:
                estimates = {name: mean_interval(v) for name, v in columns[m].items()}
                estimates |= {
                    f"coverage@{k}": coverage(lists[:, :k], n_items)
                    for k, lists in _lists(frames[m])
                }
                values += [
                    (m, users, name, *estimates[name])
                    for name in sorted(estimates, key=metric_order)
                    if not math.isnan(estimates[name].value)
                ]
            tests += [
                (m, BASELINE, users, name, *paired_test(v, columns[BASELINE][name]))
                for m in models
                if m != BASELINE and BASELINE in models
                for name, v in columns[m].items()
                if name in columns[BASELINE]
            ]
        return cls(
            pl.DataFrame(values, VALUE_SCHEMA, orient="row"),
            _corrected(tests),
            sizes,
        )


def in_group(users: str) -> pl.Expr:
    """Which rows of a per-user table are of one of GROUPS."""
    if users == "all":
        return pl.lit(True)
    if users in ("cold", "warm"):
        return pl.col("group") == users
    return pl.col("shared") == (users == "shared")


def model_order(name: str) -> tuple[int, str]:
    """Key that sorts models as the table shows them."""
    if name in MODELS:
        return MODELS.index(name), ""
    return len(MODELS) + (name == CANDIDATE) + 2 * (name == CEILING), name


def metric_order(name: str) -> tuple[int, int, str]:
    """Key that sorts metrics as the table shows them, by list length first."""
    base, _, k = name.partition("@")
    place = METRIC_ORDER.index(base) if base in METRIC_ORDER else len(METRIC_ORDER)
    return int(k) if k else 1 << 30, place, base


def by_user(frame: pl.DataFrame) -> dict[str, np.ndarray]:
    """Per-user values of each metric that is, or can be written as, a mean over users; (U,)."""
    values = {name: frame[name].to_numpy() for name in frame.columns if "@" in name}
    if "n_ratings" in frame.columns and frame["n_ratings"].null_count() == 0:
        n = frame["n_ratings"].to_numpy()
        values["rmse"] = linearized(frame["squared_error"].to_numpy(), n, root=True)
        values["mae"] = linearized(frame["absolute_error"].to_numpy(), n)
        values["like_accuracy"] = linearized(frame["like_right"].to_numpy(), n)
    return values


def _lists(frame: pl.DataFrame) -> list[tuple[int, np.ndarray]]:
    """Each list length of the run with the (U, max k) lists."""
    if "top_items" not in frame.columns:
        return []
    lists = frame["top_items"].to_numpy()
    ks = {int(name.partition("@")[2]) for name in frame.columns if "@" in name}
    return [(k, lists) for k in sorted(ks or {lists.shape[1]})]


def _corrected(tests: list[tuple]) -> pl.DataFrame:
    """The tests with Holm's p within each metric and family; see Results."""
    adjusted = [math.nan] * len(tests)
    families: dict[tuple[str, bool], list[int]] = {}
    for row, (model, _, _, metric, *_) in enumerate(tests):
        families.setdefault((metric, model == CANDIDATE), []).append(row)
    for family in families.values():
        for row, p in zip(family, holm([tests[row][-1] for row in family]), strict=True):
            adjusted[row] = p
    rows = [(*test, p) for test, p in zip(tests, adjusted, strict=True)]
    return pl.DataFrame(rows, COMPARISON_SCHEMA, orient="row")
