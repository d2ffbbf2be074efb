"""A small market without files: products, shoppers and purchases of both domains."""

from collections.abc import Callable
from functools import cache

import pytest

from crossrec.data.simulation.events import Events, make_events
from crossrec.data.simulation.kits import KITS, read_domain_kit, read_shared_kit
from crossrec.data.simulation.preferences import make_preferences
from crossrec.data.simulation.products import Products, make_products
from crossrec.data.simulation.shoppers import Shoppers, make_pool, make_shoppers
from crossrec.data.simulation.streams import stream

SIZES = {
    "home": {"users": 700, "shared_users": 500, "items": 400, "events": 10},
    "electronics": {"users": 600, "shared_users": 500, "items": 300, "events": 8},
}
STRENGTH = 2.0
World = dict[str, tuple[Products, Shoppers, Events]]


@pytest.fixture(scope="session")
def make_world() -> Callable[..., World]:
    """(relatedness, seed, pool_seed) -> domain -> (products, shoppers, events)."""

    @cache
    def make(relatedness: float, seed: int = 0, pool_seed: int | None = None) -> World:
        shared = read_shared_kit(KITS / "shared.yaml")
        pool = make_pool(shared, 500, stream(seed if pool_seed is None else pool_seed, "pool"))
        world = {}
        for domain, size in SIZES.items():
            kit = read_domain_kit(KITS / f"{domain}.yaml", size)
            products = make_products(shared, kit, seed)
            shoppers = make_shoppers(shared, kit, pool, seed)
            preferences = make_preferences(shoppers, products, relatedness, STRENGTH)
            events = make_events(shoppers, products, preferences, stream(seed, domain, "events"))
            world[domain] = (products, shoppers, events)
        return world

    return make
