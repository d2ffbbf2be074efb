"""Write a pair of domains as partitioned Parquet, as data=tables reads it, as large as you like.

    PYTHONPATH=experiments/data_scale python raw.py FOLDER N_EVENTS

writes Home_and_Kitchen and Electronics of N_EVENTS rows each, with as many users and items to an
event as ../generate.py, but users as skewed as items, so that a 5-core is left. What a preparation
has to get right is in them on purpose: rows without a user, events that repeat (the same, at
another time, or with another review only), and times in milliseconds that are whole days, as many
real sets have them, so that the events of a user often tie.
"""

import sys
from pathlib import Path

import numpy as np
import polars as pl
from generate import CATEGORIES, code, salad, skewed

BLOCK = 250_000
DAY = 86_400_000
SHARE_REPEATED, SHARE_UNNAMED = 0.03, 0.002


def texts(rng: np.random.Generator, text: str, n: int, mean: float) -> list[str]:
    """n pieces of a text, of `mean` characters on average."""
    starts = rng.integers(len(text) - 1000, size=n)
    ends = starts + np.minimum(rng.exponential(mean, size=n).astype(int) + 1, 1000)
    return [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]


def changed(rng: np.random.Generator, events: pl.DataFrame) -> pl.DataFrame:
    """The events, a third of them at another time, another third with another review."""
    kind = pl.Series(rng.integers(3, size=len(events)))
    days = pl.Series(rng.integers(-9, 10, size=len(events)))
    return events.with_columns(
        pl.col("timestamp") + pl.when(kind == 0).then(days * DAY).otherwise(0),
        pl.when(kind == 1).then("review" + pl.lit(" again")).otherwise("review").alias("review"),
    )


def write(folder: Path, domain: int, name: str, n_events: int) -> None:
    """One domain: interactions/ and items/, in parts of up to BLOCK rows."""
    users_per_event, items_per_event = CATEGORIES[name][:2]
    rng = np.random.default_rng(domain)
    text = salad(rng, 200_000)
    n_users, n_items = int(users_per_event * n_events), int(items_per_event * n_events)
    for table in ("interactions", "items"):
        (folder / table).mkdir(parents=True)
    for part, start in enumerate(range(0, n_events, BLOCK)):
        n = min(BLOCK, n_events - start)
        users = skewed(rng, n_users, n, 3.0)
        days = 15_000 + users * 7 % 4000 + rng.integers(40, size=n)
        users += np.where(users % 5 < 2, 0, (domain + 1) << 40)  # two fifths are in both domains
        named = pl.Series(rng.random(n) >= SHARE_UNNAMED)
        block = pl.DataFrame(
            {
                "user_id": pl.select(pl.when(named).then(code(users, "A", 27))).to_series(),
                "item_id": code(skewed(rng, n_items, n, 3.0), f"B{domain}", 8),
                "rating": rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], size=n),
                "timestamp": days * DAY,
                "review": texts(rng, text, n, 190),
            }
        )
        again = block.sample(fraction=SHARE_REPEATED, seed=part)
        block = pl.concat([block[len(again) :], changed(rng, again)])
        block.write_parquet(folder / "interactions" / f"part-{part:05}.parquet")
    for part, start in enumerate(range(0, n_items, BLOCK)):
        n = min(BLOCK, n_items - start)
        block = pl.DataFrame(
            {
                "item_id": code(np.arange(start, start + n), f"B{domain}", 8),
                "title": texts(rng, text, n, 90),
                "categories": texts(rng, text, n, 12),
            }
        )
        block.write_parquet(folder / "items" / f"part-{part:05}.parquet")


if __name__ == "__main__":
    for number, category in enumerate(CATEGORIES):
        write(Path(sys.argv[1]) / category, number, category, int(sys.argv[2]))
