"""The truth about a domain's shoppers: what a purchase is drawn from. The oracle ranks by it."""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from crossrec.data.simulation.products import Products
from crossrec.data.simulation.shoppers import Shoppers
from crossrec.errors import UserError

# What a rating depends on, in units of its own noise.
MATCH, QUALITY, LENIENCY = 0.7, 0.5, 0.5


@dataclass(frozen=True)
class Preferences:
    """True preferences of every user for every item of a domain.

    Attributes:
        users, items: identifiers, in the order of the rows below.
        user_factors: (users, k) and item_factors: (items, k). Their inner product is the log of
            the weight with which a user picks an item (a softmax over the items; what was bought
            before and the season are left out). The last factor is popularity: 1 for every user,
            the log popularity of an item. The others are taste, centered over the items.
        user_ratings: (users, k') and item_ratings: (items, k'). Their inner product is the mean of
            the satisfaction that stars or the time watched show: taste, leniency of the user,
            quality of the item.
        rating_cuts: (4,) satisfaction above the m-th cut gives more than m stars; (0,) where the
            domain has no stars.

    The truth of a domain whose products come and go knows no time: it holds taste and popularity,
    but neither publication times nor what is hot. There it is no ceiling. Who can tell what is
    current may rank better.
    """

    users: tuple[str, ...]
    items: tuple[str, ...]
    user_factors: NDArray[np.float32]
    item_factors: NDArray[np.float32]
    user_ratings: NDArray[np.float32]
    item_ratings: NDArray[np.float32]
    rating_cuts: NDArray[np.float32]

    def utility(self, users: Sequence[str]) -> NDArray[np.float32]:
        """(users, items) log-weight of each choice; KeyError for a user who is not known."""
        return self.user_factors[self._rows(users)] @ self.item_factors.T

    def expected_rating(self, users: Sequence[str]) -> NDArray[np.float32]:
        """(users, items) mean of the stars that a purchase would get, from 1 to 5.

        An ordered probit: stars = 1 + sum over m of [satisfaction + noise > cut_m] with standard
        normal noise, so the mean is 1 + sum over m of Phi(satisfaction - cut_m).

        Raises:
            UserError: the domain has no stars.
        """
        if not len(self.rating_cuts):
            raise UserError("this simulated domain has no stars: set data.rating_scale=null")
        from scipy.special import ndtr

        satisfaction = self.user_ratings[self._rows(users)] @ self.item_ratings.T
        stars = np.ones_like(satisfaction)
        for cut in self.rating_cuts:
            stars += ndtr(satisfaction - cut)
        return stars

    def _rows(self, users: Sequence[str]) -> NDArray[np.int64]:
        row = {user: position for position, user in enumerate(self.users)}
        return np.array([row[user] for user in users], dtype=np.int64)

    def save(self, folder: Path, domain: str) -> None:
        """Write `oracle_DOMAIN.safetensors` (arrays) and `.json` (identifiers)."""
        arrays = {
            field.name: np.ascontiguousarray(getattr(self, field.name))
            for field in fields(self)
            if field.name not in ("users", "items")
        }
        (folder / f"oracle_{domain}.safetensors").write_bytes(save(arrays))
        names = json.dumps({"users": self.users, "items": self.items})
        (folder / f"oracle_{domain}.json").write_text(names, encoding="utf-8")

    @classmethod
    def load(cls, folder: Path, domain: str) -> "Preferences":
        """Read what `save` wrote."""
        names = json.loads((folder / f"oracle_{domain}.json").read_text(encoding="utf-8"))
        arrays = load_file(folder / f"oracle_{domain}.safetensors")
        return cls(tuple(names["users"]), tuple(names["items"]), **arrays)

    def with_cuts(self, cuts: NDArray[np.float64]) -> "Preferences":
        """The same preferences with the cuts between stars."""
        return replace(self, rating_cuts=cuts.astype(np.float32))


def make_preferences(
    shoppers: Shoppers, products: Products, relatedness: float, strength: float
) -> Preferences:
    """U(u, i) = sqrt(r) a <z_u, shared_i> + sqrt(1 - r) a <d_u, own_i> + log popularity_i.

    r is the relatedness and a the strength. Both inner products are scaled to unit variance over
    the items (on average over users), so that taste counts the same whatever r is. At r = 0 the
    shared facets move no choice and no rating at all.
    """
    carried, local = math.sqrt(relatedness), math.sqrt(1 - relatedness)
    user_blocks, item_blocks = [], []
    for share, taste, facets in (
        (carried, shoppers.shared, products.shared),
        (local, shoppers.own, products.own),
    ):
        centered = facets - facets.mean(axis=0)
        # Variance over items of <taste, facets>, by the covariance of the facets.
        covariance = centered.T @ centered / len(centered)
        variance = np.einsum("uk,kl,ul->u", taste, covariance, taste, optimize=True).mean()
        user_blocks.append(share * taste / math.sqrt(variance))
        item_blocks.append(centered)
    leniency = carried * shoppers.shared_leniency + local * shoppers.own_leniency
    taste, facets = np.concatenate(user_blocks, axis=1), np.concatenate(item_blocks, axis=1)
    one_user, one_item = np.ones((len(taste), 1)), np.ones((len(facets), 1))
    popularity = products.log_popularity[:, None]
    user_ratings = [MATCH * taste, LENIENCY * leniency[:, None], one_user]
    item_ratings = [facets, one_item, QUALITY * products.quality[:, None]]
    return Preferences(
        tuple(shoppers.ids),
        tuple(products.asins),
        np.concatenate([strength * taste, one_user], axis=1).astype(np.float32),
        np.concatenate([facets, popularity], axis=1).astype(np.float32),
        np.concatenate(user_ratings, axis=1).astype(np.float32),
        np.concatenate(item_ratings, axis=1).astype(np.float32),
        np.zeros(4, dtype=np.float32),
    )
