"""Plots of results tables, as PNG files; drawn without a display."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from crossrec.evaluation.summary import (
    BASELINE,
    CANDIDATE,
    GROUPS,
    LOWER_IS_BETTER,
    MODELS,
    model_order,
)
from crossrec.evaluation.tables import metric_title

COLORS = {BASELINE: "#7a7a7a", CANDIDATE: "#c2410c", "oracle": "#15803d"}
OTHER = "#1d4ed8"
WIDEST = 2  # intervals are cut at so many times the highest value


def plot_models(values: pl.DataFrame, metric: str, title: str, path: Path) -> Path:
    """One panel a user group, one dot with its interval a model; values as in results.csv."""
    rows = values.filter(pl.col("metric") == metric)
    models = sorted(rows["model"].unique(), key=model_order)
    groups = _groups(rows)
    names = 0.1 + 0.1 * max(len(model) for model in models)  # inches, as are all of these
    width, height = 3.6 * len(groups) + 0.8, 0.36 * len(models) + 1.4
    figure = _figure(width, height, title, layout=None)  # one that is worked out costs a second
    figure.subplots_adjust(
        left=names / width,
        right=1 - 0.15 / width,
        top=1 - 0.65 / height,
        bottom=0.55 / height,
        wspace=0.12,
    )
    for place, users in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), place + 1)
        draw_models(axes, rows.filter(pl.col("users") == users), models, place == 0)
        _labels(axes, f"{users} users", metric_title(metric))
    return _save(figure, path)


def draw_models(axes: Axes, rows: pl.DataFrame, models: Sequence[str], named: bool = True) -> None:
    """A dot with its interval for each model, the first one on top.

    Args:
        rows: model, value, low, high.
        models: all that have a place.
        named: whether their names stand at the left.
    """
    usual = [OTHER if m.partition(" ")[0] in MODELS else COLORS[CANDIDATE] for m in rows["model"]]
    colors = [COLORS.get(m, other) for m, other in zip(rows["model"], usual, strict=True)]
    places = [len(models) - 1 - models.index(model) for model in rows["model"]]
    axes.hlines(places, rows["low"], rows["high"], color=colors, linewidth=2)
    axes.scatter(rows["value"], places, c=colors, s=36, zorder=2)
    highest = float(np.nanmax(rows.select("value", "high").to_numpy(), initial=0))
    widest = WIDEST * float(np.nanmax(rows["value"].to_numpy(), initial=0))
    axes.set_xlim(0, 1.05 * min(highest, widest) or 1)
    axes.set_ylim(-0.6, len(models) - 0.4)
    if named:
        axes.set_yticks(range(len(models)), models[::-1])
    else:  # lines as of a grid alone: a tick costs more than all else that is drawn of a model
        axes.set_yticks([])
        every, width = range(len(models)), axes.get_yaxis_transform()
        axes.hlines(every, 0, 1, color="#b0b0b0", lw=0.8, alpha=0.3, zorder=0, transform=width)


def plot_settings(table: pl.DataFrame, metric: str, title: str, path: Path) -> Path:
    """scratch and transferred in each setting: columns label, model, users, metric, value, ..."""
    rows = table.filter(pl.col("metric") == metric, pl.col("model").is_in([BASELINE, CANDIDATE]))
    labels = rows["label"].unique(maintain_order=True).to_list()[::-1]
    groups = _groups(rows)
    figure = _figure(3.6 * len(groups) + 1.6, 0.5 * len(labels) + 1.5, title)
    for place, users in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), place + 1)
        for model, shift in ((BASELINE, -0.12), (CANDIDATE, 0.12)):
            chosen = rows.filter(pl.col("users") == users, pl.col("model") == model)
            heights = [labels.index(label) + shift for label in chosen["label"]]
            axes.hlines(heights, chosen["low"], chosen["high"], color=COLORS[model], linewidth=2)
            axes.plot(chosen["value"], heights, "o", color=COLORS[model], label=model)
        _labels(axes, f"{users} users", metric_title(metric))
        axes.set_xlim(left=0)
        axes.set_ylim(-0.6, len(labels) - 0.4)
        axes.set_yticks(range(len(labels)), labels if place == 0 else [""] * len(labels))
    figure.axes[0].legend(frameon=False, fontsize=8)
    return _save(figure, path)


def plot_line(table: pl.DataFrame, metric: str, by: str, title: str, path: Path) -> Path:
    """scratch and transferred over the setting `by` (a column of numbers), with intervals."""
    rows = table.filter(pl.col("metric") == metric)
    groups = _groups(rows)
    figure = _figure(3.6 * len(groups) + 0.8, 3.4, title)
    for place, users in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), place + 1)
        draw_line(axes, rows.filter(pl.col("users") == users), by)
        _labels(axes, f"{users} users", by)
    figure.axes[0].set_ylabel(metric_title(metric))
    figure.axes[0].legend(frameon=False, fontsize=8)
    return _save(figure, path)


def draw_line(axes: Axes, rows: pl.DataFrame, by: str) -> None:
    """Values over a setting, with intervals: columns `by`, model, value, low, high."""
    ticks = sorted(rows[by].unique())
    for model in (BASELINE, CANDIDATE):
        chosen = rows.filter(pl.col("model") == model).sort(by)
        at = [ticks.index(value) for value in chosen[by]]
        axes.plot(at, chosen["value"], "o-", color=COLORS[model], label=model)
        axes.fill_between(
            at, chosen["low"], chosen["high"], color=COLORS[model], alpha=0.15, linewidth=0
        )
    axes.set_ylim(bottom=0)
    axes.set_xticks(range(len(ticks)), [f"{value:g}" for value in ticks])


def plot_heat_map(table: pl.DataFrame, metric: str, title: str, path: Path) -> Path:
    """transferred over lambda (across) and mu (up), one panel a user group; darker is better."""
    rows = table.filter(pl.col("metric") == metric, pl.col("model") == CANDIDATE)
    lambdas, mus = rows["lambda"].n_unique(), rows["mu"].n_unique()
    groups = _groups(rows)
    width = max(2.8, 0.75 * lambdas)
    figure = _figure(width * len(groups) + 1.2, max(2.6, 0.55 * mus + 1.6), title)
    for place, users in enumerate(groups):
        axes = figure.add_subplot(1, len(groups), place + 1)
        draw_heat_map(axes, rows.filter(pl.col("users") == users), metric)
        axes.set_title(f"{users} users", fontsize=10)
    return _save(figure, path)


def draw_heat_map(axes: Axes, rows: pl.DataFrame, metric: str) -> None:
    """Cells with their values over lambda (across) and mu (up), the better the darker.

    Args:
        rows: lambda, mu, value.
    """
    lambdas, mus = sorted(rows["lambda"].unique()), sorted(rows["mu"].unique())
    cells = [[math.nan] * len(lambdas) for _ in mus]
    for across, up, value in rows.select("lambda", "mu", "value").iter_rows():
        cells[mus.index(up)][lambdas.index(across)] = value
    sign = -1 if metric.partition("@")[0] in LOWER_IS_BETTER else 1
    axes.pcolormesh(sign * np.array(cells), cmap="Oranges", edgecolors="white", linewidth=1)
    found = sign * rows["value"].to_numpy()
    for y, line in enumerate(cells):
        for x, value in enumerate(line):
            dark = not math.isnan(value) and sign * value > (found.min() + 2 * found.max()) / 3
            axes.text(
                x + 0.5,
                y + 0.5,
                "-" if math.isnan(value) else f"{value:.4f}".removeprefix("0"),
                ha="center",
                va="center",
                fontsize=8,
                color="white" if dark else "#111111",
            )
    axes.set_xlabel("lambda")
    axes.set_ylabel("mu")
    axes.set_xticks([x + 0.5 for x in range(len(lambdas))], [f"{value:g}" for value in lambdas])
    axes.set_yticks([y + 0.5 for y in range(len(mus))], [f"{value:g}" for value in mus])


def _groups(rows: pl.DataFrame) -> list[str]:
    return [users for users in GROUPS if users in rows["users"].unique()]


def _figure(
    width: float, height: float, title: str, layout: Literal["constrained"] | None = "constrained"
) -> Figure:
    figure = Figure(figsize=(width, height), dpi=120, layout=layout)
    FigureCanvasAgg(figure)
    figure.suptitle(title, fontsize=10)
    return figure


def _labels(axes: Axes, title: str, across: str) -> None:
    axes.set_title(title, fontsize=10, y=1)  # where it would stand anyway
    axes.set_xlabel(across)
    axes.grid(alpha=0.3)
    axes.spines[["top", "right"]].set_visible(False)


def _save(figure: Figure, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Software": None})
    return path
