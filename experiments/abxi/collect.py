"""What every model reaches in each column of ABXI's table, beside what its authors' code does.

    python experiments/abxi/collect.py RUNS RESULTS_CSV

A row for each target, protocol, seed, model and metric, for all users; theirs and theirs_std are
the mean and deviation over five seeds of the authors' current code, where the protocol is theirs.
"""

import sys
from pathlib import Path

import polars as pl
import yaml

from crossrec.evaluation.origin import ORIGIN

METRICS = ("hit@5", "hit@10", "ndcg@10")
NEGATIVES = 999
THEIRS = {
    "grocery": ((0.2519, 0.0029), (0.3243, 0.0015), (0.1971, 0.0019)),
    "home_kitchen": ((0.1745, 0.0024), (0.2438, 0.0037), (0.1427, 0.0023)),
    "beauty": ((0.2754, 0.0076), (0.3778, 0.0027), (0.2200, 0.0035)),
    "electronics": ((0.1574, 0.0022), (0.2328, 0.0059), (0.1340, 0.0017)),
}


def main(runs: Path, output: Path) -> None:
    """Write the table."""
    theirs = pl.DataFrame(
        [
            {"target": target, "metric": metric, "theirs": mean, "theirs_std": deviation}
            for target, columns in THEIRS.items()
            for metric, (mean, deviation) in zip(METRICS, columns, strict=True)
        ]
    )
    parts = []
    for file in sorted(runs.glob("*/*/results.csv")):
        config = yaml.safe_load((file.parent / "config.yaml").read_text())
        among = config["evaluation"]["negatives"]
        rows = pl.read_csv(file, schema_overrides=dict.fromkeys(ORIGIN, pl.String)).filter(
            pl.col("users") == "all", pl.col("metric").is_in(METRICS)
        )
        rows = rows.select(
            pl.lit(Path(config["data"]["target"]).name).alias("target"),
            pl.lit("full ranking" if among is None else f"1 among {among}").alias("protocol"),
            pl.exclude("users"),
        )
        if among == NEGATIVES:
            rows = rows.join(theirs, on=["target", "metric"], how="left", maintain_order="left")
        parts.append(rows)
    pl.concat(parts, how="diagonal").write_csv(output)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
