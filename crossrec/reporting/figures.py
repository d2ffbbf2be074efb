"""Drawings for the page: matplotlib's SVG, in the colors and the type of the page itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from io import StringIO
from typing import Any

import polars as pl
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from crossrec.evaluation.breakdown import bin_title
from crossrec.evaluation.plots import COLORS
from crossrec.evaluation.summary import CANDIDATE
from crossrec.reporting.blocks import Panel, Series

WIDTH, HEIGHT = 350, 240  # of a panel in CSS pixels: three stand side by side, one fits a phone
Draw = Callable[[Axes], None]
PIXELS = 96  # to the inch
PALETTE = ("#1d4ed8", "#0e7490", "#7e22ce", "#a16207", "#be185d", "#4d7c0f", "#475569", "#b91c1c")
MARKERS = "osD^vPX*"
NEUTRAL = "#333333"
# Colors of the page take their place, so that a drawing follows the page into the dark.
VARIABLES = {
    "#000000": "var(--ink)",
    NEUTRAL: "var(--ink)",
    "#b0b0b0": "var(--line)",
    **{color: f"var(--{name})" for name, color in COLORS.items()},
    **{color: f"var(--series-{number})" for number, color in enumerate(PALETTE)},
}


def panel(title: str, draw: Draw, height: int = HEIGHT) -> Panel:
    """A drawing of one pair of axes, as an <svg>; the page makes its ids its own."""
    style: Any = {  # the names of matplotlib's settings
        "svg.fonttype": "none",  # letters stay letters
        "svg.hashsalt": "crossrec",
        "text.parse_math": False,  # a title with dollars is no formula
        "font.family": "sans-serif",
        "font.size": 9,  # points: 12 pixels
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    with rc_context(style):
        figure = Figure(figsize=(WIDTH / PIXELS, height / PIXELS), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        draw(axes)
        stream = StringIO()
        figure.savefig(stream, format="svg", transparent=True, metadata={"Date": None})
    return Panel(title, _inline(stream.getvalue(), height))


def _inline(svg: str, height: int) -> str:
    """The <svg> element alone, without what a page does not need."""
    svg = svg[svg.index("<svg") :]
    for unused in ("metadata", "style"):  # a style in an <svg> would be one of the whole page
        svg = re.sub(rf"<{unused}[ >].*?</{unused}>\s*", "", svg, flags=re.DOTALL)
    svg = re.sub(r'<g id="[a-zA-Z]+_?[0-9]*">', "<g>", svg)  # axes_1: the same in every drawing
    svg = re.sub(
        r"^<svg [^>]*?(viewBox=\"[^\"]*\")[^>]*>",
        rf'<svg \1 width="{WIDTH}" height="{height}" aria-hidden="true" focusable="false">',
        svg,
    )
    svg = svg.replace("xlink:href", "href")
    for color, variable in VARIABLES.items():
        svg = svg.replace(color, variable)
    svg = re.sub(r"font: ([0-9.]+)px [^;\"]*", r"font-size: \1px", svg)
    return re.sub(r"\n\s*", "\n", svg).strip()


def legend(names: Sequence[str], about: str = "") -> dict[str, Series]:
    """Colors and markers: those of known rows never change, others take the next one free.

    Args:
        about: the row that a page is about: it looks like `transferred`, in every drawing.
    """
    palette = iter(range(len(names)))
    found = {}
    for name in names:
        known = CANDIDATE if name == about else name
        if known in COLORS:
            color, marker = COLORS[known], MARKERS[0]
        else:
            number = next(palette)
            color = PALETTE[number % len(PALETTE)]
            marker = MARKERS[(number + 1) % len(MARKERS)]
        found[name] = Series(name, color, marker)
    return found


def draw_bins(
    table: pl.DataFrame, series: Mapping[str, Series], across: str, bars: bool = False
) -> Draw:
    """What `evaluation.breakdown.binned` gives, as lines over its bins.

    Args:
        bars: whether intervals are drawn; their values may be below zero.
    """

    def draw(axes: Axes) -> None:
        ranges = table.select("from", "to").unique(maintain_order=True).rows()
        for name, style in series.items():
            own = table.filter(model=name)
            at = [ranges.index(row) for row in own.select("from", "to").iter_rows()]
            if bars:
                axes.vlines(at, own["low"], own["high"], color=style.color, linewidth=2)
            width = 2.2 if style.color == COLORS[CANDIDATE] else 1.4
            line = style.marker if bars else f"{style.marker}-"
            axes.plot(at, own["value"], line, color=style.color, linewidth=width, markersize=5)
        if bars:
            axes.axhline(0, color="#000000", linewidth=0.8)
        else:
            axes.set_ylim(bottom=0)
        titles = [bin_title(low, high) for low, high in ranges]
        steep = sum(map(len, titles)) > 36
        axes.set_xticks(
            range(len(ranges)),
            titles,
            rotation=40 if steep else 0,
            ha="right" if steep else "center",
        )
        axes.set_xlim(-0.4, len(ranges) - 0.6)
        axes.set_xlabel(across)
        axes.grid(axis="y", alpha=0.5)

    return draw


def draw_curves(curves: Mapping[str, pl.DataFrame], series: Mapping[str, Series]) -> Draw:
    """Values over epochs or steps, by name: at, value, unit and best (whether it was chosen)."""

    def draw(axes: Axes) -> None:
        for name, curve in curves.items():
            style = series[name]
            axes.plot(curve["at"], curve["value"], color=style.color, linewidth=1.6)
            best = curve.filter("best")
            axes.plot(best["at"], best["value"], style.marker, color=style.color, markersize=6)
        axes.set_xlabel(next(iter(curves.values()))["unit"][0])
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.grid(alpha=0.5)

    return draw
