"""Federated averaging and L2-SP over scratch, a row for each seed and for all of them, as CSV.

python experiments/privacy/fedavg.py RUNS      the folder of the sweep
"""

import sys
from collections import defaultdict
from pathlib import Path

import polars as pl
import yaml

from crossrec.evaluation.significance import paired_test

METRIC = "ndcg@10"


def main(runs: Path) -> None:
    """Gains are paired by users; simulated users of different seeds are different users."""
    found: dict[str, dict[str, pl.DataFrame]] = defaultdict(dict)
    for folder in sorted(path.parent for path in runs.glob("*/per_user.parquet")):
        config = yaml.safe_load((folder / "config.yaml").read_text())
        users = pl.read_parquet(folder / "per_user.parquet")
        values = users.pivot("model", index="user_id", values=METRIC)
        found[config["transfer"]["name"]][str(config["seed"])] = values
    rows = []
    for method, seeds in found.items():
        for seed, values in {**seeds, "all": pl.concat(seeds.values())}.items():
            scratch, transferred = values["scratch"], values["transferred"]
            test = paired_test(transferred.to_numpy(), scratch.to_numpy())
            row = {"method": method, "seed": seed, "users": len(values)}
            row |= {"scratch": scratch.mean(), "transferred": transferred.mean()}
            rows.append(row | {key: getattr(test, key) for key in ("gain", "low", "high", "p")})
    print(pl.DataFrame(rows).write_csv(float_precision=5), end="")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
