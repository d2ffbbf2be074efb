from pathlib import Path

import polars as pl
import pytest

from crossrec.data.simulation import calibration
from crossrec.data.simulation.calibration import compare, overlap, shape, write
from crossrec.errors import UserError


def test_shape_by_hand() -> None:
    day = 86_400
    interactions = pl.DataFrame(
        {
            "user_id": ["a", "a", "a", "b"],
            "item_id": ["x", "y", "z", "x"],
            "rating": [5.0, 4.0, 5.0, 1.0],
            "timestamp": [0, 10, 3 * day, 3 * day],
        }
    )
    items = pl.DataFrame({"title": ["one two", "one two three four", None]})
    facts = shape(interactions, items)
    assert facts["density"] == 4 / 6
    assert facts["user_mean"] == 2
    assert facts["same_day_as_previous"] == 0.5
    assert facts["stars_5"] == 0.5
    assert facts["title_words_p50"] == 3
    assert overlap(interactions, interactions.filter(pl.col("user_id") == "b")) == 1


def test_nothing_is_made_up_where_a_set_has_no_ratings_or_times() -> None:
    interactions = pl.DataFrame(
        {"user_id": ["a"], "item_id": ["x"], "rating": [None], "timestamp": [None]},
        schema_overrides={"rating": pl.Float32, "timestamp": pl.Int64},
    )
    facts = shape(interactions, pl.DataFrame({"title": [None]}, schema={"title": pl.String}))
    assert facts["stars_5"] is facts["same_day_as_previous"] is facts["title_words_p50"] is None


def test_no_real_data(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no folder of real data sets"):
        compare(tmp_path / "absent")


def test_marketplace_is_shaped_like_real_data(real_data: Path, tmp_path: Path) -> None:
    rows = compare(real_data)
    simulated = [row for row in rows if row["domain"].startswith("marketplace/")]
    real = [row for row in rows if row not in simulated]
    assert len(simulated) == 4
    assert len(real) >= 8
    for statistic in ("item_gini", "top_1%_items_share", "user_p50", "item_p50", "stars_5"):
        values = [row[statistic] for row in real if row[statistic] is not None]
        for row in simulated:
            assert 0.5 * min(values) <= row[statistic] <= 1.5 * max(values), statistic
    write(rows, tmp_path / "results.csv")
    assert len(pl.read_csv(tmp_path / "results.csv")) > 20 * len(rows) * 0.7
    assert calibration.RELATEDNESS == 0.7
