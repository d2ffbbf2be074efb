"""The comparison of many runs: methods by data set and user group, and the sweep's settings."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import polars as pl

from crossrec.evaluation.summary import LOWER_IS_BETTER, metric_order
from crossrec.evaluation.sweep_tables import NOTE as SETTINGS_NOTE
from crossrec.evaluation.sweep_tables import sweep_cells
from crossrec.evaluation.tables import (
    RANKING,
    cell,
    headline_metric,
    metric_title,
    verdict,
)
from crossrec.reporting.blocks import Block, Cell, Heading, Rows, Section, Table
from crossrec.reporting.comparison import dots
from crossrec.reporting.marks import SIGNS, dagger, gain_text, marks, p_value

NOTE = (
    "± is half a 95% interval: over seeds where there are several, else over users; ties count "
    "against the model. Of several settings validation chose. Gains in brackets with their 95% "
    "interval: paired t test over users, Holm-corrected over the methods"
)


def board_section(methods: pl.DataFrame, against: str | None, title: str) -> Section:
    """For each data set a drawing of the headline metric and a table of the ranking metrics."""
    headline = headline_metric(methods)
    k = headline.partition("@")[2]
    names = sorted(methods["metric"].unique(), key=metric_order)
    metrics = [m for m in names if m.partition("@")[0] in RANKING and m.partition("@")[2] == k]
    metrics = [headline, *(m for m in metrics if m != headline)]
    blocks: list[Block] = []
    several = methods["data"].n_unique() > 1
    for number, (key, own) in enumerate(methods.group_by("data", maintain_order=True)):
        if several:
            blocks.append(Heading(str(key[0])))
        drawn = own.filter(metric=headline).rename({"method": "model"})
        blocks.append(dots(drawn, headline, None))
        blocks.append(_table(own, metrics, against, f"methods-{number + 1}"))
    return Section("comparison", title, blocks)


def settings_section(settings: pl.DataFrame, title: str) -> Section:
    """The headline metric of every setting that ran, whether validation chose it or not."""
    header, blocks = sweep_cells(settings)
    rows = [
        Rows(f"{users} users", [[Cell(text) for text in row] for row in cells])
        for users, cells in blocks
    ]
    caption = f"{metric_title(headline_metric(settings))} of every setting."
    return Section("settings", title, [Table("settings", caption, header, rows, SETTINGS_NOTE)])


def board_verdict(methods: pl.DataFrame, against: str | None) -> list[str]:
    """For each data set: who is best on all users, by how much and how surely."""
    metric = headline_metric(methods)
    lines = []
    for (data,), own in methods.filter(metric=metric, users="all").group_by(
        "data", maintain_order=True
    ):
        rows = {row["method"]: row for row in own.iter_rows(named=True)}
        ranked = marks(metric, {name: row["value"] for name, row in rows.items()})
        best = next((row for name, row in rows.items() if ranked.get(name) == "best"), None)
        if best is None:
            continue
        text = f"{data}: {best['method']} has the best {metric_title(metric)} on all users: "
        text += f"{best['value']:.4f}"
        sign = -1 if metric.startswith(LOWER_IS_BETTER) else 1
        carried = [row for row in rows.values() if row["gain_reference"] is not None]
        if best not in carried and carried:  # then what the best of the others came to
            best = max(carried, key=lambda row: sign * row["value"])
            text += f". {best['method']}, the best of the others, {best['value']:.4f}"
        lines.append(text + _sure(best, metric, against) + ".")
    return lines


def _sure(row: Mapping[str, Any], metric: str, against: str | None) -> str:
    """The gains of a row over scratch and over the reference, and how sure they are."""
    text = ""
    for name, column in (("scratch", "scratch"), (row["reference"], "reference")):
        p, gain = row[f"p_holm_{column}"], row[f"gain_{column}"]
        known = p is not None and gain is not None and not math.isnan(gain)
        if known and (column == "scratch" or name != "scratch"):
            said = name if column == "scratch" or against else f"{name}, the best row alone,"
            text += f"; over {said} {gain_text(row, column)}, {verdict(gain, p, metric)}"
    return text


def _table(own: pl.DataFrame, metrics: list[str], against: str | None, name: str) -> Table:
    headline = metrics[0]
    reference = against or "best single"
    header = ["method", "seeds", *map(metric_title, metrics)]
    header += ["over scratch [95%]", "p (Holm)", f"over {reference} [95%]", "p (Holm)"]
    blocks = []
    for (users,), part in own.group_by("users", maintain_order=True):
        found = {(row["method"], row["metric"]): row for row in part.iter_rows(named=True)}
        order = list(dict.fromkeys(part["method"]))
        best = {
            metric: marks(
                metric, {m: found[m, metric]["value"] for m in order if (m, metric) in found}
            )
            for metric in metrics
        }
        rows = []
        for method in order:
            row = found.get((method, headline))
            if row is None:
                continue
            chosen = f"(of {row['settings']})" if row["settings"] > 1 else ""
            label = " ".join(filter(None, [method, row["options"], chosen]))
            cells = [Cell(label), Cell(str(row["seeds"]))]
            for metric in metrics:
                value = found.get((method, metric))
                if value is None:
                    cells.append(Cell("-"))
                    continue
                text = cell(metric, value["value"], value["low"], value["high"])
                sign = dagger(metric, value["gain_scratch"], value["p_holm_scratch"])
                cells.append(Cell(text, best[metric].get(method, ""), sign))
            for column in ("scratch", "reference"):
                cells += [Cell(gain_text(row, column)), Cell(p_value(row[f"p_holm_{column}"]))]
            rows.append(cells)
        blocks.append(Rows(f"{users} users", rows))
    note = f"{NOTE}. {SIGNS} scratch (p < 0.05)."
    if against is None:
        best_names = sorted(set(own.filter(metric=headline)["reference"].drop_nulls()))
        note += " Best single: the best row without the source in the same users' test"
        note += f" ({', '.join(best_names)})." if best_names else "."
    note += " Bold is best, underlined second."
    return Table(name, "Methods by user group.", header, blocks, note)
