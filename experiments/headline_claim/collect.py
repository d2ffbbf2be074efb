"""What every model reaches under each protocol, and what a constant does.

    python experiments/headline_claim/collect.py RUNS ARTIFACTS RESULTS_CSV

RUNS holds the sweeps of run.sh. Rows of results.csv: pair, protocol, and those of a run's own
results.csv, for all users. The row `constant` says "like" of every item if most train ratings of
the target are likes, else "dislike": an accuracy below it says that a model has learned nothing.
What the table has of pairs and seeds that are not among RUNS stays.
"""

import json
import sys
from pathlib import Path

import numpy as np
import polars as pl
import yaml

from crossrec.data.prepared import load_pair
from crossrec.evaluation.origin import ORIGIN, with_origin

METRICS = ("like_accuracy", "recall@10", "coverage@10", "ndcg@10")
JOB = ("pair", "protocol", "seed")


def main(runs: Path, artifacts: Path, output: Path) -> None:
    """Write the table."""
    parts = []
    for file in sorted(runs.glob("*/*/results.csv")):
        run = file.parent
        config = yaml.safe_load((run / "config.yaml").read_text())
        kept = read_results(file).filter(pl.col("users") == "all", pl.col("metric").is_in(METRICS))
        if (kept["metric"] == "like_accuracy").any():
            kept = pl.concat([kept, constant(run, artifacts, config["evaluation"]["like_at"])])
        among = config["evaluation"]["negatives"]
        parts.append(
            kept.select(
                pl.lit(run.parent.name).alias("pair"),
                pl.lit("full ranking" if among is None else f"1 among {among}").alias("protocol"),
                pl.exclude("users"),
            )
        )
    rows = pl.concat(parts)
    if output.exists():
        earlier = read_results(output).join(rows, on=JOB, how="anti", maintain_order="left")
        rows = pl.concat([earlier, rows]).sort(JOB, maintain_order=True)
    rows.write_csv(output)


def read_results(file: Path) -> pl.DataFrame:
    """A table of results, what says where its rows are from as text."""
    return pl.read_csv(file, schema_overrides=dict.fromkeys(ORIGIN, pl.String))


def constant(run: Path, artifacts: Path, like_at: float) -> pl.DataFrame:
    """Like accuracy of the constant in a run's test events, as a row of its results."""
    name = json.loads((run / "record.json").read_text())["artifacts"]["collect"]
    target = load_pair(artifacts / name).target
    train, test = target.train_events()[2].numpy(), target.test.truth_ratings.numpy()
    says_like = np.mean(train[~np.isnan(train)] >= like_at) >= 0.5
    right = (test[~np.isnan(test)] >= like_at) == says_like
    half = 1.96 * right.std() / np.sqrt(len(right))
    row = {"model": "constant", "users": "all", "metric": "like_accuracy"}
    value = {"value": right.mean(), "low": right.mean() - half, "high": right.mean() + half}
    return with_origin(pl.DataFrame([row | value]), run)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
