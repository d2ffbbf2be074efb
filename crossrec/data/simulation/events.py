"""Purchases: which product each shopper picks next, and how many stars it gets."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.preferences import Preferences
from crossrec.data.simulation.products import Products
from crossrec.data.simulation.shoppers import Shoppers

SEASON = 0.35  # log-weight of a type in the month of its peak; minus as much half a year later
# Numbers of 1 to 5 stars among real ratings (Amazon 2018, Office Products and Industrial).
STARS = np.array([1429, 1029, 2462, 6941, 31166])


@dataclass(frozen=True)
class Events:
    """Purchases, shopper after shopper, ascending in time; one element a purchase.

    Attributes:
        user, item: rows of the shopper and of the product.
        time: unix seconds.
        stars: 1 to 5.
        preferences: the truth they were drawn from, with the cuts between stars.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]
    stars: NDArray[np.int64]
    preferences: Preferences


def make_events(
    shoppers: Shoppers, products: Products, preferences: Preferences, rng: np.random.Generator
) -> Events:
    """Draw every purchase of a domain; nobody buys a product twice."""
    user = np.repeat(np.arange(len(shoppers.counts)), shoppers.counts)
    item = _choose(shoppers, products, preferences, rng)
    satisfaction = np.einsum(
        "ek,ek->e",
        preferences.user_ratings[user].astype(np.float64),
        preferences.item_ratings[item].astype(np.float64),
    )
    shown = satisfaction + rng.standard_normal(len(user))
    cuts = np.quantile(shown, np.cumsum(STARS)[:-1] / STARS.sum())
    stars = 1 + (shown[:, None] > cuts).sum(axis=1)
    return Events(user, item, shoppers.times, stars, preferences.with_cuts(cuts))


def _choose(
    shoppers: Shoppers, products: Products, preferences: Preferences, rng: np.random.Generator
) -> NDArray[np.int64]:
    """(purchases,) rows of products, each drawn with weight exp(utility + season - satiation)."""
    # Shoppers with most purchases first: those who make a k-th purchase are the first rows.
    order = np.argsort(-shoppers.counts, kind="stable")
    counts = shoppers.counts[order]
    first = (np.cumsum(shoppers.counts) - shoppers.counts)[order]
    month = shoppers.times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12

    utility = preferences.user_factors[order].astype(np.float64) @ preferences.item_factors.T
    utility -= utility.max(axis=1, keepdims=True)
    # Rounded, so that the last bits of a matrix product do not decide what is bought.
    weights = np.exp(utility.round(5)).astype(np.float32)
    season = _season(products.peak)
    satiation = _satiation(products, preferences)

    chosen = np.empty(len(shoppers.times), dtype=np.int64)
    for step in range(counts.max()):
        active = int(np.searchsorted(-counts, -step, side="left"))
        event = first[:active] + step
        heights = np.cumsum(weights[:active] * season[month[event]], axis=1, dtype=np.float32)
        drawn = rng.random(active) * heights[:, -1].astype(np.float64)
        pick = (heights > drawn[:, None]).argmax(axis=1)
        chosen[event] = pick
        weights[:active] *= satiation[pick]
    return chosen


def _season(peak: NDArray[np.int64]) -> NDArray[np.float32]:
    """(12, items) factor of an item's weight in each month, a cosine around the peak."""
    months = np.arange(1, 13)[:, None]
    wave = SEASON * np.cos(2 * np.pi * (months - peak) / 12)
    return np.exp(np.where(peak > 0, wave, 0.0)).astype(np.float32)


def _satiation(products: Products, preferences: Preferences) -> NDArray[np.float32]:
    """(items, items) factor of every item's weight once the item of the row was bought.

    Zero for the item itself. Who bought a kettle likes kettles more than others do, by about the
    variance of that taste (a Gaussian taste tilted by a choice moves by its variance), and wants
    another one less. The two cancel, so that "more of the same type" is no rule that could be
    learned in one domain and used in another: what is left to learn is which types, features and
    brands go together, and that differs between domains.
    """
    own = slice(products.shared.shape[1], -1)
    spread = preferences.user_factors[:, own].astype(np.float64).var(axis=0)
    wear = np.exp(-(products.own * spread) @ products.own.T)
    np.fill_diagonal(wear, 0.0)
    return wear.astype(np.float32)
