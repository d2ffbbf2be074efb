"""Shoppers: what they like, how lenient they are, how often and when they shop.

A taste is a vector over facet values. The part over the shared facets is drawn once a shopper and
is the same in every domain; the part over a domain's own facets is drawn anew in each. How often
and when somebody shops is drawn apart from all tastes and anew in each domain, so that at
relatedness 0 a shopper's history in one domain is independent of the one in another.
"""

from dataclasses import dataclass
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.dynamics import ARCHIVE, DAY, DAYS, START
from crossrec.data.simulation.kits import DomainKit, Market, SharedKit
from crossrec.data.simulation.streams import stream

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"

N_INTERESTS = 12
MEMBERSHIPS = 2  # interests that each type, feature and brand belongs to
TYPE, FEATURE, BRAND = 1.0, 0.5, 0.6  # weights of an interest's types, features and brands
SECOND = 0.6  # weight of the second lifestyle or interest, beside 1 of the first
FAVORITE = 0.9  # weight of a favorite value of one's own, beside a lifestyle's 1
SPREAD = 0.95  # sigma of the log-normal number of purchases
MOST = 120  # purchases of one shopper in one domain, and at most the share ARCHIVE of its items
SAME_TRIP = 0.35  # probability that a purchase belongs to the trip of the one before


@dataclass(frozen=True)
class Pool:
    """What the shoppers whom domains share carry with them; rows are shoppers.

    Attributes:
        tastes: (shoppers, shared values).
        leniency: (shoppers,) standard normal, moves ratings only.
    """

    tastes: NDArray[np.float64]
    leniency: NDArray[np.float64]

    def joined(self, others: "Pool") -> "Pool":
        """These shoppers, and others after them."""
        return Pool(
            np.concatenate([self.tastes, others.tastes]),
            np.concatenate([self.leniency, others.leniency]),
        )


@dataclass(frozen=True)
class Shoppers:
    """The shoppers of one domain; rows are shoppers, those of the pool first.

    Attributes:
        ids: identifiers; a shopper has the same one in every domain.
        shared: (shoppers, shared values) taste that holds in every domain.
        own: (shoppers, own values) taste that holds in this domain only.
        shared_leniency, own_leniency: (shoppers,) the same two parts of leniency.
        counts: (shoppers,) number of purchases.
        times: (purchases,) unix seconds, shopper after shopper, ascending within each.
    """

    ids: list[str]
    shared: NDArray[np.float64]
    own: NDArray[np.float64]
    shared_leniency: NDArray[np.float64]
    own_leniency: NDArray[np.float64]
    counts: NDArray[np.int64]
    times: NDArray[np.int64]


def make_pool(kit: SharedKit, n: int, rng: np.random.Generator) -> Pool:
    """Draw n shoppers: two lifestyles each, and one favorite of their own in each facet."""
    profiles = np.array([np.isin(kit.values, style) for style in kit.lifestyles.values()])
    tastes = _mixture(profiles.astype(np.float64), n, rng)
    for facet, values in kit.facets.items():
        favorite = kit.offsets[facet] + rng.integers(len(values), size=n)
        tastes[np.arange(n), favorite] += FAVORITE
    weights = [kit.weights[facet] for facet, values in kit.facets.items() for _ in values]
    return Pool(tastes * np.array(weights), rng.standard_normal(n))


def make_shoppers(shared: SharedKit, kit: DomainKit, pool: Pool, seed: int) -> Shoppers:
    """A domain's shoppers: the first of the pool, and others known to this domain only."""
    market = kit.market
    fresh = make_pool(
        shared, market.users - market.shared_users, stream(seed, kit.name, "shoppers")
    )
    counts, times = _trips(market, stream(seed, kit.name, "trips"))
    return Shoppers(
        _ids(kit.name, market, seed),
        np.concatenate([pool.tastes[: market.shared_users], fresh.tastes]),
        _own_tastes(kit, seed),
        np.concatenate([pool.leniency[: market.shared_users], fresh.leniency]),
        stream(seed, kit.name, "leniency").standard_normal(market.users),
        counts,
        times,
    )


def _ids(domain: str, market: Market, seed: int) -> list[str]:
    """Identifiers that look like Amazon's and do not tell who is in several domains."""
    accounts = [f"{seed}/pool/{number}" for number in range(market.shared_users)]
    accounts += [f"{seed}/{domain}/{n}" for n in range(market.users - market.shared_users)]
    ids = []
    for account in accounts:
        number = int.from_bytes(blake2b(account.encode(), digest_size=16).digest(), "big")
        ids.append("A" + "".join(ALPHABET[number >> 5 * place & 31] for place in range(25)))
    return ids


def _mixture(
    profiles: NDArray[np.float64], n: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """(n, values): one profile, and another one with less weight."""
    first = rng.integers(len(profiles), size=n)
    second = (first + rng.integers(1, len(profiles), size=n)) % len(profiles)
    return profiles[first] + SECOND * profiles[second]


def _own_tastes(kit: DomainKit, seed: int) -> NDArray[np.float64]:
    """(users, own values): two of the domain's interests.

    An interest is a random set of types, features and brands, and each of these belongs to equally
    many interests. Interests follow neither shelves nor meanings, so what a domain's interests
    are can be learned in that domain only.
    """
    rng = stream(seed, kit.name, "interests")
    parts = []
    for words, weight in ((kit.types, TYPE), (kit.features, FEATURE), (kit.brands, BRAND)):
        part = np.zeros((N_INTERESTS, len(words)))
        for _ in range(MEMBERSHIPS):
            part[rng.permutation(len(words)) % N_INTERESTS, np.arange(len(words))] = weight
        parts.append(part)
    profiles = np.concatenate(parts, axis=1)
    return _mixture(profiles, kit.market.users, stream(seed, kit.name, "own tastes"))


def _trips(market: Market, rng: np.random.Generator) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Numbers of purchases (log-normal: a long tail) and their times, in shopping trips.

    A trip takes place at a uniformly drawn day and hour since the domain opened; its purchases
    follow each other within minutes.
    """
    median = market.events / np.exp(SPREAD**2 / 2)
    counts = np.floor(median * np.exp(SPREAD * rng.standard_normal(market.users)) + 0.5)
    counts = counts.clip(1, min(MOST, int(market.items * ARCHIVE))).astype(np.int64)
    owner = np.repeat(np.arange(market.users), counts)
    n = len(owner)
    begins = rng.random(n) >= SAME_TRIP
    begins[np.cumsum(counts) - counts] = True
    trip = np.cumsum(begins) - 1
    first_day = int(market.opens * DAYS)
    day = rng.integers(first_day, DAYS, size=n)
    second = rng.integers(7 * 3600, 22 * 3600, size=n)
    gap = np.cumsum(rng.integers(30, 900, size=n))
    start = np.flatnonzero(begins)
    since_start = gap - gap[start][trip]
    times = START + (day * DAY + second)[start][trip] + since_start
    return counts, times[np.lexsort((times, owner))]
