"""The words of the marketplace: one YAML kit a domain, and one that all domains share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

from crossrec.errors import UserError

KITS = Path(__file__).parent / "kits"
SHARED = "shared"


@dataclass(frozen=True)
class SharedKit:
    """Facets that have the same words in every domain, and the templates that speak of them.

    Attributes:
        facets: facet name -> its values ("style" -> "Minimalist", ...).
        weights: how much each facet counts in a shopper's taste.
        prices: value of the facet "tier" -> multiple of a product type's usual price.
        shared_brands: share of products that carry a brand of the facet "brand".
        lifestyles: name -> values of the facets that belong together.
        titles, descriptions, highlights: templates of a product's text.
        phrases: facet, or "type", "feature", "other_feature" -> how reviews call its values.
        reviews: stars -> (title, text) templates.
    """

    facets: Mapping[str, list[str]]
    weights: Mapping[str, float]
    prices: Mapping[str, float]
    shared_brands: float
    lifestyles: Mapping[str, list[str]]
    titles: list[str]
    descriptions: list[str]
    highlights: list[str]
    phrases: Mapping[str, str]
    reviews: Mapping[int, list[list[str]]]

    @cached_property
    def values(self) -> list[str]:
        """Every facet value, facet after facet: the columns of the shared taste."""
        return [value for values in self.facets.values() for value in values]

    @cached_property
    def offsets(self) -> dict[str, int]:
        """Facet name -> the column of its first value."""
        offsets, start = {}, 0
        for facet, values in self.facets.items():
            offsets[facet] = start
            start += len(values)
        return offsets


@dataclass(frozen=True)
class Market:
    """The size of a domain.

    Attributes:
        users: shoppers; the first `shared_users` of them come from the pool that domains share.
        shared_users: so two domains have the smaller of their two `shared_users` in common.
        items: products.
        events: mean number of purchases a shopper makes.
        opens: when the domain opened, as a share of the simulated time (0: at its beginning).
    """

    users: int
    shared_users: int
    items: int
    events: float
    opens: float


@dataclass(frozen=True)
class ProductType:
    """One kind of product: its shelf, its usual price, its sizes, the month it peaks in."""

    name: str
    shelf: str
    price: float
    sizes: list[str]
    peak: int | None


@dataclass(frozen=True)
class DomainKit:
    """The words of one domain, none of which another domain has, and its size."""

    name: str
    category: str
    market: Market
    brands: list[str]
    features: list[str]
    types: list[ProductType]


def kit_files(folder: Path) -> dict[str, Path]:
    """Domain -> its kit; `shared.yaml` is the package's where the folder has none.

    Raises:
        UserError: the folder has no kit of a domain.
    """
    files = {path.stem: path for path in sorted(folder.glob("*.yaml"))}
    if not set(files) - {SHARED}:
        raise UserError(f"data.reader.kits: no kits (DOMAIN.yaml) in {folder}")
    files.setdefault(SHARED, KITS / f"{SHARED}.yaml")
    return files


def _read(path: Path, keys: set[str]) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path}: not a readable YAML kit ({error})") from error
    if not isinstance(content, dict) or set(content) != keys:
        found = sorted(map(str, content)) if isinstance(content, dict) else type(content).__name__
        raise UserError(f"{path}: a kit has the keys {sorted(keys)}, found {found}")
    return content


def read_shared_kit(path: Path) -> SharedKit:
    """Read the shared words; UserError where a lifestyle names a value that no facet has."""
    kit = SharedKit(**_read(path, set(SharedKit.__annotations__)))
    known = set(kit.values)
    for name, values in kit.lifestyles.items():
        if unknown := sorted(set(values) - known):
            raise UserError(f"{path}: lifestyle {name!r} names {unknown}, which no facet has")
    return kit


def read_domain_kit(path: Path, size: Mapping[str, float]) -> DomainKit:
    """Read one domain's words; `size` overrides values of its `market`."""
    content = _read(path, {"category", "market", "brands", "features", "types"})
    sizes = {**content["market"], **size}
    if set(sizes) != set(Market.__annotations__):
        raise UserError(
            f"{path}: market has the keys {sorted(Market.__annotations__)}, found {sorted(sizes)}"
        )
    market = Market(**sizes)
    whole = (market.users, market.shared_users, market.items)
    if not all(isinstance(number, int) for number in whole):
        raise UserError(f"{path}: users, shared_users and items are whole numbers, got {sizes}")
    if not 0 <= market.shared_users <= market.users or market.users < 1 or market.items < 20:
        raise UserError(
            f"{path}: market needs users >= 1, 0 <= shared_users <= users and items >= 20, "
            f"got {sizes}"
        )
    if not 0 <= market.opens < 1 or market.events < 1:
        raise UserError(f"{path}: market needs 0 <= opens < 1 and events >= 1, got {sizes}")
    types = [
        ProductType(name, shelf, facts["price"], facts["sizes"], facts.get("peak"))
        for shelf, shelf_types in content["types"].items()
        for name, facts in shelf_types.items()
    ]
    return DomainKit(
        path.stem, content["category"], market, content["brands"], content["features"], types
    )
