from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from crossrec.data.simulation.dynamics import (
    ARCHIVE,
    DAY,
    DAYS,
    FAINTEST,
    HOUR,
    SLOTS,
    START,
    Climate,
    hot_topics,
    make_climate,
    opening,
    publication_times,
)
from crossrec.data.simulation.kit_files import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.kits import DomainKit, Life

World = dict[str, tuple]
SHARED = read_shared_kit(KITS / "shared.yaml")


def kit(domain: str = "news", **life: float) -> DomainKit:
    read = read_domain_kit(KITS / f"{domain}.yaml", SHARED, {})
    return replace(read, life=replace(read.life, **life)) if life else read


def climate(of: DomainKit, published: list[int], times: list[int]) -> Climate:
    kinds = np.arange(len(published)) % len(of.types)
    return make_climate(of, kinds, np.array(published), np.array(times), 0)


def factors(of: DomainKit, published: list[int], times: list[int]) -> NDArray[np.float32]:
    found = climate(of, published, times)
    return found.factors[found.slot]


def test_weight_halves_with_every_half_life_and_is_zero_before_publication() -> None:
    news = kit(half_life=24, hot_topics=0)
    born = opening(news)
    times = [born, born + DAY, born + 2 * DAY, born + 3 * DAY + HOUR]
    weights = factors(news, [born, born + DAY + 1], times)
    assert weights[:, 0].tolist() == [1, 0.5, 0.25, 0.125]
    assert weights[:2, 1].tolist() == [0, 0]
    assert weights[2, 1] == pytest.approx(0.5, abs=0.001)  # a second short of a day old


def test_old_products_stay_possible() -> None:
    news = kit(half_life=1, hot_topics=0)
    born = opening(news)
    assert factors(news, [born - 100 * DAY], [born])[0, 0] == pytest.approx(FAINTEST)


def test_a_hot_topic_weighs_more_while_it_is_hot(monkeypatch: pytest.MonkeyPatch) -> None:
    news = kit(half_life=240, hot_topics=1, hot_days=2, heat=1.5)
    assert news.life is not None
    spells = hot_topics(news, news.life, 0)
    number = int(np.flatnonzero(spells.begin > opening(news))[0])
    topic, begin, end = (int(part[number]) for part in (spells.type, spells.begin, spells.end))
    assert end - begin == 2 * DAY
    born = opening(news)
    kinds = np.array([topic, topic])
    slot = 240 * HOUR // SLOTS
    inside = begin + slot  # a slot later: slots begin at their own times
    cool = replace(news, life=replace(news.life, heat=0.0))
    times = np.array([born, inside])
    hot, usual = (
        make_climate(market, kinds, np.array([born, born]), times, 0) for market in (news, cool)
    )
    ratio = hot.factors[hot.slot] / usual.factors[usual.slot]
    np.testing.assert_allclose(ratio[1], np.exp(1.5), rtol=1e-5)
    others = [kind for kind in range(len(news.types)) if kind not in set(spells.type)]
    if others:
        never = make_climate(news, np.array(others[:1]), np.array([born]), times, 0)
        assert never.factors.max() <= 1


@pytest.mark.parametrize("topics", [1.0, 3.0])
def test_as_many_topics_are_hot_at_a_time_as_the_kit_says(topics: float) -> None:
    news = replace(kit(hot_topics=topics), market=replace(kit().market, opens=0.0))
    assert news.life is not None
    spells = hot_topics(news, news.life, 0)
    times = np.linspace(START, START + DAYS * DAY, 500, endpoint=False)
    hot = ((spells.begin <= times[:, None]) & (times[:, None] < spells.end)).sum(axis=1)
    assert abs(hot.mean() - topics) < 0.15 * topics
    assert hot[:20].mean() > 0.3 * topics  # also at the beginning


def test_publications_are_even_in_time_and_an_archive_is_there_first() -> None:
    news = kit()
    published = np.sort(publication_times(news, 0))
    opens, closes = opening(news), START + DAYS * DAY
    assert len(published) == news.market.items
    assert (published < opens).mean() == pytest.approx(ARCHIVE, abs=1e-3)
    after = published[published >= opens]
    by_week = np.histogram(after, bins=8, range=(opens, closes))[0]
    assert by_week.max() - by_week.min() <= 2
    assert not (publication_times(kit(), 0) == publication_times(kit(), 1)).all()


@settings(max_examples=25, deadline=None)
@given(items=st.integers(20, 300), opens=st.floats(0, 0.99), seed=st.integers(0, 5))
def test_whoever_chooses_most_always_finds_something_published(
    items: int, opens: float, seed: int
) -> None:
    news = kit()
    news = replace(news, market=replace(news.market, items=items, opens=opens))
    published = publication_times(news, seed)
    assert (published <= opening(news)).sum() >= int(items * ARCHIVE)
    assert published.max() < START + DAYS * DAY


def test_shops_have_seasons_and_nothing_else() -> None:
    home = kit("home")
    kinds = np.array([next(i for i, k in enumerate(home.types) if k.peak == 12)])
    december, june = START - 15 * DAY, START + 160 * DAY
    found = make_climate(home, kinds, publication_times(home, 0)[:1], np.array([december, june]), 0)
    peak, low = found.factors[found.slot][:, 0]
    assert peak == pytest.approx(np.exp(0.35), rel=1e-6)
    assert low == pytest.approx(np.exp(-0.35), rel=1e-6)


def test_nothing_is_chosen_before_it_is_published(feeds: World) -> None:
    for products, _, events in feeds.values():
        assert (events.time >= products.published[events.item]).all()


def test_what_is_chosen_is_as_old_as_the_half_life_says(feeds: World) -> None:
    for domain, (products, _, events) in feeds.items():
        life = kit(domain).life
        assert isinstance(life, Life)
        late = events.time > opening(kit(domain)) + 14 * DAY
        age = (events.time - products.published[events.item])[late] / (life.half_life * HOUR)
        # Exponential with this half-life, but for heat, satiation and how much is published.
        assert 0.6 < np.median(age) < 1.6
        assert 0.02 < (age > 4).mean() < 0.2


def test_hot_topics_are_chosen_more(feeds: World) -> None:
    for domain, (products, _, events) in feeds.items():
        of_domain = kit(domain)
        assert of_domain.life is not None
        spells = hot_topics(of_domain, of_domain.life, 0)
        inside = (spells.begin <= events.time[:, None]) & (events.time[:, None] < spells.end)
        types = products.kinds[events.item]
        by_chance = np.random.default_rng(0).permutation(types)
        hot, usual = (
            (inside & (kinds[:, None] == spells.type)).any(axis=1).mean()
            for kinds in (types, by_chance)
        )
        assert hot > 1.5 * usual
