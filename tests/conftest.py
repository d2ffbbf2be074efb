"""Fixtures that many tests share."""

import os
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.pair import DomainPair, align
from crossrec.data.splits import leave_one_out

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real data sets that some tests read; they skip where it is absent."""
    folder = Path(os.environ.get("CROSSREC_REAL_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"real data absent: {folder} (set CROSSREC_REAL_DATA to run this test)")
    return folder


@pytest.fixture(scope="session")
def small_pair() -> DomainPair:
    """Sixty users, thirty items a domain: users like the items that are theirs modulo three."""
    generator = np.random.default_rng(0)
    rows: dict[str, list[tuple[str, str, float, int]]] = {"home": [], "tech": []}
    for user in range(60):
        for domain, n_events in (("home", 8), ("tech", int(generator.integers(1, 6)))):
            liked = generator.permutation(10)[:n_events] * 3 + user % 3
            times = np.sort(generator.choice(1000, n_events, replace=False))
            for item, time in zip(liked, times, strict=True):
                rows[domain].append(
                    (
                        f"u{user:02}",
                        f"{domain}{item:02}",
                        float(generator.integers(3, 6)),
                        int(time),
                    )
                )

    def table(domain: str) -> tuple[str, pl.DataFrame, pl.DataFrame]:
        events = pl.DataFrame(
            rows[domain], schema=[USER, ITEM, RATING, TIMESTAMP], orient="row"
        ).with_columns(pl.col(RATING).cast(pl.Float32), pl.lit(None).cast(pl.Int64).alias(POSITION))
        items = pl.DataFrame({ITEM: [f"{domain}{i:02}" for i in range(30)]}).with_columns(
            pl.lit(None).cast(pl.String).alias(column) for column in ITEM_COLUMNS[1:]
        )
        return domain, leave_one_out(events, seed=0), items

    return align(table("home"), table("tech"), "cut", TIMESTAMP)
