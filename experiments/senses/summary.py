"""What measure.py left -> the README's tables.

Means over users of all seeds with a t interval over these users; gains also with one over the
seeds, which are different worlds and trainings.

python summary.py OUTPUT
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl

from crossrec.evaluation.significance import t_quantile

HERE, USERS = Path(__file__).parent, Path(sys.argv[1]) / "users"


def values(content: str, seed: int, model: str) -> np.ndarray:
    file = USERS / f"{content}_{seed}_{model}_cold.parquet"
    return pl.read_parquet(file)["ndcg"].to_numpy()


def interval(found: np.ndarray) -> str:
    half = t_quantile(len(found)) * found.std(ddof=1) / len(found) ** 0.5
    return f"{found.mean():.4f} ± {half:.4f}"


def main() -> None:
    table = pl.read_csv(HERE / "results.csv").filter(pl.col("candidates") == "cold")
    seeds = {
        content: sorted(set(table.filter(pl.col("content") == content)["seed"]))
        for content in table["content"].unique(maintain_order=True)
    }
    print(f"chance {table['chance'].mean():.4f}")
    for content, of_content in seeds.items():
        row = [
            interval(np.concatenate([values(content, seed, model) for seed in of_content]))
            for model in ("zero-shot", "scratch", "l2_sp")
        ]
        print(f"| {content} | {len(of_content)} | {' | '.join(row)} |")
    for one, other in (
        ("image", "none"),
        ("audio", "none"),
        ("image+audio", "image"),
        ("image+audio", "audio"),
        ("text+image+audio", "text"),
        ("text+image+audio, gate", "text+image+audio"),
        ("text+image+audio, mixture", "text+image+audio"),
    ):
        both = sorted(set(seeds[one]) & set(seeds[other]))
        gains = [values(one, seed, "l2_sp") - values(other, seed, "l2_sp") for seed in both]
        means = np.array([gain.mean() for gain in gains])
        by_seed = ", ".join(f"{mean:+.4f}" for mean in means)
        pooled = interval(np.concatenate(gains))
        print(f"| {one} over {other} | {pooled} | {interval(means)} | {by_seed} |")


if __name__ == "__main__":
    main()
