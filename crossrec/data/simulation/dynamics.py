"""Times: what is more or less chosen by everybody, depending on when.

In a shop a type of product has a season. In news and social media products come and go: a product
can be chosen only after its publication, its weight halves again and again from then on, and at
times a type of product is hot.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.kits import DomainKit, Life
from crossrec.data.simulation.streams import stream

START = 1_577_836_800  # 2020-01-01 00:00 UTC, unix seconds
DAYS = 1096  # three years, one of them a leap year
HOUR, DAY = 3_600, 86_400
SEASON = 0.35  # log-weight of a type in the month of its peak; minus as much half a year later
# Of all products so many are there when the domain opens, the archive; nobody chooses more than
# that (see `shoppers`), so that there always is something left to choose.
ARCHIVE = 0.25
FAINTEST = 1e-12  # of its first weight: an old product never becomes impossible
SLOTS = 12  # in a half-life: the weight of a product that comes and goes changes so often


@dataclass(frozen=True)
class Climate:
    """What moves everybody's choice at a time.

    Attributes:
        factors: (slots, items) float32, what a product's weight is multiplied with in a slot of
            time; 0 before the product is published.
        slot: (purchases,) row of `factors` at each purchase.
    """

    factors: NDArray[np.float32]
    slot: NDArray[np.int64]


@dataclass(frozen=True)
class HotTopics:
    """When types of product are hot; one element a spell.

    Attributes:
        type: (spells,) number of the type in the kit.
        begin, end: (spells,) unix seconds, the end not included.
    """

    type: NDArray[np.int64]
    begin: NDArray[np.int64]
    end: NDArray[np.int64]


def opening(kit: DomainKit) -> int:
    """When the domain opens, unix seconds."""
    return START + int(kit.market.opens * DAYS) * DAY


def publication_times(kit: DomainKit, seed: int) -> NDArray[np.int64]:
    """(items,) unix seconds, evenly spread; zeros where products do not come and go."""
    n = kit.market.items
    if kit.life is None:
        return np.zeros(n, dtype=np.int64)
    rng = stream(seed, kit.name, "publication")
    opens, closes = opening(kit), START + DAYS * DAY
    begins = opens - (closes - opens) * ARCHIVE / (1 - ARCHIVE)
    moments = begins + (closes - begins) * (np.arange(n) + rng.random(n)) / n
    return rng.permutation(moments.astype(np.int64))


def hot_topics(kit: DomainKit, life: Life, seed: int) -> HotTopics:
    """Spells that begin at any time, of types drawn without regard to each other."""
    rng = stream(seed, kit.name, "hot topics")
    opens, lasts = opening(kit), int(life.hot_days * DAY)
    from_, to = opens - lasts, START + DAYS * DAY
    n = rng.poisson(life.hot_topics * (to - from_) / lasts)
    begin = rng.integers(from_, to, size=n)
    return HotTopics(rng.integers(len(kit.types), size=n), begin, begin + lasts)


def make_climate(
    kit: DomainKit,
    kinds: NDArray[np.int64],
    published: NDArray[np.int64],
    times: NDArray[np.int64],
    seed: int,
) -> Climate:
    """The factors of a domain by month; where products come and go, by short slots of time.

    Args:
        kinds: (items,) number of each product's type.
        published: (items,) see `publication_times`.
        times: (purchases,) unix seconds.
    """
    if kit.life is None:
        month = times.astype("datetime64[s]").astype("datetime64[M]").astype(np.int64) % 12
        peak = np.array([kind.peak or 0 for kind in kit.types])[kinds]
        return Climate(_season(peak), month)
    opens, lasts = opening(kit), int(kit.life.half_life * HOUR / SLOTS)
    slot = (times - opens) // lasts
    begins = opens + lasts * np.arange(slot.max() + 1)[:, None]
    ages = (begins - published) / (lasts * SLOTS)  # in half-lives
    factors = np.where(ages >= 0, np.exp2(-ages.clip(0)).clip(FAINTEST), 0.0)
    topics = hot_topics(kit, kit.life, seed)
    hot = np.zeros((len(kit.types), len(begins)), dtype=bool)
    np.logical_or.at(hot, topics.type, ((topics.begin <= begins) & (begins < topics.end)).T)
    factors *= np.where(hot.T[:, kinds], math.exp(kit.life.heat), 1.0)
    return Climate(factors.astype(np.float32), slot)


def _season(peak: NDArray[np.int64]) -> NDArray[np.float32]:
    """(12, items) factor of an item's weight in each month, a cosine around the peak (0: none)."""
    months = np.arange(1, 13)[:, None]
    wave = SEASON * np.cos(2 * np.pi * (months - peak) / 12)
    return np.exp(np.where(peak > 0, wave, 0.0)).astype(np.float32)
