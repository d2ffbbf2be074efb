"""What domains hold as small multiples in one PNG file; drawn without a display."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.dates import AutoDateLocator, ConciseDateFormatter
from matplotlib.figure import Figure

from crossrec.data.statistics.account import DomainAccount
from crossrec.data.statistics.profile import ANY, TEXT_COLUMNS
from crossrec.evaluation.plots import COLORS, OTHER
from crossrec.evaluation.summary import CANDIDATE

GRAY = "#7a7a7a"
TEXT_COLORS = ("#111827", "#a16207", "#1d4ed8", "#7e22ce", "#15803d", "#be185d")
UNITS = {"day": "D", "month": "M", "year": "Y"}
CALENDAR = np.array(["0002-01-01", "9998-01-01"], dtype="datetime64[D]")  # what can be drawn

Numbers = Mapping[str, Any]


def plot_domains(domains: Sequence[DomainAccount], title: str, path: Path) -> Path:
    """Save what `draw_domains` draws as a PNG file, whose folder is made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draw_domains(domains, title).savefig(path, metadata={"Software": None})
    return path


def draw_domains(domains: Sequence[DomainAccount], title: str) -> Figure:
    """A row a domain; a panel each for ratings, time, histories, popularity and text length.

    A panel has the same horizontal axis in every row; one without data says what is missing.

    Args:
        domains: the target, then its sources.
        title: stands above all.
    """
    height = 2.7 * len(domains) + 0.4  # inches
    figure = Figure(figsize=(15, height), dpi=120)
    FigureCanvasAgg(figure)
    # Margins in inches: a layout that is worked out costs more than all the drawing.
    figure.subplots_adjust(
        left=0.05, right=0.99, top=1 - 0.95 / height, bottom=0.5 / height, wspace=0.3, hspace=0.65
    )
    figure.suptitle(title, fontsize=12, parse_math=False)
    rows = figure.subplots(len(domains), len(PANELS), squeeze=False)
    drawn: dict[str, list[Axes]] = defaultdict(list)
    for row, domain in zip(rows, domains, strict=True):
        color = COLORS[CANDIDATE] if domain.match is None else OTHER
        row[0].annotate(
            domain.title,
            (0, 1),
            xytext=(-20, 24),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=11,
            color=color,
            parse_math=False,
        )
        for axes, (name, draw) in zip(row, PANELS.items(), strict=True):
            axes.set_title(name, fontsize=10, y=1)  # where it would stand anyway
            missing = draw(axes, domain.profile, color)
            if missing:
                axes.text(0.5, 0.5, missing, ha="center", color=GRAY, transform=axes.transAxes)
                axes.set(xticks=[], yticks=[])
                axes.spines[:].set_visible(False)
            else:
                axes.grid(alpha=0.3)
                axes.set_axisbelow(True)
                axes.minorticks_off()
                axes.tick_params(labelsize=8)
                axes.spines[["top", "right"]].set_visible(False)
                drawn[name].append(axes)
    for panels in drawn.values():
        limits = [axes.get_xlim() for axes in panels]
        for axes in panels:
            axes.set_xlim(min(low for low, _ in limits), max(high for _, high in limits))
    return figure


def _ratings(axes: Axes, profile: Numbers, color: str) -> str:
    """Share of each rating; the highest of 20 ranges is drawn as wide as the others."""
    ratings = profile["ratings"]
    if not ratings["known"]:
        return "no ratings"
    bins = ratings["histogram"]
    lows = np.array([each["low"] for each in bins])
    ranges = any(each["low"] < each["high"] for each in bins)
    width = float(np.diff(lows).min()) if len(lows) > 1 else 1.0
    shares = [100 * each["count"] / ratings["known"] for each in bins]
    axes.bar(
        lows,
        shares,
        width if ranges else 0.8 * width,
        align="edge" if ranges else "center",
        color=color,
    )
    axes.set_xlabel("rating (the last bar: and above)" if ranges else "rating", fontsize=8)
    axes.set_ylabel("% of ratings", fontsize=8)
    return ""


def _time(axes: Axes, profile: Numbers, color: str) -> str:
    """Interactions of each day, month or year."""
    times = profile["times"]
    if times is None:
        return "no timestamps"
    starts = np.array(list(times["events"]), dtype=f"datetime64[{UNITS[times['unit']]}]")
    edges = np.append(starts, starts[-1] + 1).astype("datetime64[D]")
    if edges[0] < CALENDAR[0] or edges[-1] > CALENDAR[1]:
        return f"{times['first']} to {times['last']}:\nno times to draw"
    days = edges.astype(np.int64)  # as matplotlib counts dates too
    axes.stairs(list(times["events"].values()), days, fill=True, color=color)
    locator = AutoDateLocator(minticks=2, maxticks=6)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set_fontsize(8)
    axes.set_ylabel(f"interactions a {times['unit']}", fontsize=8)
    return ""


def _histories(axes: Axes, profile: Numbers, color: str) -> str:
    """Users by the number of their interactions, both logarithmic."""
    bins = profile["per_user"]["histogram"]
    if not bins:
        return "no interactions"
    counts = [each["count"] for each in bins]
    axes.stairs(counts, _edges(bins), fill=True, color=color)
    axes.set_yscale("log")
    axes.set_ylim(0.7, 1.5 * max(counts))
    _by_two(axes)
    axes.set_xlabel("interactions of a user", fontsize=8)
    axes.set_ylabel("users", fontsize=8)
    return ""


def _popularity(axes: Axes, profile: Numbers, color: str) -> str:
    """Interactions of an item by its rank, both logarithmic."""
    if not profile["popularity"]:
        return "no interactions"
    axes.loglog(*zip(*profile["popularity"], strict=True), color=color)
    axes.set_xlabel("rank of an item", fontsize=8)
    axes.set_ylabel("interactions", fontsize=8)
    return ""


def _text(axes: Axes, profile: Numbers, color: str) -> str:
    """Share of items by the length of each of their texts."""
    if not profile["text"][ANY]["items"]:
        return "no text"
    for place, (column, of_column) in enumerate(zip(TEXT_COLUMNS, TEXT_COLORS, strict=True)):
        bins = profile["text"][column]["characters"]["histogram"]
        if bins:
            shares = [100 * each["count"] / profile["items"] for each in bins]
            width = 2.5 - 0.35 * place  # equal lines lie on each other and are all seen
            axes.stairs(shares, _edges(bins), color=of_column, label=column, linewidth=width)
    _by_two(axes)
    axes.legend(frameon=False, fontsize=7)
    axes.set_xlabel("characters", fontsize=8)
    axes.set_ylabel("% of items", fontsize=8)
    return ""


def _edges(bins: Sequence[Numbers]) -> list[float]:
    return [bins[0]["low"], *(each["high"] + 1 for each in bins)]


def _by_two(axes: Axes) -> None:
    """Powers of two across, written out."""
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda number, _: f"{number:,.10g}")


PANELS: dict[str, Callable[[Axes, Numbers, str], str]] = {
    "ratings": _ratings,
    "events over time": _time,
    "history lengths": _histories,
    "item popularity": _popularity,
    "text lengths": _text,
}
"""What is drawn from left to right; a function returns what it misses, or "" once it has drawn."""
