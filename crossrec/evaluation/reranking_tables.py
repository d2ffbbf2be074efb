"""What a judge changed, in words and as a table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from crossrec.evaluation.summary import metric_order
from crossrec.evaluation.tables import cell, headline_metric, markdown_line, metric_title, verdict

MODELS = ("transferred", "judge", "reranked")


def sentence(table: pl.DataFrame, weight: float) -> str:
    """The gain in the headline metric, and whether it is real.

    Args:
        table: what `reranking.compared` gave.
        weight: of the judge, as validation chose it.
    """
    metric = headline_metric(table)
    row = table.row(
        by_predicate=(pl.col("model") == "reranked") & (pl.col("metric") == metric), named=True
    )
    base = row["value"] - row["gain"]
    found = f"{metric_title(metric)} {base:.4f} -> {row['value']:.4f}"
    if weight == 0:
        return f"the judge weighs 0 in validation: {found} stays as it was"
    bounds = f"[{row['gain_low']:+.4f}, {row['gain_high']:+.4f}]"
    tested = verdict(row["gain"], row["p"], metric)
    return f"judge's weight {weight:g}: {found} ({row['gain']:+.4f} {bounds}, {tested})"


def markdown(
    table: pl.DataFrame, caption: str, account: Mapping[str, Any], options: Mapping[str, Any]
) -> str:
    """For reranking.md.

    Args:
        table: what `reranking.compared` gave.
        caption: of the run.
        account: weight, and users and asked of valid and test.
        options: of the re-ranking.
    """
    metrics = sorted(table["metric"].unique(), key=metric_order)
    valid, test = account["valid"], account["test"]
    lines = [
        caption,
        "",
        f"The best {options['candidates']} items of {test['users']:,} test users in a new order, "
        f"judged by {options['model']} ({options['score']}). These numbers are of this sample: "
        "compare them with each other, not with results.md.",
        "",
        markdown_line(["model", *(metric_title(metric) for metric in metrics)]),
        markdown_line(["---"] + ["---:"] * len(metrics)),
    ]
    for model in MODELS:
        cells = [model]
        for metric in metrics:
            chosen = table.filter(model=model, metric=metric).row(0, named=True)
            cells.append(cell(metric, chosen["value"], chosen["low"], chosen["high"]))
        lines.append(markdown_line(cells))
    return "\n".join(
        [
            *lines,
            "",
            f"- {sentence(table, account['weight'])}",
            f"- judge: its order alone; reranked: fused with the model's scores, by the smallest "
            f"weight of 0, 0.1, ..., 1 that is within one standard error of the best for "
            f"{valid['users']:,} validation users.",
            f"- Asked about {test['asked']:,} users, {test['seconds_per_asked_user']:.1f} s each: "
            "the held-out items of the others are not among the best, and no order changes that.",
            "- ± is half a 95% interval over users; p of a paired t test over the same users.",
            "",
        ]
    )
