"""The tables as ABXI's data has them: users in order of position, which counts over both domains.

    python experiments/abxi/prepare.py REAL_FOLDER/amazon_home_electronics OUTPUT [LEFT_OUT]

Timestamps have a day's resolution and would outrank the positions, so they are left out. Items have
their titles and categories, where the source has any. LEFT_OUT, 0 unless told: so many of each
user's last events over both domains of a pair are left out, too. With 1 what is test there is
validation here, which is how settings are chosen without test.
"""

import sys
from pathlib import Path

import polars as pl

PAIRS = (("grocery", "home_kitchen"), ("beauty", "electronics"))


def main(real: Path, output: Path, left_out: int) -> None:
    """Write OUTPUT/DOMAIN/interactions.parquet and items.parquet of each domain."""
    for pair in PAIRS:
        tables = [pl.read_parquet(real / domain / "interactions.parquet") for domain in pair]
        last = pl.concat([t.select("user_id", "position") for t in tables]).select(
            "user_id", pl.col("position").top_k(left_out + 1).min().over("user_id").alias("last")
        )
        for domain, table in zip(pair, tables, strict=True):
            kept = table.join(last.unique(), on="user_id", maintain_order="left")
            kept = kept.filter(pl.col("position") <= pl.col("last"))
            (output / domain).mkdir(parents=True, exist_ok=True)
            ours = kept.select("user_id", "item_id", "position")
            ours.write_parquet(output / domain / "interactions.parquet")
            items = pl.read_parquet(real / domain / "items.parquet")
            items.select("item_id", "title", "categories").write_parquet(
                output / domain / "items.parquet"
            )


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
