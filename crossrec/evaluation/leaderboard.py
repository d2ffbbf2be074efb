"""Methods side by side over many runs: validation chooses each one's setting, users pair the tests.

A method may have run in several settings and with several seeds. Its row is the setting with the
best mean validation over the seeds that all of its settings have; how many there were to choose
from is told. Values are means over seeds. Tests pair users, each with their mean over seeds
(simulated users of different worlds are different users), and Holm's correction runs over the
methods. One comparison is with scratch as it ran beside the method, the other with a reference: a
row that is asked for, else the single-domain row that is best in the same users' test (chosen in
hindsight, so it errs against the methods).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from crossrec.errors import UserError
from crossrec.evaluation.methods import Setting, by_data, chosen_of
from crossrec.evaluation.origin import ORIGIN, joined
from crossrec.evaluation.significance import Comparison, Estimate, holm, mean_interval, paired_test
from crossrec.evaluation.summary import (
    BY_OVERLAP,
    GROUPS,
    LOWER_IS_BETTER,
    SINGLE_DOMAIN,
    by_user,
    in_group,
)
from crossrec.evaluation.sweeps import Run

USER = ("world", "user_id")
SCHEMA: dict[str, type[pl.DataType]] = {
    "data": pl.String,
    "users": pl.String,
    "metric": pl.String,
    "method": pl.String,
    "options": pl.String,
    "settings": pl.Int64,
    "seeds": pl.Int64,
    "value": pl.Float64,
    "low": pl.Float64,
    "high": pl.Float64,
    **{
        f"{column}_{reference}": pl.Float64
        for reference in ("scratch", "reference")
        for column in ("gain", "relative_gain", "gain_low", "gain_high", "p_holm")
    },
    "reference": pl.String,
    **dict.fromkeys(ORIGIN, pl.String),
}


@dataclass(frozen=True, eq=False)
class _Row:
    """A method's row for one user group and metric.

    Attributes:
        method, options, seeds, estimate: as in the table.
        own: world, user_id and value: each user's mean over seeds.
        scratch: the same of scratch in the same runs; None for scratch itself.
    """

    method: str
    options: str
    seeds: int
    estimate: Estimate
    own: pl.DataFrame
    scratch: pl.DataFrame | None

    @property
    def single(self) -> bool:
        """Whether it knows the target domain alone."""
        return self.method.partition(" ")[0] in SINGLE_DOMAIN


def leaderboard(runs: Sequence[Run], against: str | None = None) -> pl.DataFrame:
    """A row for each data set, user group, metric and method.

    Columns: data, users, metric, method, options and settings (those of the chosen one, and how
    many there were), seeds, value, low, high (95% interval over seeds; over users for a single
    seed), gain, relative_gain, gain_low, gain_high (its 95% interval) and p_holm against scratch
    and against the reference, which row that is, and `origin.ORIGIN` of its
    runs. Runs without a per-user table are left out.

    Args:
        against: the row that is the reference; None for the best single-domain row.

    Raises:
        UserError: a per-user table or a record cannot be read, or no data set has the row.
    """
    table: list[dict] = []
    names: set[str] = set()
    for title, methods in by_data(runs).items():
        names |= methods.keys()
        chosen = {name: chosen_of(settings) for name, settings in methods.items()}
        made_by = {name: joined(_folders(setting)) for name, setting in chosen.items()}
        for users in GROUPS:
            for metric, rows in _values(chosen, users).items():
                for entry in _tested(rows, metric, against):
                    settings = len(methods[entry["method"]])
                    measured = {"data": title, "users": users, "settings": settings}
                    table.append({**measured, **entry, **made_by[entry["method"]]})
    if against is not None and against not in names:
        raise UserError(f"--against {against}: no such row; there are {', '.join(sorted(names))}")
    return pl.DataFrame(table, SCHEMA)


def _folders(setting: Setting) -> list[str]:
    return [table["folder"][0] for table in setting.per_user.values()]


def _values(chosen: dict[str, Setting], users: str) -> dict[str, list[_Row]]:
    """Metric -> a row for each method."""
    found: dict[str, list[_Row]] = {}
    for name, setting in chosen.items():
        scratch = _columns(setting.scratch, users)
        for metric, frames in _columns(setting.per_user, users).items():
            means = np.array([frame["value"].mean() for frame in frames], dtype=float)
            estimate = mean_interval(means if len(means) > 1 else frames[0]["value"].to_numpy())
            found.setdefault(metric, []).append(
                _Row(
                    name,
                    setting.options,
                    len(frames),
                    estimate,
                    _over_seeds(frames),
                    _over_seeds(scratch[metric]) if metric in scratch else None,
                )
            )
    return found


def _columns(tables: dict[int | None, pl.DataFrame], users: str) -> dict[str, list[pl.DataFrame]]:
    """Metric -> world, user_id and value of a group's users, a frame a seed."""
    found: dict[str, list[pl.DataFrame]] = {}
    for table in tables.values():
        own = table.filter(in_group(users))
        whole = users in BY_OVERLAP and len(own) == len(table)
        if not own.is_empty() and not whole:  # where all are shared, or none is, it says nothing
            for metric, values in by_user(own).items():
                frame = own.select(*USER, pl.Series("value", values))
                found.setdefault(metric, []).append(frame)
    return found


def _over_seeds(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    return pl.concat(frames).group_by(USER).agg(pl.col("value").mean())


def _tested(rows: Sequence[_Row], metric: str, against: str | None) -> Iterator[dict]:
    """The rows with gains over scratch and over the reference."""
    sign = -1 if metric.startswith(LOWER_IS_BETTER) else 1
    singles = [row for row in rows if row.single]
    best = max(singles, key=lambda row: sign * row.estimate.value, default=None)
    if against is not None:
        best = next((row for row in rows if row.method == against), None)
    # A reference that was asked for is compared with everybody, single-domain rows too.
    methods = [row for row in rows if row is not best and (against or not row.single)]
    tests = {
        "scratch": [_compared(row.own, row.scratch) for row in methods],
        "reference": [_compared(row.own, best.own if best else None) for row in methods],
    }
    corrected = {reference: holm([t.p for t in found]) for reference, found in tests.items()}
    for row in rows:
        entry = {
            "metric": metric,
            "method": row.method,
            "options": row.options,
            "seeds": row.seeds,
            **row.estimate._asdict(),
        }
        if row in methods:
            place = methods.index(row)
            for reference, found in tests.items():
                entry[f"gain_{reference}"] = found[place].gain
                entry[f"relative_gain_{reference}"] = found[place].relative_gain
                entry[f"gain_low_{reference}"] = found[place].low
                entry[f"gain_high_{reference}"] = found[place].high
                entry[f"p_holm_{reference}"] = corrected[reference][place]
            entry["reference"] = best.method if best else None
        yield entry


def _compared(own: pl.DataFrame, reference: pl.DataFrame | None) -> Comparison:
    if reference is None:
        return Comparison(*[math.nan] * 5)
    both = own.join(reference, on=USER, suffix="_reference")
    return paired_test(both["value"].to_numpy(), both["value_reference"].to_numpy())
