"""The words of the marketplace: what a kit says of one domain, and what all domains share."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property


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
class Life:
    """How the products of a domain come and go (see `dynamics`).

    Attributes:
        half_life: hours after its publication in which a product's weight halves, once and again.
        hot_topics: mean number of product types that are hot at a time.
        hot_days: days that one stays hot.
        heat: what being hot adds to the log-weight of a product, for everybody.
    """

    half_life: float
    hot_topics: float
    hot_days: float
    heat: float


@dataclass(frozen=True)
class ProductType:
    """One kind of product: its shelf and, in a shop, its usual price, sizes and peak month."""

    name: str
    shelf: str
    price: float | None = None
    sizes: tuple[str, ...] = ()
    peak: int | None = None


@dataclass(frozen=True)
class DomainKit:
    """The words of one domain, none of which another domain has, and its size.

    Attributes:
        name: of the domain.
        category: what its products are called together.
        market: its size.
        brands, features, types: its own words.
        format: of its files: amazon, mind or kuairec.
        facets: the shared facets that its products have.
        life: how its products come and go; None where they come once and stay.
        titles, descriptions, highlights: templates of a product's text.
    """

    name: str
    category: str
    market: Market
    brands: list[str]
    features: list[str]
    types: list[ProductType]
    format: str
    facets: list[str]
    life: Life | None
    titles: list[str]
    descriptions: list[str]
    highlights: list[str]
