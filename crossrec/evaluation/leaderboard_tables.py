"""The leaderboard for the terminal and for Markdown."""

from __future__ import annotations

import math
from collections.abc import Iterator

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from crossrec.evaluation.tables import LEVEL, cell, headline_metric, markdown_line, metric_title

NOTE = (
    "± is half a 95% interval: over seeds where there are several, else over users. Of several "
    "settings validation chose. Gains: paired t test over users, Holm-corrected over the methods, "
    "* p < 0.05; best single: the best row without the source in the same users' test."
)


def leaderboard_terminal(table: pl.DataFrame, against: str | None) -> Group:
    """What `leaderboard` gives, by the headline metric: a table for each data set.

    Args:
        against: the row that was asked for as the reference, if any.
    """
    parts: list[Table | Text] = [Text(metric_title(headline_metric(table)), style="bold")]
    for data, blocks in _blocks(table):
        shown = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        for place, name in enumerate(_header(blocks, against)):
            shown.add_column(name, justify="right" if place else "left", overflow="fold")
        for users, rows in blocks:
            shown.add_section()
            shown.add_row(Text(f"{users} users", style="italic"))
            for row in rows:
                shown.add_row(*row)
        parts += [Text(), Text(data, style="bold"), shown]
    return Group(*parts, Text(), Text(NOTE, style="dim"))


def leaderboard_markdown(table: pl.DataFrame, against: str | None) -> str:
    """The same for leaderboard.md."""
    lines = [f"# {metric_title(headline_metric(table))}", ""]
    for data, blocks in _blocks(table):
        lines += [f"## {data}", ""]
        header = _header(blocks, against)
        for users, rows in blocks:
            lines += [f"**{users} users**", "", markdown_line(header)]
            lines += [markdown_line(["---"] + ["---:"] * (len(header) - 1))]
            lines += [markdown_line(row) for row in rows] + [""]
    return "\n".join([*lines, NOTE, ""])


_Blocks = list[tuple[str, list[list[str]]]]


def _blocks(table: pl.DataFrame) -> Iterator[tuple[str, _Blocks]]:
    """Each data set with a row of cells a method, by user group."""
    metric = headline_metric(table)
    chosen = table.filter(metric=metric)
    labeled = chosen["options"].str.len_chars().max() != 0
    for (data,), own in chosen.group_by("data", maintain_order=True):
        blocks = []
        for (users,), part in own.group_by("users", maintain_order=True):
            rows = [
                [
                    row["method"],
                    *([_options(row)] if labeled else []),
                    str(row["seeds"]),
                    cell(metric, row["value"], row["low"], row["high"]),
                    _gain(row, "scratch"),
                    _gain(row, "reference"),
                ]
                for row in part.iter_rows(named=True)
            ]
            blocks.append((str(users), rows))
        yield str(data), blocks


def _header(blocks: _Blocks, against: str | None) -> list[str]:
    reference = f"over {against or 'best single'}"
    names = ["method", "options", "seeds", "value", "over scratch", reference]
    return names if len(blocks[0][1][0]) == len(names) else [names[0], *names[2:]]


def _options(row: dict) -> str:
    return row["options"] + (f" (of {row['settings']})" if row["settings"] > 1 else "")


def _gain(row: dict, reference: str) -> str:
    gain, p = row[f"relative_gain_{reference}"], row[f"p_holm_{reference}"]
    if gain is None or math.isnan(gain):
        return "-"
    return f"{gain:+.1%}" + "*" * (p is not None and p < LEVEL)
