from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from crossrec.data.simulation.dynamics import DAY
from crossrec.data.simulation.events import STARS, Events

World = dict[str, tuple]


def ndcg_at_10(scores: NDArray[np.float64], events: Events) -> float:
    """Mean NDCG@10 of everybody's last purchase among all products not bought before."""
    last = np.append(events.user[1:] != events.user[:-1], True)
    scores = scores.copy()
    scores[events.user[~last], events.item[~last]] = -np.inf
    target = scores[events.user[last], events.item[last]]
    ranks = (scores >= target[:, None]).sum(axis=1)
    return float(np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0.0).mean())


def profiles(world: World, domain: str) -> NDArray[np.float64]:
    """(500, shared values) what the shared shoppers bought there, less what anybody buys."""
    products, shoppers, events = world[domain]
    total = np.zeros(shoppers.shared.shape)
    np.add.at(total, events.user, products.shared[events.item])
    mean = (total / shoppers.counts[:, None])[:500]
    return mean - mean.mean(axis=0)


def agreement(world: World) -> tuple[float, NDArray[np.float64]]:
    """Mean inner product of a shopper's two profiles; and with those of shuffled shoppers."""
    home, electronics = profiles(world, "home"), profiles(world, "electronics")
    products = home @ electronics.T
    rng = np.random.default_rng(0)
    shuffled = [products[np.arange(500), rng.permutation(500)].mean() for _ in range(400)]
    return float(np.diag(products).mean()), np.array(shuffled)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_unrelated_domains_agree_no_more_than_chance(
    make_world: Callable[..., World], seed: int
) -> None:
    observed, shuffled = agreement(make_world(0.0, seed))
    p = (1 + (shuffled >= observed).sum()) / (1 + len(shuffled))
    assert 0.01 < p < 0.99


def test_related_domains_agree_the_more_the_more_related(
    make_world: Callable[..., World],
) -> None:
    standard = {}
    for relatedness in (0.0, 0.5, 1.0):
        observed, shuffled = agreement(make_world(relatedness))
        standard[relatedness] = (observed - shuffled.mean()) / shuffled.std()
    assert standard[0.0] < 3 < 10 < standard[0.5] < standard[1.0]


def test_at_zero_other_people_with_other_shared_tastes_would_buy_the_same(
    make_world: Callable[..., World],
) -> None:
    one, other = make_world(0.0, 0), make_world(0.0, 0, pool_seed=99)
    assert not np.array_equal(one["home"][1].shared, other["home"][1].shared)
    for domain in one:
        for name in ("user", "item", "time", "stars"):
            assert np.array_equal(getattr(one[domain][2], name), getattr(other[domain][2], name))


def test_above_zero_other_shared_tastes_buy_otherwise(make_world: Callable[..., World]) -> None:
    one, other = make_world(0.5, 0), make_world(0.5, 0, pool_seed=99)
    assert (one["home"][2].item != other["home"][2].item).mean() > 0.3


@pytest.mark.parametrize("relatedness", [0.0, 0.5, 1.0])
def test_oracle_ranks_what_was_bought_far_above_popularity(
    make_world: Callable[..., World], relatedness: float
) -> None:
    for products, shoppers, events in make_world(relatedness).values():
        counts = np.bincount(events.item, minlength=len(products.asins)).astype(np.float64)
        popularity = np.tile(counts, (len(shoppers.ids), 1))
        oracle = events.preferences.utility(events.preferences.users)
        assert ndcg_at_10(oracle, events) > 1.8 * ndcg_at_10(popularity, events)


def test_nobody_buys_a_product_twice(make_world: Callable[..., World]) -> None:
    for products, _, events in make_world(0.7).values():
        pairs = events.user * len(products.asins) + events.item
        assert len(np.unique(pairs)) == len(pairs)


def test_purchases_ascend_in_time_and_come_in_trips(make_world: Callable[..., World]) -> None:
    for _, shoppers, events in make_world(0.7).values():
        same_user = events.user[1:] == events.user[:-1]
        gap = np.diff(events.time)[same_user]
        assert (gap >= 0).all()
        assert 0.25 < (gap < DAY / 2).mean() < 0.52  # real sets: 0.23 to 0.52
        assert np.array_equal(np.bincount(events.user), shoppers.counts)


def test_stars_are_j_shaped_like_real_ones_and_follow_satisfaction(
    make_world: Callable[..., World],
) -> None:
    for _, _, events in make_world(0.7).values():
        shares = np.bincount(events.stars, minlength=6)[1:] / len(events.stars)
        np.testing.assert_allclose(shares, STARS / STARS.sum(), atol=2e-3)
        preferences = events.preferences
        expected = preferences.expected_rating(preferences.users)[events.user, events.item]
        assert np.corrcoef(expected, events.stars)[0, 1] > 0.4
        assert abs(expected.mean() - events.stars.mean()) < 0.05


def test_having_a_type_makes_another_of_it_neither_likelier_nor_rarer(
    make_world: Callable[..., World],
) -> None:
    """Otherwise "the same type again" were a rule that source training carries at r = 0."""
    seen = expected = 0.0
    for seed in range(4):
        products, shoppers, events = make_world(0.0, seed)["home"]
        types = products.own[:, :52]  # the first own values of home are its types
        same = types @ types.T
        popularity = np.bincount(events.item, minlength=len(same)) / len(events.item)
        start = np.cumsum(shoppers.counts) - shoppers.counts
        start = start[shoppers.counts >= 3]
        history = same[events.item[start]] + same[events.item[start + 1]]
        next_item = events.item[start + 2]
        seen += history[np.arange(len(start)), next_item].sum()
        weights = np.tile(popularity, (len(start), 1))
        for before in (0, 1):
            weights[np.arange(len(start)), events.item[start + before]] = 0
        expected += (history * weights).sum(axis=1) @ (1 / weights.sum(axis=1))
    assert 0.6 < seen / expected < 1.6  # 5 without satiation


def test_activity_does_not_tell_taste(make_world: Callable[..., World]) -> None:
    _, shoppers, _ = make_world(0.7)["home"]
    activity = np.argsort(np.argsort(shoppers.counts)).astype(np.float64)
    for taste in (shoppers.shared, shoppers.own):
        used = taste[:, taste.std(axis=0) > 0]
        correlations = [np.corrcoef(activity, column)[0, 1] for column in used.T]
        assert np.abs(correlations).max() < 4.5 / np.sqrt(len(activity))
