"""A judge's order of a model's best items: fused by a weight, and compared on the same users."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl
import torch
from torch import Tensor

from crossrec.evaluation.blocks import ranks_of
from crossrec.evaluation.metrics import METRICS, ndcg
from crossrec.evaluation.significance import mean_interval, paired_test

WEIGHTS = tuple(step / 10 for step in range(11))
SCHEMA: dict[str, type[pl.DataType]] = {
    "model": pl.String,
    "metric": pl.String,
    **dict.fromkeys(("value", "low", "high", "gain", "gain_low", "gain_high", "p"), pl.Float64),
}


@dataclass(frozen=True)
class Judged:
    """The K best items of R users, and what the model and the judge think of them.

    Attributes:
        rows: (R,) which queries.
        truth_offsets: (R + 1,) whose held-out items are in truth_items and truth_ranks.
        truth_items: (T,) held-out items.
        truth_ranks: (T,) their ranks in the whole catalog by the model.
        items: (R, K) codes of the model's best items, PAD where candidates run out.
        scores: (R, K) of the model, -inf where candidates run out.
        judgments: (R, K) of the judge; NaN where it was not asked.
    """

    rows: Tensor
    truth_offsets: Tensor
    truth_items: Tensor
    truth_ranks: Tensor
    items: Tensor
    scores: Tensor
    judgments: Tensor

    @property
    def within(self) -> Tensor:
        """(T,) whether a held-out item is one of the K, so that the judge decides where it goes.

        An item that ties with the last of the K stands behind it: ties count against the model.
        """
        listed = (self.items[self.users] == self.truth_items[:, None]).any(dim=1)
        return listed & (self.truth_ranks <= self.items.shape[1])

    @property
    def users(self) -> Tensor:
        """(T,) number, from 0, of the user whose held-out item it is."""
        return torch.repeat_interleave(self.truth_offsets.diff())

    def reranked(self, weight: float) -> Tensor:
        """(T,) ranks after fusing: held-out items that are not among the K stay where they are.

        The fused score is (1 - weight) * model + weight * judge, each standardized over the K;
        what has no judgment stands at the judge's mean. weight = 0 gives the model's own ranks.
        """
        if weight == 0:
            return self.truth_ranks
        model, judge = (standardized(part.double()) for part in (self.scores, self.judgments))
        fused = (1 - weight) * model + weight * judge
        fused = fused.masked_fill(self.scores == -torch.inf, -torch.inf)
        inside, users = self.within, self.users
        place = (self.items[users[inside]] == self.truth_items[inside, None]).long().argmax(dim=1)
        found = fused[users[inside], place]
        ranks = self.truth_ranks.clone()
        # Rows are numbered anew: those without a held-out item among the K are not looked at.
        asked, row = users[inside].unique_consecutive(return_inverse=True)
        ranks[inside] = ranks_of(fused[asked], row, found)
        return ranks

    def metric(self, name: str, ranks: Tensor, k: int) -> Tensor:
        """(R,) a metric of each user."""
        return METRICS[name](ranks, self.truth_offsets, k)


def standardized(values: Tensor) -> Tensor:
    """Each row (R, K) with mean 0 and deviation 1 over its finite values; 0 for the others."""
    known = values.isfinite()
    count = known.sum(dim=1, keepdim=True).clamp(min=1)
    mean = values.where(known, 0.0).sum(dim=1, keepdim=True) / count
    centered = (values - mean).where(known, 0.0)
    deviation = (centered.square().sum(dim=1, keepdim=True) / count).sqrt()
    flat = deviation <= 1e-9 * values.where(known, 0.0).abs().amax(dim=1, keepdim=True)
    return (centered / deviation.masked_fill(flat, 1.0)).masked_fill(flat, 0.0)


def choose_weight(valid: Judged, k: int = 10) -> tuple[float, dict[float, float]]:
    """The smallest weight of the judge that is as good in validation as the best, but for chance.

    That is, whose mean NDCG@k over users is within one standard error of the best one's (Breiman et
    al., 1984, section 3.4.3, here of the paired difference): a judge must earn its weight.

    Returns:
        The weight, and what each of WEIGHTS reaches.
    """
    reached = {
        weight: ndcg(valid.reranked(weight), valid.truth_offsets, k).numpy() for weight in WEIGHTS
    }
    means = {weight: float(values.mean()) for weight, values in reached.items()}
    best = max(means, key=lambda weight: means[weight])
    for weight, values in reached.items():
        gap = reached[best] - values
        if len(gap) > 1 and gap.mean() <= gap.std(ddof=1) / len(gap) ** 0.5:
            return weight, means
    return best, means


def compared(
    test: Judged, weight: float, metrics: Sequence[str], ks: Sequence[int]
) -> pl.DataFrame:
    """SCHEMA: the model, the judge alone and both fused, on the same users.

    Gains are over the model, with 95% intervals and the p of a paired t test over users.
    """
    orders = {
        "transferred": test.truth_ranks,
        "judge": test.reranked(1.0),
        "reranked": test.reranked(weight),
    }
    rows = []
    for k in ks:
        for name in metrics:
            values = {model: test.metric(name, ranks, k).numpy() for model, ranks in orders.items()}
            for model, of_user in values.items():
                estimate = mean_interval(of_user)
                gain, _, low, high, p = paired_test(of_user, values["transferred"])
                tested = (gain, low, high, p) if model != "transferred" else (None,) * 4
                rows.append((model, f"{name}@{k}", *estimate, *tested))
    return pl.DataFrame(rows, SCHEMA, orient="row")
