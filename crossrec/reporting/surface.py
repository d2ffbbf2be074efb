"""What lambda and mu do to the transferred row, drawn: a heat map, or a line where one varies."""

from __future__ import annotations

from functools import partial

import polars as pl
from matplotlib.axes import Axes

from crossrec.evaluation.plots import COLORS, draw_heat_map, draw_line
from crossrec.evaluation.summary import BASELINE, CANDIDATE, GROUPS, LOWER_IS_BETTER
from crossrec.evaluation.tables import headline_metric, metric_title
from crossrec.reporting.blocks import Block, Figure, Panel, Section, Series
from crossrec.reporting.figures import panel


def surface_section(settings: pl.DataFrame, title: str) -> list[Section]:
    """A figure for each set of other options in which lambda or mu vary; nothing where none do."""
    metric = headline_metric(settings)
    blocks: list[Block] = []
    for (label,), part in settings.filter(metric=metric).group_by("label", maintain_order=True):
        varied = [name for name in ("lambda", "mu") if part[name].drop_nulls().n_unique() > 1]
        if varied:
            blocks.append(_figure(part.drop_nulls(varied), varied, metric, str(label)))
    return [Section("surface", title, blocks)] if blocks else []


def _figure(part: pl.DataFrame, varied: list[str], metric: str, label: str) -> Figure:
    groups = [users for users in GROUPS if users in part["users"].unique()]
    panels: list[Panel] = []
    for users in groups:
        own = part.filter(users=users)
        if len(varied) == 2:
            draw = partial(draw_heat_map, rows=own.filter(model=CANDIDATE), metric=metric)
            panels.append(panel(f"{users} users", draw, 120 + 26 * own["mu"].n_unique()))
        else:
            panels.append(panel(f"{users} users", partial(_draw_line, rows=own, by=varied[0])))
    lower = metric.partition("@")[0] in LOWER_IS_BETTER
    best = part.filter(model=CANDIDATE, users="all").sort("value", descending=not lower)
    at = ", ".join(f"{name} = {best[name][0]:g}" for name in varied)
    under = f" with {label}" if label else ""
    what = " and ".join(varied)
    caption = (
        f"{metric_title(metric)} of {CANDIDATE}{under} over {what}, mean over seeds; on all users "
        f"it is {'lowest' if lower else 'highest'} in test at {at} ({best['value'][0]:.4f})."
    )
    legend = [Series(name, COLORS[name], "o") for name in (BASELINE, CANDIDATE)]
    return Figure(caption, caption, panels, legend if len(varied) == 1 else ())


def _draw_line(axes: Axes, rows: pl.DataFrame, by: str) -> None:
    draw_line(axes, rows, by)
    axes.set_xlabel(by)
    axes.grid(alpha=0.5)
