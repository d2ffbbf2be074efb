"""What the judges of several runs came to, a row for each run, model and metric, as CSV.

python experiments/reranking/collect.py OUTPUT
"""

import json
import sys
from pathlib import Path

import polars as pl

METRICS = ["ndcg@10", "hit@10"]


def main(output: Path) -> None:
    tables = []
    for file in sorted(output.glob("*/reranking.json")):
        account = json.loads(file.read_text())
        told = {"weight": account["weight"], **account["test"]}
        tables.append(
            pl.read_csv(file.with_suffix(".csv"))
            .filter(pl.col("metric").is_in(METRICS))
            .select(
                pl.lit(file.parent.name).alias("run"),
                pl.all(),
                **{name: pl.lit(value) for name, value in told.items()},
            )
        )
    sys.stdout.write(pl.concat(tables).write_csv(float_precision=4))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
