"""From results.csv and the users' errors to the table and the tests.

    python tables.py OUTPUT

Writes OUTPUT/table.md and OUTPUT/comparisons.csv. The learning rate of a method is the one with
the lowest validation RMSE at beta 0.2, seed 0. Tests are paired over users, whose errors are summed
over the seeds that test them; on the marketplace each seed is another world with users of its own.
"""

import sys
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import polars.selectors as cs

from crossrec.evaluation.significance import holm, linearized, mean_interval, paired_test

TRIVIAL = ("mean", "item-mean", "source-bias")
REFERENCES = ("emcdr-linear", "ptupcdr")
METRICS = ("mae", "rmse")
COLUMNS = (
    *("pair", "beta", "metric", "method", "against"),
    *("difference", "low", "high", "p_holm", "seeds_better"),
)


def chosen(results: pl.DataFrame) -> pl.DataFrame:
    """The rows at each method's learning rate."""
    first = results.filter((pl.col("beta") == 0.2) & (pl.col("seed") == 0))
    rates = first.sort(pl.col("monitored").fill_null(0)).unique(["pair", "method"], keep="first")
    return results.join(rates, on=["pair", "method", "learning_rate"], how="semi")


def table(rows: pl.DataFrame) -> list[str]:
    """Markdown: every method at every beta, means over seeds with 95% intervals."""
    lines = []
    for (pair, beta), part in rows.group_by(["pair", "beta"], maintain_order=True):
        lines += [f"\n{pair}, beta {beta}, {part['seed'].n_unique()} seeds\n"]
        lines += ["| row | MAE | by valid MAE | by test | optimism | RMSE | by test | optimism |"]
        lines += ["|---|---|---|---|---|---|---|---|"]
        for name in part["method"].unique(maintain_order=True):
            runs = part.filter(pl.col("method") == name)
            mae, rmse = (_interval(runs[f"test_{metric}"]) for metric in METRICS)
            cells = [mae, "", "", "", rmse, "", ""]
            if name not in TRIVIAL:
                cells[1] = _short(_mean(runs["valid_chosen_mae"]))
                cells[2:4] = _by_test(runs, "mae")
                cells[5:] = _by_test(runs, "rmse")
            lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def _by_test(runs: pl.DataFrame, metric: str) -> list[str]:
    chosen = runs[f"test_chosen_{metric}"]
    return [_short(_mean(chosen)), _interval(runs[f"test_{metric}"] - chosen)]


def _interval(values: pl.Series) -> str:
    mean, _, high = mean_interval(values.to_numpy())
    return f"{_short(mean)} ± {_short(high - mean)}"


def _mean(values: pl.Series) -> float:
    return float(values.to_numpy().mean())


def _short(value: float) -> str:
    """.7342"""
    return f"{value:.4f}".removeprefix("0")


def comparisons(rows: pl.DataFrame, users: Path) -> pl.DataFrame:
    """Each method's error minus that of the references and of the trivial row that is best in
    validation, with tests that are Holm-corrected over the methods."""
    made: list[dict[str, Any]] = []
    for (pair, beta), part in rows.group_by(["pair", "beta"], maintain_order=True):
        by_validation = part.group_by("method").agg(pl.col("valid_rmse").mean()).sort("valid_rmse")
        trivial = by_validation.filter(pl.col("method").is_in(TRIVIAL))["method"][0]
        methods = part.filter(~pl.col("method").is_in(TRIVIAL))["method"].unique(
            maintain_order=True
        )
        errors = {name: _users(part, users, name) for name in (*methods, trivial)}
        for against, metric in product((*REFERENCES, trivial), METRICS):
            family = []
            for name in methods:
                if name == against:
                    continue
                a, b = (_by_user(errors[row], metric) for row in (name, against))
                better = _seeds_better(part, f"test_{metric}", name, against)
                family.append((name, paired_test(a, b), better))
            adjusted = holm([test.p for _, test, _ in family])
            for (name, test, better), p in zip(family, adjusted, strict=True):
                values = (
                    pair,
                    beta,
                    metric,
                    name,
                    against,
                    test.gain,
                    test.low,
                    test.high,
                    p,
                    better,
                )
                made.append(dict(zip(COLUMNS, values, strict=True)))
    return pl.DataFrame(made)


def _users(part: pl.DataFrame, folder: Path, method: str) -> pl.DataFrame:
    """Sums of errors of every user, over the seeds that test them."""
    read = []
    for row in part.filter(pl.col("method") == method).to_dicts():
        name = "_".join(str(row[k]) for k in ("pair", "beta", "seed", "method", "learning_rate"))
        frame = pl.read_parquet(folder / f"{name}.parquet")
        world = row["seed"] if row["pair"] == "marketplace" else 0
        read.append(frame.with_columns(pl.lit(world).alias("world")))
    summed = pl.concat(read).group_by("world", "user_id").sum()
    return summed.sort("world", "user_id")


def _by_user(errors: pl.DataFrame, metric: str) -> np.ndarray:
    sums = errors["absolute" if metric == "mae" else "squared"]
    return linearized(sums.to_numpy(), errors["n"].to_numpy(), root=metric == "rmse")


def _seeds_better(part: pl.DataFrame, column: str, method: str, against: str) -> int:
    a, b = (
        part.filter(pl.col("method") == name).sort("seed")[column] for name in (method, against)
    )
    return int((a < b).sum())


def main() -> None:
    folder = Path(sys.argv[1])
    rows = chosen(pl.read_csv(folder / "results.csv", infer_schema_length=None))
    (folder / "table.md").write_text("\n".join(table(rows)).lstrip() + "\n")
    tests = comparisons(rows, folder / "users").with_columns(cs.float().round_sig_figs(4))
    tests.write_csv(folder / "comparisons.csv")
    print((folder / "table.md").read_text())
    with pl.Config(tbl_rows=-1, tbl_width_chars=200, tbl_cols=-1):
        print(tests)


if __name__ == "__main__":
    main()
