"""What every model reaches in each column of ABXI's table, beside what its authors' code does.

    python experiments/abxi/collect.py RUNS RESULTS_CSV

RESULTS_CSV: a row for each target, protocol, encoder of item texts, seed, model and metric, for all
users. What it has of seeds that are not among RUNS stays, so seeds can be run one after another.
Beside it, seeds.csv: mean and deviation over the seeds; theirs and theirs_std are those of five
seeds of the authors' current code, where the protocol is theirs, and lead is (mean - theirs) /
theirs_std.
"""

import sys
from pathlib import Path

import polars as pl
import yaml

from crossrec.evaluation.origin import ORIGIN

METRICS = ("hit@5", "hit@10", "ndcg@10")
CELL = ("target", "encoder", "protocol", "model", "metric")
COLUMN = ("target", "encoder", "protocol", "seed")
NEGATIVES = 999
THEIRS = {
    "grocery": ((0.2519, 0.0029), (0.3243, 0.0015), (0.1971, 0.0019)),
    "home_kitchen": ((0.1745, 0.0024), (0.2438, 0.0037), (0.1427, 0.0023)),
    "beauty": ((0.2754, 0.0076), (0.3778, 0.0027), (0.2200, 0.0035)),
    "electronics": ((0.1574, 0.0022), (0.2328, 0.0059), (0.1340, 0.0017)),
}


def read_results(file: Path) -> pl.DataFrame:
    """A table of results, what says where its rows are from as text."""
    return pl.read_csv(file, schema_overrides=dict.fromkeys(ORIGIN, pl.String))


def read_run(file: Path) -> pl.DataFrame:
    """A run's results for all users, with its target, encoder of item texts and protocol."""
    config = yaml.safe_load((file.parent / "config.yaml").read_text())
    among = config["evaluation"]["negatives"]
    rows = read_results(file).filter(pl.col("users") == "all", pl.col("metric").is_in(METRICS))
    return rows.select(
        pl.lit(Path(config["data"]["target"]).name).alias("target"),
        pl.lit(config["encoder"]["name"]).alias("encoder"),
        pl.lit("full ranking" if among is None else f"1 among {among}").alias("protocol"),
        pl.exclude("users"),
    )


def their_table() -> pl.DataFrame:
    """Their means and deviations, as rows."""
    return pl.DataFrame(
        [
            {
                "target": target,
                "protocol": f"1 among {NEGATIVES}",
                "metric": metric,
                "theirs": mean,
                "theirs_std": deviation,
            }
            for target, columns in THEIRS.items()
            for metric, (mean, deviation) in zip(METRICS, columns, strict=True)
        ]
    )


def over_seeds(rows: pl.DataFrame) -> pl.DataFrame:
    """Mean and deviation of each cell over its seeds, beside theirs."""
    value = pl.col("value")
    cells = rows.group_by(CELL, maintain_order=True).agg(
        pl.len().alias("n_seeds"), value.mean().alias("mean"), value.std().alias("std")
    )
    cells = cells.join(
        their_table(), on=["target", "protocol", "metric"], how="left", maintain_order="left"
    )
    lead = (pl.col("mean") - pl.col("theirs")) / pl.col("theirs_std")
    return cells.with_columns(lead.alias("lead"))


def main(runs: Path, output: Path) -> None:
    """Write both tables."""
    rows = pl.concat([read_run(file) for file in sorted(runs.glob("*/*/results.csv"))])
    if output.exists():
        earlier = read_results(output).join(rows, on=COLUMN, how="anti", maintain_order="left")
        rows = pl.concat([earlier, rows]).sort(COLUMN, maintain_order=True)
    rows.write_csv(output)
    over_seeds(rows).write_csv(output.with_name("seeds.csv"), float_precision=5)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
