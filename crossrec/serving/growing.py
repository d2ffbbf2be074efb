"""Items that came after the training: a pair, its content and its weights with room for them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import polars as pl
import torch
from torch import Tensor

from crossrec.data.columns import ITEM, TITLE
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content


@dataclass(frozen=True)
class Added:
    """Items that were added to a catalog.

    Attributes:
        ids, titles: of each.
        vectors: (items, d_c) content vectors.
    """

    ids: Sequence[str] = ()
    titles: Sequence[str] = ()
    vectors: Tensor | None = None

    def __len__(self) -> int:
        return len(self.ids)

    def then(self, ids: Sequence[str], titles: Sequence[str], vectors: Tensor) -> "Added":
        """These, and more."""
        both = vectors if self.vectors is None else torch.cat([self.vectors, vectors])
        return Added([*self.ids, *ids], [*self.titles, *titles], both)


Additions = Mapping[Side, Added]
NOTHING: Additions = {"source": Added(), "target": Added()}


def grown_pair(pair: DomainPair, added: Additions) -> DomainPair:
    """The pair with larger catalogs, for models to be built for.

    Sequences keep the codes of before, in which a target history has source items from the former
    number of target items on: only own events may be read from them.
    """
    n_source = len(added["source"])
    return replace(
        pair,
        source=_grown(pair.source, added["source"], 0),
        target=_grown(pair.target, added["target"], n_source),
        target_only=_grown(pair.target_only, added["target"], 0),
    )


def _grown(domain: Domain, added: Added, n_context: int) -> Domain:
    items = domain.items.select(ITEM, TITLE)
    more = pl.DataFrame({ITEM: added.ids, TITLE: added.titles}, schema=items.schema)
    return replace(domain, items=items.vstack(more), n_context=domain.n_context + n_context)


def grown_content(content: Content, added: Additions) -> Content:
    """Content vectors of both catalogs with those of the added items at their ends."""

    def all_of(vectors: Tensor | None, more: Tensor | None) -> Tensor | None:
        return vectors if vectors is None or more is None else torch.cat([vectors, more])

    return Content(
        all_of(content.source, added["source"].vectors),
        all_of(content.target, added["target"].vectors),
        content.artifact,
    )


def grown_weights(
    weights: dict[str, Tensor], tables: Sequence[str], domain: Domain, n_own: int, n_context: int
) -> dict[str, Tensor]:
    """Trained weights with a row for each added item: the mean of those of its catalog.

    What only an item's id knows was never learned of a new one, so it is taken for an average item
    of its domain: its bias is the mean bias, and its text alone tells it from the others.

    Args:
        weights: by parameter name.
        tables: parameters with one row an item, context items after own ones.
        domain: that the weights were trained for.
        n_own, n_context: how many items were added to each part.
    """
    grown = dict(weights)
    for name in tables:
        own, context = weights[name].split([domain.n_items, domain.n_context])
        grown[name] = torch.cat([own, _means(own, n_own), context, _means(context, n_context)])
    return grown


def _means(rows: Tensor, n: int) -> Tensor:
    """(n, *) the mean of some rows, n times; no rows for n = 0."""
    return rows[:0] if n == 0 else rows.mean(dim=0, keepdim=True).expand(n, *rows.shape[1:])
