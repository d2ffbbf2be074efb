"""The tables as ABXI's data has them: users in order of position, which counts over both domains.

    python experiments/abxi/prepare.py REAL_FOLDER/amazon_home_electronics OUTPUT

Timestamps have a day's resolution and would outrank the positions, so they are left out.
"""

import sys
from pathlib import Path

import polars as pl

DOMAINS = ("grocery", "home_kitchen", "beauty", "electronics")


def main(real: Path, output: Path) -> None:
    """Write OUTPUT/DOMAIN/interactions.parquet of each domain."""
    for domain in DOMAINS:
        events = pl.read_parquet(real / domain / "interactions.parquet")
        (output / domain).mkdir(parents=True, exist_ok=True)
        ours = events.select("user_id", "item_id", "position")
        ours.write_parquet(output / domain / "interactions.parquet")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
