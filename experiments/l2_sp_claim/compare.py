"""A pull to the source against plain decay, from the surfaces of ../lambda_mu.

    python experiments/l2_sp_claim/compare.py SURFACES_CSV RESULTS_CSV

Of each pair and of each pull (mu = 1, mu = 0) the lambda > 0 that validation likes best, from the
same lambdas for both; fine-tuning is lambda = 0, scratch the same model on the target alone.
"""

import sys
from pathlib import Path

import polars as pl


def main(surfaces: Path, output: Path) -> None:
    """Write a row for each pair."""
    rows = []
    for (pair, metric), points in pl.read_csv(surfaces).group_by(
        "pair", "metric", maintain_order=True
    ):
        sign = -1 if metric == "rmse" else 1
        pulled, decayed = (points.filter(pl.col("lambda") > 0, pl.col("mu") == mu) for mu in (1, 0))
        both = set(pulled["lambda"]) & set(decayed["lambda"])
        if not both:
            continue
        row = {"pair": pair, "metric": metric, "lambdas": len(both)}
        row["scratch"] = points["scratch_test"][0]
        row["finetune"] = points.filter(pl.col("lambda") == 0)["test"][0]
        for name, own in (("l2_sp", pulled), ("decay", decayed)):
            own = own.filter(pl.col("lambda").is_in(sorted(both)))
            best = own.sort(sign * pl.col("valid"), descending=True).row(0, named=True)
            row |= {f"{name}_lambda": best["lambda"], name: best["test"]}
        row["gain"] = sign * (row["l2_sp"] / row["decay"] - 1)
        row["l2_sp_better_at"] = (
            pulled.join(decayed, on="lambda", suffix="_decay")
            .select((sign * (pl.col("test") - pl.col("test_decay")) > 0).sum())
            .item()
        )
        rows.append(row)
    pl.DataFrame(rows).write_csv(output)


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
