"""What the transferred models came to, a row for each epsilon, seed and group of users, as CSV.

python experiments/privacy/collect.py OUTPUT

Rows of seed "all" pool the users of all seeds; intervals and tests are paired over users. `cost` is
what a model loses of the NDCG@10 that weights without noise (epsilon inf) give, `gain` what it has
over scratch.
"""

import json
import sys
from pathlib import Path

import polars as pl
import yaml

from crossrec.data.columns import USER
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.evaluation.significance import mean_interval, paired_test

EPSILONS = ("inf", "8", "4", "2", "1")
METRIC = "ndcg@10"


def read_run(folder: Path, output: Path) -> tuple[int, str, pl.DataFrame]:
    """Seed, epsilon, and by user: shared with the source, and the metric of each model."""
    config = yaml.safe_load((folder / "config.yaml").read_text())
    about = json.loads((Path(config["source_weights"]) / "source.json").read_text())
    private = about["privacy"]
    epsilon = f"{private['epsilon']:.0f}" if private else "inf"  # spent: at most .01 below
    seed, data = config["seed"], config["data"]
    market = Marketplace(
        output / "source" / "data", data["relatedness"], seed, data["reader"]["strength"]
    )
    there = market.read("home").interactions.select(USER).unique().collect()[USER]
    table = pl.read_parquet(folder / "per_user.parquet").pivot(
        "model", index="user_id", values=METRIC
    )
    return seed, epsilon, table.with_columns(shared=pl.col("user_id").is_in(there.implode()))


def rows_of(runs: dict[str, pl.DataFrame], seed: str) -> list[dict[str, object]]:
    """Rows of one seed, or of several together.

    Args:
        runs: epsilon -> users in the same order.
    """
    rows: list[dict[str, object]] = []
    free = runs["inf"]["transferred"].to_numpy()
    for users in ("all", "shared"):
        chosen = runs["inf"]["shared"].to_numpy() | (users == "all")
        for epsilon in [e for e in EPSILONS if e in runs]:
            values = {
                name: runs[epsilon][name].to_numpy()[chosen]
                for name in ("scratch", "zero-shot", "transferred")
            }
            value = mean_interval(values["transferred"])
            gain = paired_test(values["transferred"], values["scratch"])
            cost = paired_test(values["transferred"], free[chosen])
            rows.append(
                {
                    "epsilon": epsilon,
                    "seed": seed,
                    "users": users,
                    "n_users": int(chosen.sum()),
                    "scratch": values["scratch"].mean(),
                    "zero_shot": values["zero-shot"].mean(),
                    "transferred": value.value,
                    "low": value.low,
                    "high": value.high,
                    "gain": gain.gain,
                    "gain_low": gain.low,
                    "gain_high": gain.high,
                    "gain_p": gain.p,
                    "cost_percent": -100 * cost.relative_gain,
                    "cost_percent_low": -100 * cost.high / free[chosen].mean(),
                    "cost_percent_high": -100 * cost.low / free[chosen].mean(),
                    "cost_p": cost.p,
                }
            )
    return rows


def main(output: Path) -> None:
    runs: dict[int, dict[str, pl.DataFrame]] = {}
    for file in sorted(output.glob("runs/*/*/results.csv")):
        seed, epsilon, table = read_run(file.parent, output)
        runs.setdefault(seed, {})[epsilon] = table.sort("user_id")
    rows = [row for seed, of_seed in sorted(runs.items()) for row in rows_of(of_seed, str(seed))]
    if len(runs) > 1:
        in_all = [e for e in EPSILONS if all(e in of_seed for of_seed in runs.values())]
        pooled = {e: pl.concat(runs[seed][e] for seed in sorted(runs)) for e in in_all}
        rows += rows_of(pooled, "all")
    sys.stdout.write(pl.DataFrame(rows).write_csv(float_precision=5))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve())
