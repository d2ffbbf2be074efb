import csv
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from crossrec.data.simulation.kit_files import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.kuairec_files import write_domain
from crossrec.data.simulation.ranks import ranks

World = dict[str, tuple]
KIT = read_domain_kit(KITS / "social.yaml", read_shared_kit(KITS / "shared.yaml"), {})


@pytest.fixture(scope="module")
def written(feeds: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("social")
    products, _, events = feeds["social"]
    write_domain(folder, KIT, products, events, np.random.default_rng(0))
    return folder


def test_watches_have_the_published_fields_and_are_those_of_the_events(
    feeds: World, written: Path
) -> None:
    products, _, events = feeds["social"]
    watches = pl.read_csv(written / "big_matrix.csv")
    assert watches.columns == [
        *("user_id", "video_id", "play_duration", "video_duration", "time", "date", "timestamp"),
        "watch_ratio",
    ]
    videos, users = ranks(products.asins), ranks(events.preferences.users)
    expected = sorted(
        (users[user], time, videos[item])
        for user, item, time in zip(
            events.user.tolist(), events.item.tolist(), events.time.tolist(), strict=True
        )
    )
    found = watches.select("user_id", pl.col("timestamp").cast(pl.Int64), "video_id")
    assert found.rows() == expected


def test_local_time_is_that_of_beijing(written: Path) -> None:
    watches = pl.read_csv(written / "big_matrix.csv")
    local = pl.col("time").str.to_datetime("%Y-%m-%d %H:%M:%S%.3f").dt.epoch("ms") / 1000
    assert watches.select((local - pl.col("timestamp") == 8 * 3600).all()).item()
    assert watches.select(
        (
            pl.col("time").str.head(10).str.replace_all("-", "") == pl.col("date").cast(pl.String)
        ).all()
    ).item()


def test_who_likes_a_video_watches_more_of_it(feeds: World, written: Path) -> None:
    events = feeds["social"][2]
    watches = pl.read_csv(written / "big_matrix.csv")
    ratio = watches["play_duration"] / watches["video_duration"]
    assert (ratio - watches["watch_ratio"]).abs().max() < 1e-12
    assert 0.7 < ratio.median() < 1.1
    order = np.lexsort((events.time, np.array(ranks(events.preferences.users))[events.user]))
    assert np.corrcoef(np.log(ratio.to_numpy()), events.satisfaction[order])[0, 1] > 0.99


def test_captions_and_categories_are_those_of_the_videos(feeds: World, written: Path) -> None:
    products = feeds["social"][0]
    with (written / "kuairec_caption_category.csv").open(encoding="utf-8", newline="") as file:
        captions = list(csv.DictReader(file))
    with (written / "item_categories.csv").open(encoding="utf-8", newline="") as file:
        tags = list(csv.DictReader(file))
    assert [row["video_id"] for row in captions] == [str(number) for number in range(600)]
    assert list(tags[0]) == ["video_id", "feat"]
    assert list(captions[0]) == [
        *("video_id", "manual_cover_text", "caption", "topic_tag"),
        *("first_level_category_id", "first_level_category_name"),
        *("second_level_category_id", "second_level_category_name"),
        *("third_level_category_id", "third_level_category_name"),
    ]
    numbers: dict[str, str] = {}
    for item, video in enumerate(ranks(products.asins)):
        row, text = captions[video], products.texts[item]
        assert row["caption"] == text.title
        assert row["manual_cover_text"] == text.description
        assert row["topic_tag"] == f"[{','.join(text.highlights)}]"
        assert row["first_level_category_name"] == text.shelf
        assert row["second_level_category_name"] == text.type
        assert row["third_level_category_name"] == "UNKNOWN"
        assert tags[video]["feat"] == f"[{row['first_level_category_id']}]"
        for level in ("first", "second"):
            name, number = (row[f"{level}_level_category_{what}"] for what in ("name", "id"))
            assert numbers.setdefault(name, number) == number
    assert len(set(numbers.values())) == len(numbers) == 10 + 50
