"""The results in words and tables, for the terminal and for Markdown."""

from __future__ import annotations

import math

import polars as pl
from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from crossrec.evaluation.summary import (
    BASELINE,
    CANDIDATE,
    GROUPS,
    LOWER_IS_BETTER,
    Results,
    metric_order,
    model_order,
)

LEVEL = 0.05
TITLES = {
    "ndcg": "NDCG",
    "mrr": "MRR",
    "rmse": "RMSE ↓",
    "mae": "MAE ↓",
    "like_accuracy": "Like acc.",
}
RANKING = ("ndcg", "recall", "hit", "mrr", "precision")


def metric_title(name: str) -> str:
    """ndcg@10 -> NDCG@10; an arrow says that lower is better."""
    base, at, k = name.partition("@")
    return TITLES.get(base, base.capitalize()) + at + k


def cell(metric: str, value: float, low: float, high: float) -> str:
    """.0123±.0011: half the width of the interval after the value; no ± where there is none."""
    base = metric.partition("@")[0]
    digits = 4 if base in RANKING else 2 if base == "novelty" else 3
    numbers = [value] if math.isnan(low) or math.isnan(high) else [value, (high - low) / 2]
    return "±".join(f"{number:.{digits}f}".removeprefix("0") for number in numbers)


def p_text(p: float) -> str:
    """p = 0.012, or p < 0.001."""
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def headline_metric(values: pl.DataFrame) -> str:
    """What the run is judged by: NDCG@10, by which validation chooses; if it was not asked for,
    NDCG at the shortest list length."""

    def place(metric: str) -> tuple[bool, bool, tuple[int, int, str]]:
        return metric != "ndcg@10", not metric.startswith("ndcg"), metric_order(metric)

    return min(values["metric"].unique(), key=place)


def gain_lines(results: Results) -> list[str]:
    """One sentence a user group: what `transferred` gains on `scratch`, and whether it is real."""
    if results.values.is_empty():
        return []
    metric = headline_metric(results.values)
    rows = results.comparisons.filter(pl.col("metric") == metric, pl.col("model") == CANDIDATE)
    lines = []
    for row in rows.iter_rows(named=True):
        base = results.values.filter(model=BASELINE, users=row["users"], metric=metric)["value"][0]
        if base > 0:
            low, high = row["low"] / base, row["high"] / base
            change = f"{row['gain'] / base:+.1%} [{low:+.1%}, {high:+.1%}]"
        else:
            change = f"{row['gain']:+.4f} [{row['low']:+.4f}, {row['high']:+.4f}]"
        start = f"{CANDIDATE} vs {BASELINE}, {row['users']} users"
        sure = verdict(row["gain"], row["p_holm"], metric)
        lines.append(f"{start}: {metric_title(metric)} {change}, {sure}")
    return lines


def verdict(gain: float, p: float, metric: str) -> str:
    """Plain words for a Holm-corrected p-value; less of an error is a gain."""
    if math.isnan(p):
        return "too few users to test"
    if p >= LEVEL:
        return f"{p_text(p)}: no significant difference"
    better = (gain > 0) != metric.startswith(LOWER_IS_BETTER)
    return f"{p_text(p)}: significant {'gain' if better else 'loss'}"


def note(results: Results) -> str:
    """How to read the numbers."""
    sizes = ", ".join(f"{n:,} {users}" for users, n in results.sizes.items() if users != "all")
    text = f"± is half a 95% interval over users ({sizes}); ties count against the model."
    if not results.comparisons.is_empty():
        text += " Gains: paired t test over users, Holm-corrected over the user groups."
    return text


def terminal(results: Results, caption: str) -> Group:
    """What a run prints: tables that fit 80 columns, then the gains in words."""
    parts: list[Table | Text] = [Text(caption, style="bold")]
    for metrics in sheets(results.values):
        table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
        table.add_column("", no_wrap=True)
        for metric in metrics:
            table.add_column(
                metric_title(metric).replace("@", "\n@"), justify="right", no_wrap=True
            )
        for users in GROUPS:
            rows = _rows(results.values, users, metrics)
            if rows:
                table.add_section()
                table.add_row(Text(f"{users} users", style="italic"))
            for model, cells in rows:
                style = "bold" if model == CANDIDATE else None
                table.add_row(model, *cells, style=style)
        parts += [Text(), table]
    parts.append(Text())
    for line in gain_lines(results):
        parts.append(Text(line, style="green" if line.endswith("significant gain") else ""))
    parts.append(Text(note(results), style="dim"))
    return Group(*parts)


def validation_terminal(validation: dict[str, dict[str, float]], caption: str) -> Group:
    """What a run prints that stops at validation.

    Args:
        validation: row -> metric -> what it reached.
    """
    table = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("in validation", no_wrap=True)
    metrics = list(dict.fromkeys(name for row in validation.values() for name in row))
    for metric in metrics:
        table.add_column(metric_title(metric), justify="right")
    for name in sorted(validation, key=model_order):
        row = validation[name]
        cells = [cell(m, row[m], math.nan, math.nan) if m in row else "-" for m in metrics]
        table.add_row(name, *cells, style="bold" if name == CANDIDATE else None)
    return Group(Text(caption, style="bold"), Text(), table)


def markdown(results: Results, caption: str) -> str:
    """The same for results.md."""
    lines = [caption, ""]
    for metrics in sheets(results.values):
        for users in GROUPS:
            rows = _rows(results.values, users, metrics)
            if not rows:
                continue
            header = ["model", *(metric_title(metric) for metric in metrics)]
            lines += [f"**{users} users**", ""]
            lines += [markdown_line(header), markdown_line(["---"] + ["---:"] * len(metrics))]
            lines += [markdown_line([model, *cells]) for model, cells in rows] + [""]
    lines += [f"- {line}" for line in gain_lines(results)]
    return "\n".join([*lines, "", note(results), ""])


def addresses(results: Results, where: str = "test/target") -> dict[str, float]:
    """Values by their address in logs: test/target/ndcg@10 is that of `transferred`, all users.

    Other models and user groups stand between: test/target/scratch/cold/ndcg@10.
    """
    return {
        "/".join(
            [where, *([model] * (model != CANDIDATE)), *([users] * (users != "all")), metric]
        ): value
        for model, users, metric, value, *_ in results.values.iter_rows()
    }


def sheets(values: pl.DataFrame) -> list[list[str]]:
    """Metrics that share a table: the ranking ones of each list length; then all others."""
    names = sorted(values["metric"].unique(), key=metric_order)
    ranking = [name for name in names if name.partition("@")[0] in RANKING]
    ks = list(dict.fromkeys(name.partition("@")[2] for name in ranking))
    sheets = [[name for name in ranking if name.partition("@")[2] == k] for k in ks]
    others = [name for name in names if name not in ranking]
    return sheets + [others[i : i + 6] for i in range(0, len(others), 6)]


def _rows(values: pl.DataFrame, users: str, metrics: list[str]) -> list[tuple[str, list[str]]]:
    chosen = values.filter(pl.col("users") == users)
    cells = {
        (model, metric): cell(metric, value, low, high)
        for model, _, metric, value, low, high in chosen.iter_rows()
    }
    models = sorted({model for model, _ in cells}, key=model_order)
    return [(model, [cells.get((model, metric), "-") for metric in metrics]) for model in models]


def markdown_line(cells: list[str]) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(cells) + " |"
