from collections.abc import Callable

import numpy as np
import pytest

from crossrec.data.simulation.kit_files import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.products import make_products

World = dict[str, tuple]


def test_text_says_every_facet(make_world: Callable[..., World]) -> None:
    for products, _, _ in make_world(0.7).values():
        for names, text in zip(products.names, products.texts, strict=True):
            for facet in ("brand", "style", "material", "color", "type"):
                assert names[facet] in text.title
            every = " ".join([text.title, text.description, *text.highlights])
            for value in names.values():
                assert value in every
            assert "{" not in every
            assert text.type == names["type"]


def test_headlines_and_captions_say_the_facets_of_their_domain(feeds: World) -> None:
    spoken = {
        "news": {"style", "context", "tier", "brand"},
        "social": {"style", "color", "material", "context", "brand"},
    }
    for domain, (products, _, _) in feeds.items():
        for names, text in zip(products.names, products.texts, strict=True):
            assert set(names) == spoken[domain] | {"type", "feature", "other_feature"}
            assert names["style"] in text.title
            assert names["brand"] in text.title or domain == "social"
            for value in names.values():
                assert value in f"{text.title} {text.description}"
            assert text.price is None
            assert text.size == ""


def test_facets_that_a_domain_lacks_move_nothing_there(feeds: World) -> None:
    shared = read_shared_kit(KITS / "shared.yaml")
    start = shared.offsets["color"]
    colors = slice(start, start + len(shared.facets["color"]))
    assert not feeds["news"][0].shared[:, colors].any()
    assert (feeds["social"][0].shared[:, colors].sum(axis=1) == 1).all()


def test_titles_are_as_long_as_real_ones(make_world: Callable[..., World], feeds: World) -> None:
    for products, _, _ in (*make_world(0.7).values(), *feeds.values()):
        words = [len(text.title.split()) for text in products.texts]
        assert 8 <= np.median(words) <= 15
        assert min(words) >= 4


def test_facets_are_what_names_say(make_world: Callable[..., World]) -> None:
    shared = read_shared_kit(KITS / "shared.yaml")
    for products, _, _ in make_world(0.7).values():
        values = np.array([*shared.values, *products.own_values])
        indicators = np.concatenate([products.shared, products.own], axis=1)
        for row, names in zip(indicators, products.names, strict=True):
            assert set(values[row > 0]) == set(names.values())


def test_premium_costs_more_than_budget(make_world: Callable[..., World]) -> None:
    products, _, _ = make_world(0.7)["home"]
    prices = {"Budget": [], "Luxury": []}
    for names, text in zip(products.names, products.texts, strict=True):
        if names["tier"] in prices:
            prices[names["tier"]].append(text.price)
    assert np.mean(prices["Luxury"]) > 2 * np.mean(prices["Budget"])


def test_most_brands_sell_in_both_domains(make_world: Callable[..., World]) -> None:
    world = make_world(0.7)
    brands = [{names["brand"] for names in world[domain][0].names} for domain in world]
    assert min(map(len, brands)) >= 40
    assert len(brands[0] & brands[1]) >= 25


def test_popularity_is_zipf_like_and_independent_of_facets() -> None:
    shared = read_shared_kit(KITS / "shared.yaml")
    kit = read_domain_kit(KITS / "home.yaml", shared, {})
    products = make_products(shared, kit, 5)
    popularity = products.log_popularity
    assert np.exp(popularity).sum() == pytest.approx(1)
    standard = (popularity - popularity.mean()) / popularity.std()
    indicators = np.concatenate([products.shared, products.own], axis=1)
    members = indicators.sum(axis=0)
    z = indicators.T @ standard / np.sqrt(members)
    assert np.abs(z).max() < 4.5
    assert 0.8 < z.std() < 1.2


def test_identifiers_look_like_asins_and_are_unique(make_world: Callable[..., World]) -> None:
    asins = [asin for products, _, _ in make_world(0.7).values() for asin in products.asins]
    assert len(set(asins)) == len(asins)
    assert all(len(asin) == 10 and asin.startswith("B0") for asin in asins)
