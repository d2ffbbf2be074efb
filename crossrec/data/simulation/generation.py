"""One domain of a market: drawn, and written as raw files beside the truth about it."""

from collections.abc import Sequence
from pathlib import Path

from crossrec.data.simulation import amazon_files, kuairec_files, mind_files
from crossrec.data.simulation.dynamics import make_climate
from crossrec.data.simulation.events import make_events
from crossrec.data.simulation.kits import DomainKit, SharedKit
from crossrec.data.simulation.preferences import make_preferences
from crossrec.data.simulation.products import make_products
from crossrec.data.simulation.shoppers import Pool, make_pool, make_shoppers
from crossrec.data.simulation.streams import stream


def common_pool(shared: SharedKit, kits: Sequence[DomainKit], seed: int) -> Pool:
    """Everybody whom several domains may know.

    Those of the shops come first and are drawn by themselves: domains whose products come and go
    never change who shops there.
    """
    shops = max((kit.market.shared_users for kit in kits if kit.life is None), default=0)
    everybody = max(kit.market.shared_users for kit in kits)
    others = make_pool(shared, everybody - shops, stream(seed, "pool", "others"))
    return make_pool(shared, shops, stream(seed, "pool")).joined(others)


def write_domain(
    folder: Path,
    shared: SharedKit,
    kit: DomainKit,
    pool: Pool,
    relatedness: float,
    strength: float,
    seed: int,
) -> None:
    """Draw a domain and write its files, in the format of its kit, and its true preferences."""
    products = make_products(shared, kit, seed)
    shoppers = make_shoppers(shared, kit, pool, seed)
    preferences = make_preferences(shoppers, products, relatedness, strength)
    events = make_events(
        shoppers,
        products,
        preferences,
        make_climate(kit, products.kinds, products.published, shoppers.times, seed),
        stream(seed, kit.name, "events"),
        has_stars=kit.format == "amazon",
    )
    if kit.format == "mind":
        shown = stream(seed, kit.name, "impressions")
        mind_files.write_domain(folder, products, events, shown)
    elif kit.format == "kuairec":
        watched = stream(seed, kit.name, "watches")
        kuairec_files.write_domain(folder, kit, products, events, watched)
    else:
        reviews = stream(seed, kit.name, "reviews")
        amazon_files.write_domain(folder, shared, kit, products, events, reviews)
    events.preferences.save(folder, kit.name)
