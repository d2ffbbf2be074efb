"""Best and second best of a column, and the signs of significance."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from crossrec.evaluation.summary import CEILING, LOWER_IS_BETTER
from crossrec.evaluation.tables import LEVEL, RANKING
from crossrec.reporting.blocks import Mark

ACCURACY = (*RANKING, *LOWER_IS_BETTER, "like_accuracy")
"""Metrics of which more (or, of an error, less) is better in any case."""
GAIN, LOSS = "†", "‡"
SIGNS = f"{GAIN} significant gain, {LOSS} significant loss against"


def marks(metric: str, values: Mapping[str, float]) -> dict[str, Mark]:
    """Row -> best or second, of a metric by row; ties share a mark.

    What cannot be had without knowing the answer (the oracle) does not compete, nor does anybody
    by a metric that is neither good nor bad in itself (coverage, novelty, diversity).
    """
    base = metric.partition("@")[0]
    if base not in ACCURACY:
        return {}
    sign = -1 if base in LOWER_IS_BETTER else 1
    competing = {row: sign * x for row, x in values.items() if row != CEILING and not math.isnan(x)}
    places = sorted(set(competing.values()), reverse=True)[:2]
    names: tuple[Mark, Mark] = ("best", "second")
    return {row: names[places.index(x)] for row, x in competing.items() if x in places}


def dagger(metric: str, gain: float | None, p: float | None) -> str:
    """The sign of a gain that is significant at 5%; less of an error is a gain.

    Metrics that are neither good nor bad in themselves get none.
    """
    if metric.partition("@")[0] not in ACCURACY:
        return ""
    if gain is None or p is None or math.isnan(p) or p >= LEVEL:
        return ""
    return GAIN if (gain < 0) == metric.startswith(LOWER_IS_BETTER) else LOSS


def percent(gain: float, low: float, high: float, base: float) -> str:
    """A gain and its interval as shares of the baseline: +31.1% [+20.5%, +41.7%]."""
    if math.isnan(gain):
        return "-"
    if not base > 0:
        return f"{gain:+.4f} [{low:+.4f}, {high:+.4f}]"
    if math.isnan(low):
        return f"{gain / base:+.1%}"
    return f"{gain / base:+.1%} [{low / base:+.1%}, {high / base:+.1%}]"


def gain_text(row: Mapping[str, Any], column: str) -> str:
    """The gain of a row of the leaderboard over "scratch" or over the "reference", as `percent`."""
    gain, relative = row[f"gain_{column}"], row[f"relative_gain_{column}"]
    if gain is None or math.isnan(gain):
        return "-"
    if gain == 0:
        return "+0.0%"
    base = gain / relative if relative else math.nan
    return percent(gain, row[f"gain_low_{column}"], row[f"gain_high_{column}"], base)


def p_value(p: float | None) -> str:
    """<.001, .012, or - where there is none."""
    if p is None or math.isnan(p):
        return "-"
    return "<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0")
