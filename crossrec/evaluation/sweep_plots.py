"""The trials of a sweep in parallel coordinates, as a PNG file; drawn without a display."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

MOST_TICKS = 8


@dataclass(frozen=True)
class Axis:
    """A column of trials as a vertical line.

    Attributes:
        name: of the column.
        names: whether its values are names, or numbers of which there are a few: evenly spaced.
        log: whether numbers stand on a logarithmic scale.
    """

    name: str
    names: bool
    log: bool


def plot_parallel(
    trials: pl.DataFrame, axes: list[Axis], metric: str, better: bool, title: str, path: Path
) -> Path:
    """The trials of a sweep as lines (see `draw_parallel`)."""
    figure = Figure(figsize=(1.5 * len(axes) + 3, 4), dpi=120, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(
        f"{title} (dashed: ended early)" if trials["ended"].any() else title, fontsize=10
    )
    draw_parallel(figure.add_subplot(), trials, axes, metric, better)
    figure.savefig(path, metadata={"Software": None})
    return path


def draw_parallel(
    plot: Axes, trials: pl.DataFrame, axes: list[Axis], metric: str, better: bool
) -> None:
    """A line a trial across its parameters to what it reached; the best lines are dark and on top.

    Inselberg, "The plane with parallel coordinates", 1985.

    Args:
        trials: a column for each axis, the metric, and whether it was `ended` early: then it lies
            dashed below those that were not. At least one row.
        better: whether a higher metric is better.
    """
    by = [pl.col("ended").not_(), pl.col(metric) if better else -pl.col(metric)]
    order = trials.sort(by)  # the best are drawn last
    n_ended = int(order["ended"].sum())
    lines = [_placed(order[axis.name].to_list(), axis) for axis in axes]
    lines.append(_placed(order[metric].to_list(), Axis(metric, names=False, log=False)))
    for place in range(order.height):
        ended = place < n_ended
        share = (place - n_ended + 1) / max(1, order.height - n_ended)
        plot.plot(
            range(len(lines)),
            [heights[place] for heights, _ in lines],
            color="#a3a3a3" if ended else colormaps["Oranges"](0.15 + 0.85 * share),
            linewidth=0.8 + 1.4 * (place == order.height - 1),
            linestyle="--" if ended else "-",
        )
    for across, (_, ticks) in enumerate(lines):
        plot.axvline(across, color="#7a7a7a", linewidth=0.8)
        for height, text in ticks:
            plot.annotate(
                text,
                (across, height),
                (4, 0),
                textcoords="offset points",
                fontsize=7,
                va="center",
                bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.5, "alpha": 0.8},
            )
    names = [axis.name.replace(".", "\n") for axis in axes]
    plot.set_xticks(range(len(lines)), [*names, metric], fontsize=8)
    plot.set_yticks([])
    plot.set_ylim(-0.05, 1.05)
    plot.set_xlim(-0.1, len(lines) - 0.5)
    plot.spines[:].set_visible(False)


def _placed(values: list[Any], axis: Axis) -> tuple[list[float], list[tuple[float, str]]]:
    """Heights from 0 to 1 of an axis's values, and the ticks that say which is where."""
    if axis.names:
        known = list(dict.fromkeys(values))
        if all(isinstance(value, int | float) for value in known):
            known.sort()
        last = max(len(known) - 1, 1)
        heights = {value: place / last for place, value in enumerate(known)}
        step = math.ceil(len(known) / MOST_TICKS)
        ticks = [(heights[value], _short(value)) for value in known[::step]]
        return [heights[value] for value in values], ticks
    scale = math.log if axis.log else float
    low, high = scale(min(values)), scale(max(values))
    width = (high - low) or 1.0
    ends = [(0.0, _short(min(values))), (1.0, _short(max(values)))]
    return [(scale(value) - low) / width for value in values], ends[: 1 + (high > low)]


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
