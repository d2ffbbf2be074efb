"""How like the real thing is the marketplace? Its shape beside that of real data sets.

    python -m crossrec.data.simulation.calibration REAL_FOLDER RESULTS.csv

REAL_FOLDER holds data sets as folders of domains, each with interactions.parquet and
items.parquet. The two domains of the marketplace are measured as they are and after dropping the
shoppers with fewer than five purchases, as the real sets have done.
"""

import csv
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, RATING, TIMESTAMP, TITLE, USER
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.data.statistics.distributions import gini
from crossrec.errors import UserError

RELATEDNESS, SEED, STRENGTH = 0.7, 0, 2.0  # as in conf/data/marketplace.yaml
DAY = 86_400


def shape(interactions: pl.DataFrame, items: pl.DataFrame) -> dict[str, float | None]:
    """Statistics of one domain; None where the data have no ratings, times or titles."""
    by_user = interactions.group_by(USER).len()["len"].to_numpy().astype(np.int64)
    by_item = interactions.group_by(ITEM).len()["len"].to_numpy().astype(np.int64)
    n = len(interactions)
    top = np.sort(by_item)[::-1][: max(1, len(by_item) // 100)]
    facts: dict[str, float | None] = {
        "users": len(by_user),
        "items": len(by_item),
        "interactions": n,
        "density": n / len(by_user) / len(by_item),
        "user_gini": gini(by_user),
        "item_gini": gini(by_item),
        "top_1%_items_share": float(top.sum() / n),
    }
    for name, counts in (("user", by_user), ("item", by_item)):
        facts[f"{name}_mean"] = float(counts.mean())
        for quantile in (50, 90, 99):
            facts[f"{name}_p{quantile}"] = float(np.percentile(counts, quantile))
    day = pl.col(TIMESTAMP) // DAY
    again = interactions.drop_nulls(TIMESTAMP).sort(USER, TIMESTAMP)
    same_day = again.select((day == day.shift(1)).filter(pl.col(USER) == pl.col(USER).shift(1)))
    facts["same_day_as_previous"] = _mean(same_day.to_series())
    ratings = interactions[RATING].drop_nulls()
    for stars in range(1, 6):
        facts[f"stars_{stars}"] = _mean(ratings.round() == stars)
    words = items[TITLE].drop_nulls().str.split(" ").list.len().to_numpy()
    for quantile in (10, 50, 90):
        facts[f"title_words_p{quantile}"] = (
            float(np.percentile(words, quantile)) if len(words) else None
        )
    return facts


def overlap(first: pl.DataFrame, second: pl.DataFrame) -> float:
    """Share of the second domain's users who are in the first too."""
    users = second[USER].unique()
    return float(users.is_in(first[USER].unique().implode()).to_numpy().mean())


def _mean(values: pl.Series) -> float | None:
    return float(values.to_numpy().mean()) if len(values) else None


def _five_or_more(interactions: pl.DataFrame) -> pl.DataFrame:
    return interactions.filter(pl.len().over(USER) >= 5)


def compare(real: Path) -> list[dict[str, object]]:
    """One row a domain, the simulated ones first."""
    if not real.is_dir():
        raise UserError(f"no folder of real data sets at {real}")
    rows: list[dict[str, object]] = []
    simulated = {}
    with tempfile.TemporaryDirectory() as folder:
        market = Marketplace(folder, RELATEDNESS, SEED, STRENGTH)
        for domain in ("home", "electronics"):
            raw = market.read(domain)
            simulated[domain] = raw.interactions.collect()
            items = raw.items.collect()
            rows.append({"domain": f"marketplace/{domain}", **shape(simulated[domain], items)})
            kept = _five_or_more(simulated[domain])
            rows.append({"domain": f"marketplace/{domain} (5 or more)", **shape(kept, items)})
    rows[2]["share_of_users_in_source"] = overlap(simulated["home"], simulated["electronics"])
    interactions = {}
    for path in sorted(real.glob("*/*/interactions.parquet")):
        name = f"{path.parts[-3]}/{path.parts[-2]}"
        interactions[name] = pl.read_parquet(path)
        items = pl.read_parquet(path.parent / "items.parquet")
        rows.append({"domain": name, **shape(interactions[name], items)})
    for source, target in PAIRS:
        if source in interactions and target in interactions:
            row = next(row for row in rows if row["domain"] == target)
            row["share_of_users_in_source"] = overlap(interactions[source], interactions[target])
    return rows


PAIRS = (
    ("amazon_home_electronics/home_kitchen", "amazon_home_electronics/electronics"),
    ("amazon_grocery_home_kitchen/grocery", "amazon_grocery_home_kitchen/home_kitchen"),
    ("amazon_beauty_sports_toys/beauty", "amazon_beauty_sports_toys/toys"),
    ("amazon_office_industrial/industrial", "amazon_office_industrial/office"),
)


def write(rows: list[dict[str, object]], path: Path) -> None:
    """Write the table, tidy: domain, statistic, value."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(("domain", "statistic", "value"))
        for row in rows:
            for statistic, value in row.items():
                if statistic != "domain" and value is not None:
                    table.writerow((row["domain"], statistic, f"{value:.6g}"))


if __name__ == "__main__":
    write(compare(Path(sys.argv[1])), Path(sys.argv[2]))
