"""The comparison of a single run: its rows, by user group, with intervals and tests."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import polars as pl
from matplotlib.axes import Axes

from crossrec.evaluation.plots import WIDEST, draw_models
from crossrec.evaluation.summary import (
    BASELINE,
    CANDIDATE,
    CEILING,
    GROUPS,
    Results,
    model_order,
)
from crossrec.evaluation.tables import (
    RANKING,
    cell,
    gain_lines,
    headline_metric,
    metric_title,
    note,
    sheets,
    verdict,
)
from crossrec.reporting.blocks import Block, Cell, Figure, Panel, Rows, Section, Table
from crossrec.reporting.figures import panel
from crossrec.reporting.marks import SIGNS, dagger, gain_text, marks, p_value, percent


def comparison_section(results: Results, title: str) -> Section:
    """The headline metric drawn, then tables of all metrics: one for each list length, one more."""
    metric = headline_metric(results.values)
    blocks: list[Block] = [
        dots(results.values.filter(pl.col("metric") == metric), metric, model_order)
    ]
    blocks += [
        _table(results, metrics, number) for number, metrics in enumerate(sheets(results.values))
    ]
    return Section("comparison", title, blocks)


def dots(rows: pl.DataFrame, metric: str, order: Callable[[str], Any] | None) -> Figure:
    """A panel a user group: a dot with its interval a row of the table.

    Args:
        rows: model, users, value, low, high.
        order: key that sorts the rows; None leaves them as they are.
    """
    drawn = rows.filter(pl.col("model") != CEILING)  # which would push all others together
    models = drawn["model"].unique(maintain_order=True).to_list()
    if order is not None:
        models.sort(key=order)
    groups = [users for users in GROUPS if users in rows["users"].unique()]
    height = 62 + 21 * len(models)

    def of(users: str) -> Panel:
        def draw(axes: Axes) -> None:
            draw_models(axes, drawn.filter(pl.col("users") == users), models)
            axes.grid(axis="x", alpha=0.5)
            axes.tick_params(axis="y", length=0)

        return panel(f"{users} users", draw, height)

    caption = f"{metric_title(metric)} with 95% intervals, by user group."
    if len(drawn) < len(rows):
        caption += f" The {CEILING}, far above, is in the table alone."
    if not drawn.filter(pl.col("high") > WIDEST * pl.col("value").max()).is_empty():
        caption += " Intervals are cut where they leave the drawing."
    of_all = rows.filter(pl.col("users") == "all").select("model", "value").iter_rows()
    told = ", ".join(f"{model} {value:.4f}" for model, value in of_all)
    return Figure(caption, f"{caption} All users: {told}.", [of(users) for users in groups])


def run_verdict(results: Results, methods: pl.DataFrame) -> list[str]:
    """Who is best and how surely; then what `transferred` gains, over whom and in which group.

    Args:
        methods: what `leaderboard` gives of this run alone; empty where it cannot be told.
    """
    metric = headline_metric(results.values)
    rows = results.values.filter(pl.col("metric") == metric, pl.col("users") == "all")
    values = dict(rows.select("model", "value").iter_rows())
    ranked = marks(metric, values)
    best, second = (
        [name for name in sorted(values, key=model_order) if ranked.get(name) == mark]
        for mark in ("best", "second")
    )
    if not best:
        return gain_lines(results)
    first = f"{' and '.join(best)} {'has' if len(best) == 1 else 'have'} the best "
    first += f"{metric_title(metric)} on all users: {values[best[0]]:.4f}"
    if second:
        first += f", next {' and '.join(second)} {values[second[0]]:.4f}"
    tested = results.comparisons.filter(
        (pl.col("model") == CANDIDATE) & (pl.col("users") == "all") & (pl.col("metric") == metric)
    )
    if not tested.is_empty() and BASELINE in values:
        gain, low, high, p = tested.select("gain", "low", "high", "p_holm").row(0)
        change = percent(gain, low, high, values[BASELINE])
        first += f". {CANDIDATE} over {BASELINE}: {change}, {verdict(gain, p, metric)}"
    return [f"{first}.", *_over_best_single(methods, metric), *gain_lines(results)[1:]]


def _over_best_single(methods: pl.DataFrame, metric: str) -> list[str]:
    """What the method gains over the best row that knows the target alone, if not scratch."""
    rows = methods.filter(metric=metric, users="all").drop_nulls("reference")
    if rows.is_empty() or rows["reference"][-1] == BASELINE:
        return []
    row = rows.row(-1, named=True)  # the transferred one is the last
    change = gain_text(row, "reference")
    sure = verdict(row["gain_reference"], row["p_holm_reference"], metric)
    return [
        f"{CANDIDATE} vs {row['reference']}, the best row without the source, all users: "
        f"{metric_title(metric)} {change}, {sure}"
    ]


def _table(results: Results, metrics: list[str], number: int) -> Table:
    headline = headline_metric(results.values)
    tested = headline in metrics and not results.comparisons.is_empty()
    tests = {
        (row["model"], row["users"], row["metric"]): row
        for row in results.comparisons.iter_rows(named=True)
    }
    blocks = []
    for users in GROUPS:
        own = results.values.filter(pl.col("users") == users, pl.col("metric").is_in(metrics))
        if own.is_empty():
            continue
        found = {
            (model, metric): (value, low, high)
            for model, _, metric, value, low, high in own.iter_rows()
        }
        models = sorted({model for model, _ in found}, key=model_order)
        best = {
            metric: marks(metric, {m: found[m, metric][0] for m in models if (m, metric) in found})
            for metric in metrics
        }
        rows = []
        for model in models:
            cells = [Cell(model)]
            for metric in metrics:
                test = tests.get((model, users, metric), {})
                if (model, metric) not in found:
                    cells.append(Cell("-"))
                    continue
                text = cell(metric, *found[model, metric])
                sign = dagger(metric, test.get("gain"), test.get("p_holm"))
                cells.append(Cell(text, best[metric].get(model, ""), sign))
            if tested:
                cells += _gain(tests.get((model, users, headline)), found, headline)
            rows.append(cells)
        size = f" ({results.sizes[users]:,})" if users in results.sizes else ""
        blocks.append(Rows(f"{users} users{size}", rows))
    header = ["model", *map(metric_title, metrics)]
    if tested:
        header += [f"{metric_title(headline)} over {BASELINE} [95%]", "p (Holm)"]
    ranks = metrics[0].partition("@")[0] in RANKING
    what = f"Ranking at {metrics[0].partition('@')[2]}" if ranks else "Beyond ranking"
    notes = [note(results), f"{SIGNS} {BASELINE} (p < 0.05)."]
    if ranks:
        notes.append("Bold is best, underlined second; an oracle does not compete.")
    name = "comparison" if number == 0 else f"comparison-{number + 1}"
    return Table(name, f"{what}: every row by user group.", header, blocks, " ".join(notes))


def _gain(test: dict | None, found: dict, metric: str) -> list[Cell]:
    """The gain over the baseline, and its p."""
    if test is None:
        return [Cell("-"), Cell("-")]
    base = found[BASELINE, metric][0]
    return [
        Cell(percent(test["gain"], test["low"], test["high"], base)),
        Cell(p_value(test["p_holm"])),
    ]
