"""A domain's products: their facets, and the titles, descriptions and prices that speak of them."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.dynamics import publication_times
from crossrec.data.simulation.kits import DomainKit, ProductType, SharedKit
from crossrec.data.simulation.streams import stream

# Zipf-Mandelbrot popularity, weight = (rank + FLATNESS) ** -EXPONENT: see calibration.py.
EXPONENT = 0.9
FLATNESS = 10.0
ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUV"


@dataclass(frozen=True)
class Text:
    """What is said of one product; no price (None) and no size ("") where it has none."""

    title: str
    description: str
    highlights: list[str]
    shelf: str
    type: str
    size: str
    price: float | None


@dataclass(frozen=True)
class Products:
    """Everything about the products of one domain; rows are products.

    Attributes:
        asins: identifiers, unique.
        shared: (items, shared values) 1 where the product has the value, else 0; columns of facets
            that the domain does not have are 0.
        own: (items, own values) the same for types, features and own brands, in this order.
        own_values: the words of the columns of `own`.
        words: (items, facets + 3) columns of [shared | own] of the product's facets.
        log_popularity: (items,) log of the purchase weight, drawn apart from all facets.
        quality: (items,) standard normal, moves ratings only.
        kinds: (items,) number of the product's type in the kit.
        published: (items,) unix seconds; 0 where products do not come and go.
        texts: what is said of each product.
        names: what templates may say of each product ("{type}", "{brand}", ...).
    """

    asins: list[str]
    shared: NDArray[np.float64]
    own: NDArray[np.float64]
    own_values: list[str]
    words: NDArray[np.int64]
    log_popularity: NDArray[np.float64]
    quality: NDArray[np.float64]
    kinds: NDArray[np.int64]
    published: NDArray[np.int64]
    texts: list[Text]
    names: list[dict[str, str]]


def _identifiers(n: int, domain: str, rng: np.random.Generator) -> list[str]:
    """`B0` and eight characters, the first two from the domain's name."""
    head = stream(0, domain, "asins").integers(len(ALPHABET), size=2)
    prefix = "B0" + "".join(ALPHABET[digit] for digit in head)
    numbers = rng.choice(32**6, size=n, replace=False).tolist()
    return [
        prefix + "".join(ALPHABET[number >> shift & 31] for shift in range(25, -1, -5))
        for number in numbers
    ]


def make_products(shared: SharedKit, kit: DomainKit, seed: int) -> Products:
    """Draw a domain's products; facets are independent of each other and of popularity."""
    rng = stream(seed, kit.name, "products")
    n = kit.market.items
    n_shared, n_types, n_features = len(shared.values), len(kit.types), len(kit.features)
    own_values = [kind.name for kind in kit.types] + kit.features + kit.brands

    kinds = rng.integers(n_types, size=n)
    facets = {
        facet: rng.integers(len(values), size=n)
        for facet, values in shared.facets.items()
        if facet in kit.facets
    }
    features = np.argsort(rng.random((n, n_features)), axis=1)[:, :2]
    own_brand = rng.integers(len(kit.brands), size=n)
    has_own_brand = rng.random(n) >= shared.shared_brands

    columns = {facet: shared.offsets[facet] + values for facet, values in facets.items()}
    columns["brand"] = np.where(
        has_own_brand, n_shared + n_types + n_features + own_brand, columns["brand"]
    )
    words = np.stack(
        [
            *columns.values(),
            n_shared + kinds,
            n_shared + n_types + features[:, 0],
            n_shared + n_types + features[:, 1],
        ],
        axis=1,
    )
    indicators = np.zeros((n, n_shared + len(own_values)))
    np.put_along_axis(indicators, words, 1.0, axis=1)

    ranks = stream(seed, kit.name, "popularity").permutation(n)
    log_popularity = -EXPONENT * np.log(ranks + 1 + FLATNESS)
    every_value = [*shared.values, *own_values]
    keys = [*columns, "type", "feature", "other_feature"]
    names = [
        {key: every_value[column] for key, column in zip(keys, row, strict=True)}
        for row in words.tolist()
    ]
    asins = _identifiers(n, kit.name, rng)
    words_of_text = stream(seed, kit.name, "texts")
    return Products(
        asins,
        indicators[:, :n_shared],
        indicators[:, n_shared:],
        own_values,
        words,
        log_popularity - np.log(np.exp(log_popularity).sum()),
        stream(seed, kit.name, "quality").standard_normal(n),
        kinds,
        publication_times(kit, seed),
        [
            _text(name, shared, kit, kit.types[kind], words_of_text)
            for name, kind in zip(names, kinds.tolist(), strict=True)
        ],
        names,
    )


def _text(
    names: dict[str, str],
    shared: SharedKit,
    kit: DomainKit,
    product_type: ProductType,
    rng: np.random.Generator,
) -> Text:
    pick = rng.random(4).tolist()
    sizes = product_type.sizes or ("",)
    words = {**names, "size": sizes[int(pick[0] * len(sizes))]}
    price = product_type.price
    if price is not None:
        price = int(price * shared.prices[names["tier"]] * (0.85 + 0.3 * pick[3])) + 0.99
    return Text(
        title=kit.titles[int(pick[1] * len(kit.titles))].format(**words),
        description=kit.descriptions[int(pick[2] * len(kit.descriptions))].format(**words),
        highlights=[line.format(**words) for line in kit.highlights],
        shelf=product_type.shelf,
        type=product_type.name,
        size=words["size"],
        price=price,
    )
