"""Raw files in the format of Amazon Reviews 2023: reviews and metadata, JSON lines, gzip."""

import gzip
import json
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from crossrec.data.simulation.events import Events
from crossrec.data.simulation.kits import DomainKit, SharedKit
from crossrec.data.simulation.products import Products


def write_lines(path: Path, records: Iterable[dict[str, object]]) -> None:
    """Write JSON lines, gzipped without a time stamp: the same records give the same bytes."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    with path.open("wb") as file, gzip.GzipFile("", "wb", 4, file, mtime=0) as packed:
        packed.write(text.encode())


def write_domain(
    folder: Path,
    shared: SharedKit,
    kit: DomainKit,
    products: Products,
    events: Events,
    rng: np.random.Generator,
) -> None:
    """Write `DOMAIN.jsonl.gz` and `meta_DOMAIN.jsonl.gz`."""
    write_lines(folder / f"{kit.name}.jsonl.gz", _reviews(shared, products, events, rng))
    number = np.bincount(events.item, minlength=len(products.asins))
    total = np.bincount(events.item, weights=events.stars, minlength=len(products.asins))
    write_lines(
        folder / f"meta_{kit.name}.jsonl.gz",
        (
            _metadata(kit, products, item, count, stars)
            for item, (count, stars) in enumerate(zip(number.tolist(), total.tolist(), strict=True))
        ),
    )


def _metadata(
    kit: DomainKit, products: Products, item: int, count: int, stars: float
) -> dict[str, object]:
    """One product; `stars` is the sum over its `count` ratings."""
    text, names = products.texts[item], products.names[item]
    return {
        "main_category": kit.category,
        "title": text.title,
        "average_rating": round(stars / count, 1) if count else None,
        "rating_number": count,
        "features": text.highlights,
        "description": [text.description],
        "price": text.price,
        "images": [],
        "videos": [],
        "store": names["brand"],
        "categories": [kit.category, text.shelf, text.type],
        "details": {"Brand": names["brand"], "Color": names["color"], "Size": text.size},
        "parent_asin": products.asins[item],
        "bought_together": None,
    }


def _reviews(
    kit: SharedKit, products: Products, events: Events, rng: np.random.Generator
) -> Iterable[dict[str, object]]:
    """One record a purchase, by time; the words a review dwells on are those that moved it."""
    n = len(events.user)
    taste = events.preferences.user_factors[events.user[:, None], products.words[events.item]]
    liked, disliked = taste.argmax(axis=1).tolist(), taste.argmin(axis=1).tolist()
    phrases = [_phrases(kit, names) for names in products.names]
    pick = rng.random(n).tolist()
    helpful = rng.geometric(0.7, size=n) - 1
    verified = rng.random(n) < 0.92
    milliseconds = events.time * 1000 + rng.integers(1000, size=n)
    for row in np.lexsort((events.user, events.time)).tolist():
        stars, item = int(events.stars[row]), int(events.item[row])
        templates = kit.reviews[stars]
        title, text = templates[int(pick[row] * len(templates))]
        words = {
            "type": products.names[item]["type"].lower(),
            "brand": products.names[item]["brand"],
            "liked": phrases[item][liked[row]],
            "disliked": phrases[item][disliked[row]],
        }
        yield {
            "rating": float(stars),
            "title": title.format(**words),
            "text": text.format(**words),
            "images": [],
            "asin": products.asins[item],
            "parent_asin": products.asins[item],
            "user_id": events.preferences.users[events.user[row]],
            "timestamp": int(milliseconds[row]),
            "helpful_vote": int(helpful[row]),
            "verified_purchase": bool(verified[row]),
        }


def _phrases(kit: SharedKit, names: dict[str, str]) -> list[str]:
    """How a review calls each facet of a product, in the order of `Products.words`."""
    return [
        kit.phrases[facet].format(value if facet == "brand" else value.lower())
        for facet, value in names.items()
    ]
