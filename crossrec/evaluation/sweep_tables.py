"""The table over many runs, for the terminal and for Markdown."""

from __future__ import annotations

import math

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from crossrec.evaluation.summary import BASELINE, CANDIDATE, GROUPS
from crossrec.evaluation.tables import cell, headline_metric, markdown_line, metric_title

MODELS = (BASELINE, "zero-shot", CANDIDATE)
NOTE = (
    "± is half a 95% interval: over seeds where there are several, else over users. gain: "
    "transferred over scratch; sig.: runs with a significant gain / loss (5%, Holm)."
)


def sweep_terminal(settings: pl.DataFrame) -> Group:
    """What `over_seeds` gives, as one table of the headline metric with a block a user group."""
    header, blocks = sweep_cells(settings)
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for place, name in enumerate(header):
        table.add_column(
            name,
            justify="right" if place else "left",
            no_wrap=name != "setting",
            overflow="fold",
        )
    for users, rows in blocks:
        table.add_section()
        table.add_row(Text(f"{users} users", style="italic"))
        for row in rows:
            table.add_row(*row)
    title = Text(metric_title(headline_metric(settings)), style="bold")
    return Group(title, Text(), table, Text(), Text(NOTE, style="dim"))


def sweep_markdown(settings: pl.DataFrame) -> str:
    """The same for settings.md."""
    header, blocks = sweep_cells(settings)
    lines = [f"# {metric_title(headline_metric(settings))}", ""]
    for users, rows in blocks:
        lines += [f"**{users} users**", "", markdown_line(header)]
        lines += [markdown_line(["---"] + ["---:"] * (len(header) - 1))]
        lines += [markdown_line(row) for row in rows] + [""]
    return "\n".join([*lines, NOTE, ""])


def sweep_cells(settings: pl.DataFrame) -> tuple[list[str], list[tuple[str, list[list[str]]]]]:
    """Header, and for each user group a row of cells a setting; by the headline metric."""
    metric = headline_metric(settings)
    chosen = settings.filter(pl.col("metric") == metric)
    models = [model for model in MODELS if model in chosen["model"].unique()]
    varied = [name for name in ("lambda", "mu") if chosen[name].n_unique() > 1]
    labeled = chosen["label"].str.len_chars().max() != 0
    header = ["setting"] * labeled + [*varied, "seeds", *models, "gain", "sig. +/-"]
    blocks = []
    for users in GROUPS:
        rows = []
        own = chosen.filter(pl.col("users") == users)
        for (label, *_), part in own.group_by(
            ["label", "setting", "lambda", "mu"], maintain_order=True
        ):
            by_model = {row["model"]: row for row in part.iter_rows(named=True)}
            first = next(iter(by_model.values()))
            estimates = [
                cell(metric, *(by_model[model][name] for name in ("value", "low", "high")))
                if model in by_model
                else "-"
                for model in models
            ]
            rows.append(
                [
                    *([str(label)] * labeled),
                    *("-" if first[name] is None else f"{first[name]:g}" for name in varied),
                    str(first["seeds"]),
                    *estimates,
                    *_gain(by_model.get(CANDIDATE)),
                ]
            )
        if rows:
            blocks.append((users, rows))
    return header, blocks


def _gain(row: dict | None) -> tuple[str, str]:
    if row is None or math.isnan(row["relative_gain"]):
        return "-", "-"
    significant = f"{row['significant_gains']} / {row['significant_losses']}"
    return f"{row['relative_gain']:+.1%}", significant
