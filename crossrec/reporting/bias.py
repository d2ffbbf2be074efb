"""What lists show of the catalog: how much of it, how evenly, and how much of its head."""

from __future__ import annotations

import numpy as np
import polars as pl

from crossrec.evaluation.breakdown import Frames
from crossrec.evaluation.coverage import coverage
from crossrec.evaluation.popularity_bias import HEAD, gini, head, head_share, shown
from crossrec.evaluation.significance import Estimate, mean_interval
from crossrec.evaluation.tables import cell
from crossrec.reporting.behavior import OLD, Counts, Files, all_have, complete
from crossrec.reporting.blocks import Cell, Rows, Section, Table


def bias_section(frames: Frames, counts: Counts, k: int, title: str) -> tuple[Section, Files]:
    """Coverage, Gini coefficient and share of the head, for each row."""
    if not complete(frames, counts) or not all_have(frames, "top_items"):
        return Section("bias", title, [OLD]), {}
    rows, cells = [], []
    for name, tables in frames.items():
        values = [_bias(table, counts[table["folder"][0]], k) for table in tables]
        # Over runs: means, with the interval over runs; of a single run with that over users.
        row = {}
        for column in values[0]:
            own = np.array([value[column][0] for value in values])
            row[column] = _share(mean_interval(own)) if len(own) > 1 else values[0][column]
        rows.append({"model": name, **{key: value[0] for key, value in row.items()}})
        cells.append([Cell(name), *(Cell(cell("share", *row[key])) for key in row)])
    asked = [_asked(table, counts[table["folder"][0]]) for table in next(iter(frames.values()))]
    cells.append(
        [
            Cell("(held-out items)"),
            Cell("-"),
            Cell("-"),
            Cell(f"{np.mean(asked):.3f}".removeprefix("0")),
        ]
    )
    caption = f"What the top {k} lists show of the catalog."
    note = (
        "Coverage: share of the catalog in anybody's list. Gini: 0 where all items are shown "
        f"equally often, 1 where one alone is. Head: share of a list that the {HEAD:.0%} of items "
        "most popular in train take; the last row says how often users wanted one of them. "
        "± is half a 95% interval, over seeds where there are several."
    )
    header = ["model", f"coverage@{k}", f"Gini@{k}", f"head share@{k}"]
    table = Table("popularity-bias", caption, header, [Rows("", cells)], note)
    return Section("bias", title, [table]), {"popularity_bias": pl.DataFrame(rows)}


def _bias(table: pl.DataFrame, counts: np.ndarray, k: int) -> dict[str, tuple[float, ...]]:
    lists = table["top_items"].to_numpy()[:, :k]
    nan = float("nan")
    return {
        "coverage": coverage(lists, len(counts)),
        "gini": (gini(shown(lists, len(counts))), nan, nan),
        "head_share": head_share(lists, head(counts)),
    }


def _share(estimate: Estimate) -> tuple[float, ...]:
    """An interval cut to what a share can be."""
    return estimate.value, max(0.0, estimate.low), min(1.0, estimate.high)


def _asked(table: pl.DataFrame, counts: np.ndarray) -> float:
    """How many of the held-out items are of the head."""
    return float(head(counts)[table["truth_items"].explode().to_numpy()].mean())
