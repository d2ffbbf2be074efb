"""A small market without files: products, shoppers and purchases of every domain."""

from collections.abc import Callable
from functools import cache

import pytest

from crossrec.data.simulation.dynamics import make_climate
from crossrec.data.simulation.events import Events, make_events
from crossrec.data.simulation.kit_files import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.preferences import make_preferences
from crossrec.data.simulation.products import Products, make_products
from crossrec.data.simulation.shoppers import Shoppers, make_pool, make_shoppers
from crossrec.data.simulation.streams import stream

SIZES = {
    "home": {"users": 700, "shared_users": 500, "items": 400, "events": 10},
    "electronics": {"users": 600, "shared_users": 500, "items": 300, "events": 8},
    "news": {"users": 800, "shared_users": 500, "items": 600, "events": 10},
    "social": {"users": 800, "shared_users": 500, "items": 600, "events": 10},
}
SHOPS = ("home", "electronics")
STRENGTH = 2.0
World = dict[str, tuple[Products, Shoppers, Events]]


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """(relatedness, seed, pool_seed, domains) -> domain -> (products, shoppers, events)."""

    @cache
    def make(
        relatedness: float,
        seed: int = 0,
        pool_seed: int | None = None,
        domains: tuple[str, ...] = SHOPS,
    ) -> World:
        shared = read_shared_kit(KITS / "shared.yaml")
        pool = make_pool(shared, 500, stream(seed if pool_seed is None else pool_seed, "pool"))
        world = {}
        for domain in domains:
            kit = read_domain_kit(KITS / f"{domain}.yaml", shared, SIZES[domain])
            products = make_products(shared, kit, seed)
            shoppers = make_shoppers(shared, kit, pool, seed)
            preferences = make_preferences(shoppers, products, relatedness, STRENGTH)
            climate = make_climate(kit, products.kinds, products.published, shoppers.times, seed)
            rng = stream(seed, domain, "events")
            stars = kit.format == "amazon"
            events = make_events(shoppers, products, preferences, climate, rng, stars)
            world[domain] = (products, shoppers, events)
        return world

    return make


@pytest.fixture(scope="session")
def feeds(make_world: Callable[..., World]) -> World:
    """The domains whose products come and go, at relatedness 0.7."""
    return make_world(0.7, domains=("news", "social"))
