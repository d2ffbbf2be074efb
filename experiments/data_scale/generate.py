"""Write a pair of categories in the shape of Amazon Reviews 2023, as large as you like.

    python generate.py FOLDER N_REVIEWS

writes Home_and_Kitchen.jsonl.gz and Electronics.jsonl.gz of N_REVIEWS lines each, and their
metadata. Users, items and words are random; their numbers per review, the skew of both, and the
bytes of a line are those of the real files (Home and Kitchen: 67.4 million reviews of 23.2 million
users on 3.7 million items; Electronics: 43.9, 18.3 and 1.6 million).
"""

import gzip
import sys
from pathlib import Path

import numpy as np
import polars as pl

BLOCK = 500_000
CATEGORIES = {
    # name: (users and items per review, the first user as a share of them, the first item)
    "Home_and_Kitchen": (0.344, 0.055, 0.0, 0),
    "Electronics": (0.417, 0.036, 0.6, 1 << 40),  # some of its users are users of the other, too
}
WORDS = 40_000
LETTERS = np.frombuffer(b"etaoinshrdlucmfwypvbgkjqxz", dtype="S1")


def salad(rng: np.random.Generator, n_words: int) -> str:
    """Running text of made-up words whose frequencies follow Zipf's law."""
    lengths = 1 + rng.poisson(3.5, size=WORDS)
    letters = rng.choice(LETTERS, size=int(lengths.sum()), p=np.linspace(2, 0.1, 26) / 27.3)
    words = np.split(letters, np.cumsum(lengths)[:-1])
    known = np.array([b"".join(word).decode() for word in words])
    ranks = np.minimum(rng.zipf(1.3, size=n_words), WORDS) - 1
    return " ".join(known[ranks])


def skewed(rng: np.random.Generator, n: int, size: int, power: float) -> np.ndarray:
    """(size,) numbers below n; small ones are frequent."""
    return np.minimum((n * rng.random(size) ** power).astype(np.int64), n - 1)


def code(numbers: np.ndarray, prefix: str, digits: int) -> pl.Series:
    """Identifiers in base 32 that do not come in the order of their numbers."""
    mixed = (numbers.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)) >> np.uint64(4)
    alphabet = np.frombuffer(b"0123456789ABCDEFGHIJKLMNOPQRSTUV", dtype=np.uint8)
    places = np.arange(min(digits, 12), dtype=np.uint64) * np.uint64(5)
    text = alphabet[(mixed[:, None] >> places) & np.uint64(31)]
    text = np.concatenate([text, np.tile(text, (1, 2))], axis=1)[:, :digits]
    ids = np.ascontiguousarray(text).view(f"S{digits}").ravel().astype(f"U{digits}")
    return prefix + pl.Series(ids)


def write(folder: Path, name: str, n_reviews: int) -> None:
    """One category: reviews and metadata."""
    users_per_review, items_per_review, first_user, first_item = CATEGORIES[name]
    rng = np.random.default_rng(len(name))
    text = salad(rng, 2_000_000)
    n_users, n_items = int(users_per_review * n_reviews), int(items_per_review * n_reviews)
    offset = int(first_user * n_users)

    def some(n: int, mean: float) -> list[str]:
        lengths = np.maximum(rng.lognormal(np.log(mean) - 0.5, 1.0, size=n), 3).astype(int)
        starts = rng.integers(len(text) - 20_000, size=n)
        ends = starts + np.minimum(lengths, 15_000)
        return [text[a:b] for a, b in zip(starts.tolist(), ends.tolist(), strict=True)]

    with gzip.open(folder / f"{name}.jsonl.gz", "wb", compresslevel=1) as file:
        for start in range(0, n_reviews, BLOCK):
            n = min(BLOCK, n_reviews - start)
            asins = code(skewed(rng, n_items, n, 3.0) + first_item, "B0", 8)
            block = pl.DataFrame(
                {
                    "rating": rng.choice([1.0, 2.0, 3.0, 4.0, 5.0], size=n),
                    "title": some(n, 22),
                    "text": some(n, 190),
                    "images": pl.Series([[]] * n, dtype=pl.List(pl.String)),
                    "asin": asins,
                    "parent_asin": asins,
                    "user_id": code(skewed(rng, n_users, n, 1.5) + offset, "A", 27),
                    "timestamp": rng.integers(1_300_000_000_000, 1_690_000_000_000, size=n),
                    "helpful_vote": rng.integers(3, size=n),
                    "verified_purchase": rng.random(n) < 0.9,
                }
            )
            file.write(block.write_ndjson().encode())
    with gzip.open(folder / f"meta_{name}.jsonl.gz", "wb", compresslevel=1) as file:
        for start in range(0, n_items, BLOCK):
            n = min(BLOCK, n_items - start)
            block = pl.DataFrame(
                {
                    "main_category": [name] * n,
                    "title": some(n, 90),
                    "features": [[part] for part in some(n, 200)],
                    "description": [[part] for part in some(n, 300)],
                    "store": some(n, 10),
                    "categories": [[name, part] for part in some(n, 12)],
                    "parent_asin": code(np.arange(start, start + n) + first_item, "B0", 8),
                }
            )
            file.write(block.write_ndjson().encode())


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    for category in CATEGORIES:
        write(folder, category, int(sys.argv[2]))
