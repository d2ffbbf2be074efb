"""Whom a method serves and what it shows: by history, by popularity, and over the catalog."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from crossrec.evaluation.breakdown import (
    Frames,
    bin_title,
    binned,
    bins,
    by_history,
    by_popularity,
    gains,
)
from crossrec.evaluation.summary import BASELINE, CEILING
from crossrec.evaluation.tables import cell, metric_title
from crossrec.reporting.blocks import Block, Cell, Figure, Rows, Section, Table
from crossrec.reporting.figures import draw_bins, legend, panel
from crossrec.reporting.marks import marks
from crossrec.reporting.reading import chosen_lines

Counts = Mapping[str, np.ndarray]
"""Run folder -> (n_items,) train interactions of each target item."""
Files = dict[str, pl.DataFrame]
"""Name of a CSV file -> its rows."""


@dataclass(frozen=True)
class Contrast:
    """Which rows a drawing shows, and which method it holds against scratch.

    Attributes:
        first: rows that are drawn before others.
        method: the one that is compared; "" for none.
        ours: its per-user tables, one a run.
        scratch: those of scratch in the same runs.
    """

    first: Sequence[str]
    method: str = ""
    ours: Sequence[pl.DataFrame] = ()
    scratch: Sequence[pl.DataFrame] = ()


OLD = (
    "Runs of an earlier version do not say how popular the held-out items were: run again to see "
    "this."
)


def history_section(
    frames: Frames, metric: str, contrast: Contrast, title: str
) -> tuple[Section, Files]:
    """The metric by how many train interactions a user has, drawn and as a table."""
    if not all_have(frames, "n_train"):
        return Section("history", title, ["The per-user table lacks n_train: run again."]), {}
    name = metric_title(metric)
    axis = "interactions of the user in target train"
    what = f"{name} by how much is known of the user, cold users at the left"
    values = by_history(frames, metric)
    gain = _gain(contrast, lambda rows: by_history(rows, metric))
    blocks, found = _binned(values, gain, contrast, metric, (axis, name, what))
    return Section("history", title, blocks), {"by_history": found}


def popularity_section(
    frames: Frames, counts: Counts, k: int, contrast: Contrast, title: str
) -> tuple[Section, Files]:
    """How often held-out items are found, by their popularity, drawn and as a table."""
    if not complete(frames, counts):
        return Section("popularity", title, [OLD]), {}
    axis = "interactions of the item in target train"
    what = (
        f"Share of held-out items found in the top {k}, by how popular they were in train, rare "
        "items at the left"
    )
    told = axis, f"found in top {k}", what
    values = by_popularity(frames, counts, k)
    gain = _gain(contrast, lambda rows: by_popularity(rows, counts, k))
    blocks, found = _binned(values, gain, contrast, f"recall@{k}", told)
    return Section("popularity", title, blocks), {"by_popularity": found}


def complete(frames: Frames, counts: Counts) -> bool:
    """Whether all runs say where held-out items stand and how popular items are."""
    folders = {table["folder"][0] for tables in frames.values() for table in tables}
    return folders <= counts.keys() and all_have(frames, "truth_items")


def all_have(frames: Frames, column: str) -> bool:
    """Whether every per-user table has a column."""
    return all(column in table.columns for tables in frames.values() for table in tables)


def _gain(contrast: Contrast, values: Callable[[Frames], pl.DataFrame]) -> pl.DataFrame | None:
    """What the method gains on scratch, a row for each thing asked; None without a method."""
    if not contrast.ours or not contrast.scratch:
        return None
    ours, theirs = values({contrast.method: contrast.ours}), values({BASELINE: contrast.scratch})
    return gains(ours, theirs)


def _binned(
    values: pl.DataFrame,
    gain: pl.DataFrame | None,
    contrast: Contrast,
    metric: str,
    told: tuple[str, str, str],
) -> tuple[list[Block], pl.DataFrame]:
    """A figure and a table of values in bins, and their numbers.

    Args:
        told: what the axes across and up are, and what is shown.
    """
    across, up, what = told
    names = values["model"].unique(maintain_order=True).to_list()
    ranges = bins(values.filter(model=names[0])["key"].to_numpy())
    found = binned(values, ranges)
    drawn = [name for name in names if name != CEILING]  # which would flatten all others
    series = legend(chosen_lines(drawn, contrast.first), contrast.method)
    panels = [panel(up, draw_bins(found, series, across))]
    caption = f"{what}."
    if gain is not None:
        label = f"gain of {contrast.method} over {BASELINE}"
        style = {contrast.method: series[contrast.method]}
        panels.append(panel(label, draw_bins(binned(gain, ranges), style, across, bars=True)))
        caption += f" The {label}, user by user, has 95% intervals."
    alt = f"{caption} The table that follows has the numbers."
    table = _table(found, metric, f"{what}, with 95% intervals.")
    return [Figure(caption, alt, panels, list(series.values())), table], found


def _table(found: pl.DataFrame, metric: str, caption: str) -> Table:
    ranges = found.select("from", "to").unique(maintain_order=True).rows()
    models = found["model"].unique(maintain_order=True).to_list()
    by = {(row["from"], row["to"], row["model"]): row for row in found.iter_rows(named=True)}
    best = [marks(metric, {m: by[*span, m]["value"] for m in models}) for span in ranges]
    rows = [
        [Cell("(how many)"), *(Cell(f"{by[*span, models[0]]['n']:,}") for span in ranges)],
        *(
            [
                Cell(model),
                *(
                    Cell(
                        cell(metric, *(by[*span, model][key] for key in ("value", "low", "high"))),
                        best[place].get(model, ""),
                    )
                    for place, span in enumerate(ranges)
                ),
            ]
            for model in models
        ),
    ]
    header = ["train interactions", *(bin_title(low, high) for low, high in ranges)]
    return Table(
        f"bins-{metric}",
        caption,
        header,
        [Rows("", rows)],
        "± is half a 95% interval. Bold is best, underlined second.",
    )
