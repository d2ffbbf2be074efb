"""What a domain's tables hold, in plain numbers: sizes, ratings, time, histories, text."""

from dataclasses import asdict, dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from crossrec.data.columns import (
    AUDIO,
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    IMAGE,
    ITEM,
    KEYWORDS,
    POSITION,
    RATING,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.statistics.distributions import (
    Counts,
    Ratings,
    Spread,
    Times,
    gini,
    rating_spread,
    share,
    spread,
    times,
)

TEXT_COLUMNS = (TITLE, BRAND, CATEGORIES, FEATURES, DESCRIPTION, KEYWORDS)
MEDIA_COLUMNS = (IMAGE, AUDIO)
ANY = "any text"
"""The entry of `Profile.text` that stands for all text columns of an item together."""


@dataclass(frozen=True)
class Coverage:
    """Share of the catalog's items that have it, and of the interactions whose item has it."""

    items: float
    interactions: float


@dataclass(frozen=True)
class Text(Coverage):
    """A column of text: who has it, and the lengths in characters and in words of those."""

    characters: Spread
    words: Spread


@dataclass(frozen=True)
class Profile:
    """What a domain holds.

    Attributes:
        users, interactions: as they occur.
        items, active_items: in the catalog, and those with interactions.
        repeated: interactions beyond the first of a user with an item.
        density: share of the pairs of user and catalog item that have an interaction.
        ratings: histogram, mean, how many are missing.
        timestamps, positions: share of interactions that have one.
        times: None where no time is known.
        per_user, per_item: interactions of a user, and of an item that has any.
        item_gini: of the latter; 0 where all are the same, towards 1 where one has everything.
        popularity: (rank, interactions) of the first item, the last one and those between at
            ranks about sqrt(2) apart, the most popular first.
        text: by column, and `ANY` for all text of an item together.
        media: by column of references to images and sounds.
    """

    users: int
    items: int
    active_items: int
    interactions: int
    repeated: int
    density: float
    ratings: Ratings
    timestamps: float
    positions: float
    times: Times | None
    per_user: Spread
    per_item: Spread
    item_gini: float
    popularity: tuple[tuple[int, int], ...]
    text: dict[str, Text]
    media: dict[str, Coverage]

    def to_dict(self) -> dict[str, object]:
        """The profile as JSON can hold it."""
        return asdict(self)


def profile(interactions: pl.DataFrame, items: pl.DataFrame) -> Profile:
    """Describe a domain.

    Distinct ids and pairs are told by 64-bit hashes, so that no string is copied: of 10 million
    pairs two would be taken for one with a probability of 3e-6.

    Args:
        interactions: with USER, ITEM, RATING, TIMESTAMP and POSITION; ids are strings or integers.
        items: ITEM, once each, and the text and media columns; see `item_counts` for its ids.
    """
    n = len(interactions)
    per_user = event_counts(interactions[USER])["events"].to_numpy()
    per_item = event_counts(interactions[ITEM])["events"].to_numpy()
    pair = pl.col(USER).hash() * 0x9E3779B1 + pl.col(ITEM).hash()
    n_pairs = interactions.select(pair.n_unique()).item()
    in_catalog = item_counts(interactions, items)
    return Profile(
        users=len(per_user),
        items=len(items),
        active_items=len(per_item),
        interactions=n,
        repeated=n - n_pairs,
        density=share(n_pairs, len(per_user) * len(items)),
        ratings=rating_spread(interactions[RATING]),
        timestamps=share(n - interactions[TIMESTAMP].null_count(), n),
        positions=share(n - interactions[POSITION].null_count(), n),
        times=times(interactions[TIMESTAMP]),
        per_user=spread(per_user),
        per_item=spread(per_item),
        item_gini=gini(per_item),
        popularity=_popularity(per_item),
        text=_text(items, in_catalog),
        media={
            column: Coverage(*_covered(_has(items[column]), in_catalog)) for column in MEDIA_COLUMNS
        },
    )


def event_counts(ids: pl.Series) -> pl.DataFrame:
    """Columns id (the 64-bit hash of an id) and events (how often it occurs), a row an id."""
    return ids.hash().alias("id").value_counts(name="events").cast({"events": pl.Int64})


def item_counts(interactions: pl.DataFrame, items: pl.DataFrame) -> Counts:
    """(items,) interactions of each row of `items`.

    Both tables hold the same ids; or the interactions hold integers and the items strings: then
    an integer is the row of its item.
    """
    of_events, of_items = interactions[ITEM], items[ITEM]
    if of_events.dtype.is_integer() and not of_items.dtype.is_integer():
        return np.bincount(of_events.to_numpy(), minlength=len(items))
    rows = of_items.hash().alias("id").to_frame()
    counted = rows.join(event_counts(of_events), on="id", how="left", maintain_order="left")
    return counted["events"].fill_null(0).to_numpy()


def _popularity(per_item: Counts) -> tuple[tuple[int, int], ...]:
    falling = np.sort(per_item)[::-1]
    spaced = (2 ** np.arange(0, 31.5, 0.5)).astype(np.int64)
    ranks = np.unique(np.minimum(spaced, len(falling)))
    return tuple((rank, int(falling[rank - 1])) for rank in ranks.tolist() if rank)


def _text(items: pl.DataFrame, in_catalog: Counts) -> dict[str, Text]:
    lengths = {}
    for column in TEXT_COLUMNS:
        characters = items[column].str.len_chars().fill_null(0).to_numpy().astype(np.int64)
        words = items[column].str.count_matches(r"\S+").fill_null(0).to_numpy().astype(np.int64)
        lengths[column] = np.where(words > 0, characters, 0), words
    both = np.array(list(lengths.values())).sum(axis=0)
    lengths[ANY] = both[0], both[1]
    return {
        column: Text(
            *_covered(words > 0, in_catalog),
            characters=spread(characters[words > 0]),
            words=spread(words[words > 0]),
        )
        for column, (characters, words) in lengths.items()
    }


def _has(texts: pl.Series) -> NDArray[np.bool_]:
    return texts.str.contains(r"\S").fill_null(False).to_numpy()


def _covered(has: NDArray[np.bool_], in_catalog: Counts) -> tuple[float, float]:
    return share(has.sum(), len(has)), share(in_catalog[has].sum(), in_catalog.sum())
