"""What measure.py left -> results.csv, and the tables of the README on the terminal.

    python summary.py OUTPUT

NDCG@10 is a mean over users with its 95% interval. Gains over "no text", over "MiniLM" and over the
row's own scratch are paired by users and Holm-corrected over the rows of a group. Simulated users
of different seeds are different users; a real user counts once, with the mean over the seeds that
both rows have.
"""

import math
import sys
from pathlib import Path
from typing import Any

import polars as pl

from crossrec.evaluation.significance import holm, mean_interval, paired_test

HERE, USERS = Path(__file__).parent, Path(sys.argv[1]) / "users"
MODELS = ("zero-shot", "scratch", "l2_sp")
REFERENCES = ("no text", "MiniLM")
SCRATCH = "scratch"
COLD_AT_MOST = 2  # target interactions in train
GROUPS = {
    "cold users": ("users", pl.col("n_train") <= COLD_AT_MOST),
    "warm users": ("users", pl.col("n_train") > COLD_AT_MOST),
    "cold items": ("items", pl.lit(True)),
}
KEY = ("world", "user_id")
Tables = dict[int, pl.DataFrame]
"""Seed -> a row's users."""


def runs(world: str, split: str) -> dict[str, Tables]:
    """The tables of each row."""
    found: dict[str, Tables] = {}
    for file in sorted((USERS / world / split).glob("*.parquet")):
        row, _, seed = file.stem.rpartition("_")
        of = int(seed) if world == "marketplace" else 0
        users = pl.read_parquet(file).with_columns(pl.lit(of).alias("world"))
        found.setdefault(row, {})[int(seed)] = users
    return found


def values(tables: Tables, seeds: set[int], model: str, chosen: pl.Expr) -> pl.DataFrame:
    """A value for each user of a group: the mean over these seeds."""
    rows = pl.concat(tables[seed].filter(chosen) for seed in sorted(seeds))
    return rows.group_by(KEY).agg(pl.col(model).mean().alias("value"))


def table_of(world: str, group: str, model: str) -> list[dict[str, Any]]:
    """A line for each row."""
    split, chosen = GROUPS[group]
    found = runs(world, split)
    lines = []
    for row, tables in found.items():
        own = values(tables, set(tables), model, chosen)
        estimate = mean_interval(own["value"].to_numpy())
        line = {"world": world, "group": group, "model": model, "row": row}
        line |= {"seeds": len(tables), "users": len(own), **estimate._asdict()}
        for reference in (*REFERENCES, SCRATCH):
            line |= dict.fromkeys(f"{n} over {reference}" for n in ("gain", "low", "high", "p"))
            theirs, of = (
                (tables, SCRATCH) if reference == SCRATCH else (found.get(reference), model)
            )
            if theirs is None or (theirs is tables and of == model):
                continue
            seeds = set(tables) & set(theirs)
            other = values(theirs, seeds, of, chosen)
            both = values(tables, seeds, model, chosen).join(other, on=KEY, suffix="_theirs")
            test = paired_test(both["value"].to_numpy(), both["value_theirs"].to_numpy())
            for name in ("gain", "low", "high", "p"):
                line[f"{name} over {reference}"] = getattr(test, name)
        lines.append(line)
    for name in (f"p over {reference}" for reference in (*REFERENCES, SCRATCH)):
        known = [math.nan if line[name] is None else line[name] for line in lines]
        for line, p in zip(lines, holm(known), strict=True):
            line[name] = None if math.isnan(p) else p
    return sorted(lines, key=lambda line: -line["value"])


def told(line: dict[str, Any]) -> str:
    """A line of a Markdown table."""
    cells = [line["row"], str(line["seeds"])]
    cells.append(f"{line['value']:.4f} ± {line['high'] - line['value']:.4f}")
    for reference in (*REFERENCES, SCRATCH):
        gain, high, p = (line[f"{name} over {reference}"] for name in ("gain", "high", "p"))
        cells.append("" if gain is None else f"{gain:+.4f} ± {high - gain:.4f}, {p:.3f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    lines = []
    for world in sorted(path.name for path in USERS.iterdir()):
        for group in GROUPS:
            for model in MODELS:
                of_model = table_of(world, group, model)
                lines += of_model
                if of_model:
                    print(f"\n{world}, {group}, {model}", *map(told, of_model), sep="\n")
    table = pl.DataFrame(lines, infer_schema_length=None)
    table.write_csv(HERE / "results.csv", float_precision=5)


if __name__ == "__main__":
    main()
