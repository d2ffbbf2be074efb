"""What a product shows: the places of its values in the kit, which looks and sounds follow."""

from crossrec.data.simulation.kits import DomainKit, SharedKit
from crossrec.data.simulation.products import Products

Look = dict[str, int]
"""Facet (or "type", "feature", "other_feature") -> the place of a product's value among all."""


def looks(shared: SharedKit, kit: DomainKit, products: Products) -> list[Look]:
    """The look of each product; facets that the domain does not have are left out.

    A shared value has the same place in every domain, so that a style looks the same everywhere.
    A domain's own brands come after the shared ones.
    """
    values = {facet: list(shared.facets[facet]) for facet in kit.facets}
    values["brand"] += kit.brands
    values["type"] = [kind.name for kind in kit.types]
    values["feature"] = values["other_feature"] = kit.features
    places = {facet: {word: n for n, word in enumerate(words)} for facet, words in values.items()}
    return [
        {facet: places[facet][word] for facet, word in names.items()} for names in products.names
    ]
