"""The Amazon folders hold what their SOURCE.md states, as profiles and matches count it."""

from functools import cache
from pathlib import Path

import polars as pl
import pytest

from crossrec.data.columns import ITEM, TIMESTAMP, TITLE, USER
from crossrec.data.sources.tables import Tables
from crossrec.data.statistics.matching import Match, match
from crossrec.data.statistics.profile import ANY, Profile, profile

HOME, ELECTRONICS, DENSE, GROCERY, BEAUTY = (
    f"amazon_home_electronics/{name}"
    for name in ("home_kitchen", "electronics", "electronics_dense", "grocery", "beauty")
)
MIXED_GROCERY, MIXED_HOME = (
    f"amazon_grocery_home_kitchen/{name}" for name in ("grocery", "home_kitchen")
)
CORE_BEAUTY, CORE_SPORTS, CORE_TOYS = (
    f"amazon_beauty_sports_toys/{name}" for name in ("beauty", "sports", "toys")
)
INDUSTRIAL, OFFICE = (f"amazon_office_industrial/{name}" for name in ("industrial", "office"))

# Interactions, users, items, items with title, all as SOURCE.md has them.
COUNTS = {
    HOME: (89_885, 7_144, 16_258, 15_756),
    ELECTRONICS: (63_800, 4_474, 14_188, 1_588),
    GROCERY: (83_663, 7_144, 11_837, 7_887),
    BEAUTY: (50_329, 4_474, 10_379, 3),
    DENSE: (204_934, 9_699, 7_679, 1_323),
    MIXED_GROCERY: (98_316, 14_870, 8_661, 8_661),
    MIXED_HOME: (337_811, 47_589, 27_637, 27_637),
    CORE_BEAUTY: (198_502, 22_363, 12_101, 12_100),  # of which all but three are keywords
    CORE_SPORTS: (296_337, 35_598, 18_357, 18_357),
    CORE_TOYS: (167_597, 19_412, 11_924, 11_924),
    INDUSTRIAL: (21_737, 3_285, 3_541, 3_541),
    OFFICE: (21_290, 3_231, 3_317, 3_317),
}
SHARED_USERS = {
    (HOME, ELECTRONICS): 1_994,
    (HOME, GROCERY): 7_144,
    (BEAUTY, ELECTRONICS): 4_474,
    (HOME, DENSE): 1_998,
    (ELECTRONICS, DENSE): 1_581,
    (MIXED_GROCERY, MIXED_HOME): 9_398,
    (CORE_BEAUTY, CORE_SPORTS): 1_625,
    (CORE_BEAUTY, CORE_TOYS): 2_073,
    (CORE_SPORTS, CORE_TOYS): 1_734,
    (INDUSTRIAL, OFFICE): 140,
}


@cache
def tables(folder: Path, domain: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    raw = Tables(folder).read(domain)
    return raw.interactions.collect(), raw.items.collect()


@cache
def profiled(folder: Path, domain: str) -> Profile:
    return profile(*tables(folder, domain))


def matched(folder: Path, source: str, target: str) -> Match:
    (source_events, source_items), (target_events, target_items) = (
        tables(folder, domain) for domain in (source, target)
    )
    return match(source_events, target_events, source_items, target_items)


def users(folder: Path, *domains: str) -> set[str]:
    """Users of all of the domains."""
    return set.intersection(*(set(tables(folder, domain)[0][USER]) for domain in domains))


@pytest.mark.parametrize("domain", COUNTS)
def test_sizes(real_data: Path, domain: str) -> None:
    found = profiled(real_data, domain)
    titled = round(found.text["title"].items * found.items)
    assert (found.interactions, found.users, found.items, titled) == COUNTS[domain]
    assert found.active_items == found.items


@pytest.mark.parametrize(("source", "target"), SHARED_USERS)
def test_overlaps(real_data: Path, source: str, target: str) -> None:
    assert matched(real_data, source, target).users.count == SHARED_USERS[source, target]


def test_home_and_electronics(real_data: Path) -> None:
    home, electronics, beauty = (profiled(real_data, d) for d in (HOME, ELECTRONICS, BEAUTY))
    text = electronics.text
    assert round(text[ANY].items * electronics.items) == 1_912
    assert round(text["title"].interactions * electronics.interactions) == 13_516
    assert [
        round(100 * coverage.interactions, 1)
        for coverage in (home.text["title"], text["title"], text[ANY], beauty.text["keywords"])
    ] == [99.0, 21.2, 25.8, 93.4]
    assert round(beauty.text["keywords"].items * beauty.items) == 7_901
    assert electronics.times is not None
    assert (electronics.times.first[:4], electronics.times.last) == ("2000", "2014-07-23")
    for domain in (HOME, ELECTRONICS, GROCERY, BEAUTY):
        found = profiled(real_data, domain)
        assert (found.repeated, found.ratings.known, found.timestamps) == (0, 0, 1.0)
        stamps = tables(real_data, domain)[0][TIMESTAMP]
        assert (stamps % 86_400 == 0).all()  # one-day resolution
    dense = profiled(real_data, DENSE)
    assert (dense.repeated, dense.times, dense.positions) == (0, None, 1.0)


def test_overlap_of_home_and_electronics(real_data: Path) -> None:
    found = matched(real_data, HOME, ELECTRONICS)
    assert found.items.count == 0
    assert found.source_history.quantiles["0"] >= 5
    assert matched(real_data, ELECTRONICS, HOME).source_history.quantiles["0"] >= 5
    assert len(users(real_data, HOME, ELECTRONICS, GROCERY, BEAUTY)) == 1_994
    either = users(real_data, HOME, ELECTRONICS) | users(real_data, HOME, DENSE)
    assert len(either) == 2_810
    events, items = tables(real_data, ELECTRONICS)
    titled = events.join(items.drop_nulls(TITLE), on=ITEM, how="semi")
    assert (len(titled), titled[USER].n_unique()) == (13_516, 3_853)
    assert len(set(titled[USER]) & users(real_data, HOME)) == 1_732


def test_overlap_of_grocery_and_home(real_data: Path) -> None:
    found = matched(real_data, MIXED_GROCERY, MIXED_HOME).users
    only_grocery, only_home = 37_281, 265_817
    assert (found.source_interactions, found.target_interactions) == (
        98_316 - only_grocery,
        337_811 - only_home,
    )
    assert found.source_interactions + found.target_interactions == 99_170 + 18_133 + 15_726
    assert (14_870 - found.count, 47_589 - found.count) == (5_472, 38_191)
    lengths = [
        tables(real_data, domain)[0].group_by(USER).len("events")
        for domain in (MIXED_GROCERY, MIXED_HOME)
    ]
    both = lengths[0].join(lengths[1], on=USER).select(pl.min_horizontal("events", "events_right"))
    assert [int((both.to_series() >= least).sum()) for least in (3, 5)] == [7_766, 3_737]


def test_beauty_sports_and_toys(real_data: Path) -> None:
    domains = (CORE_BEAUTY, CORE_SPORTS, CORE_TOYS)
    assert len(users(real_data, *domains)) == 741
    for domain in domains:
        assert profiled(real_data, domain).per_user.quantiles["0"] == 5.0
    beauty = profiled(real_data, CORE_BEAUTY)
    assert beauty.items - round(beauty.text[ANY].items * beauty.items) == 1


def test_ratings_and_times_of_office_and_industrial(real_data: Path) -> None:
    found = [profiled(real_data, domain) for domain in (INDUSTRIAL, OFFICE)]
    counts = dict.fromkeys((1.0, 2.0, 3.0, 4.0, 5.0), 0)
    for domain in found:
        for each in domain.ratings.histogram:
            counts[each.low] += each.count
    assert list(counts.values()) == [1_429, 1_029, 2_462, 6_941, 31_166]
    assert [domain.ratings.missing for domain in found] == [0, 0]
    spans = [(times.first[:7], times.last[:7]) for d in found if (times := d.times)]
    assert spans == [("2006-04", "2018-09"), ("2016-10", "2018-10")]
