"""Purchases: which product each shopper picks next, and how much it satisfies."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.dynamics import Climate
from crossrec.data.simulation.preferences import Preferences
from crossrec.data.simulation.products import Products
from crossrec.data.simulation.shoppers import Shoppers
from crossrec.errors import UserError

# Numbers of 1 to 5 stars among real ratings (Amazon 2018, Office Products and Industrial).
STARS = np.array([1429, 1029, 2462, 6941, 31166])


@dataclass(frozen=True)
class Events:
    """Purchases, shopper after shopper, ascending in time; one element a purchase.

    Attributes:
        user, item: rows of the shopper and of the product.
        time: unix seconds.
        satisfaction: what a rating shows, with its standard normal noise.
        stars: 1 to 5; 1 throughout in a domain without stars.
        climate: what moved everybody's choice at the time.
        preferences: the truth they were drawn from, with the cuts between stars.
    """

    user: NDArray[np.int64]
    item: NDArray[np.int64]
    time: NDArray[np.int64]
    satisfaction: NDArray[np.float64]
    stars: NDArray[np.int64]
    climate: Climate
    preferences: Preferences


def make_events(
    shoppers: Shoppers,
    products: Products,
    preferences: Preferences,
    climate: Climate,
    rng: np.random.Generator,
    has_stars: bool,
) -> Events:
    """Draw every purchase of a domain; nobody buys a product twice.

    Args:
        has_stars: otherwise the domain's feedback is implicit, and its preferences have no cuts.

    Raises:
        UserError: taste is so strong that a shopper has nothing left to choose.
    """
    user = np.repeat(np.arange(len(shoppers.counts)), shoppers.counts)
    item = _choose(shoppers, products, preferences, climate, rng)
    satisfaction = np.einsum(
        "ek,ek->e",
        preferences.user_ratings[user].astype(np.float64),
        preferences.item_ratings[item].astype(np.float64),
    )
    shown = satisfaction + rng.standard_normal(len(user))
    cuts = np.quantile(shown, np.cumsum(STARS)[:-1] / STARS.sum()) if has_stars else np.empty(0)
    stars = 1 + (shown[:, None] > cuts).sum(axis=1)
    return Events(user, item, shoppers.times, shown, stars, climate, preferences.with_cuts(cuts))


def _choose(
    shoppers: Shoppers,
    products: Products,
    preferences: Preferences,
    climate: Climate,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """(purchases,) rows of products, each drawn with weight exp(utility + climate - satiation)."""
    # Shoppers with most purchases first: those who make a k-th purchase are the first rows.
    order = np.argsort(-shoppers.counts, kind="stable")
    counts = shoppers.counts[order]
    first = (np.cumsum(shoppers.counts) - shoppers.counts)[order]

    utility = preferences.user_factors[order].astype(np.float64) @ preferences.item_factors.T
    utility -= utility.max(axis=1, keepdims=True)
    # Rounded, so that the last bits of a matrix product do not decide what is bought.
    weights = np.exp(utility.round(5)).astype(np.float32)
    satiation = _satiation(products, preferences)

    chosen = np.empty(len(shoppers.times), dtype=np.int64)
    for step in range(counts.max()):
        active = int(np.searchsorted(-counts, -step, side="left"))
        event = first[:active] + step
        now = weights[:active] * climate.factors[climate.slot[event]]
        heights = np.cumsum(now, axis=1, dtype=np.float32)
        total = heights[:, -1].astype(np.float64)
        if not total.all():
            raise UserError(
                "the marketplace's data.reader.strength is so high that a user has nothing left to "
                "choose: lower it"
            )
        drawn = rng.random(active) * total
        pick = (heights > drawn[:, None]).argmax(axis=1)
        chosen[event] = pick
        weights[:active] *= satiation[pick]
    return chosen


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
