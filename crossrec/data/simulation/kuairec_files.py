"""Raw files in the format of KuaiRec (Gao et al., CIKM 2022): watches, categories and captions."""

import csv
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from crossrec.data.simulation.events import Events
from crossrec.data.simulation.kits import DomainKit
from crossrec.data.simulation.products import Products
from crossrec.data.simulation.ranks import ranks

BEIJING = 8 * 3_600  # seconds that the column `time` is ahead of `timestamp`
# A video is watched for WATCHED of its length, times exp(SPREAD * satisfaction) of mean 0.
WATCHED, SPREAD = 0.9, 0.5
SHORTEST, LONGEST = 5_000, 60_000  # milliseconds of a video
UNKNOWN = ("-124", "UNKNOWN")  # how KuaiRec says that a video has no third category
CAPTION_FIELDS = (
    *("video_id", "manual_cover_text", "caption", "topic_tag"),
    *(
        f"{level}_level_category_{what}"
        for level in ("first", "second", "third")
        for what in ("id", "name")
    ),
)


def write_domain(
    folder: Path, kit: DomainKit, products: Products, events: Events, rng: np.random.Generator
) -> None:
    """Write `big_matrix.csv`, `item_categories.csv` and `kuairec_caption_category.csv`.

    The matrix holds one watch a line, viewer after viewer and by time.
    """
    videos = ranks(products.asins)
    length = rng.integers(SHORTEST, LONGEST, size=len(videos))
    _watches(np.array(videos), length, events, rng).write_csv(folder / "big_matrix.csv")

    shelves = list(dict.fromkeys(kind.shelf for kind in kit.types))
    kinds = [kind.name for kind in kit.types]
    by_number = sorted(zip(videos, products.texts, strict=True), key=lambda pair: pair[0])
    tags = ((str(video), f"[{shelves.index(text.shelf)}]") for video, text in by_number)
    _write_csv(folder / "item_categories.csv", ("video_id", "feat"), tags)
    captions = (
        (
            *(str(video), text.description, text.title, f"[{','.join(text.highlights)}]"),
            *(str(shelves.index(text.shelf)), text.shelf),
            *(str(len(shelves) + kinds.index(text.type)), text.type),
            *UNKNOWN,
        )
        for video, text in by_number
    )
    _write_csv(folder / "kuairec_caption_category.csv", CAPTION_FIELDS, captions)


def _watches(
    videos: np.ndarray, length: np.ndarray, events: Events, rng: np.random.Generator
) -> pl.DataFrame:
    viewers = np.array(ranks(events.preferences.users))
    liking = events.satisfaction - events.satisfaction.mean()
    duration = length[events.item]
    played = np.rint(duration * WATCHED * np.exp(SPREAD * liking)).astype(np.int64)
    milliseconds = events.time * 1000 + rng.integers(1000, size=len(played))
    clock = pl.from_epoch(pl.col("ms") + BEIJING * 1000, "ms")
    return (
        pl.DataFrame(
            {
                "user_id": viewers[events.user],
                "video_id": videos[events.item],
                "play_duration": played,
                "video_duration": duration,
                "ms": milliseconds,
            }
        )
        .sort("user_id", "ms", "video_id")
        .select(
            "user_id",
            "video_id",
            "play_duration",
            "video_duration",
            clock.dt.strftime("%Y-%m-%d %H:%M:%S%.3f").alias("time"),
            clock.dt.strftime("%Y%m%d").cast(pl.Int64).alias("date"),
            (pl.col("ms") / 1000).alias("timestamp"),
            (pl.col("play_duration") / pl.col("video_duration")).alias("watch_ratio"),
        )
    )


def _write_csv(path: Path, header: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(header)
        table.writerows(rows)
