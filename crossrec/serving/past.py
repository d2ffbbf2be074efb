"""What a person did in either domain, and how each model reads it."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from crossrec.data.columns import PAD
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Sequences


@dataclass(frozen=True)
class Past:
    """The events of one person, oldest first, in the codes of the catalogs and not of a model.

    Attributes:
        user: code of the user, PAD for somebody whom no model was trained on.
        target: (E,) bool, whether an event is of the target, else of the source.
        items: (E,) int64 codes in the catalog of its domain.
    """

    user: int
    target: NDArray[np.bool_]
    items: NDArray[np.int64]

    def then(self, events: Sequence[tuple[Side, int]]) -> "Past":
        """The same past, and events that came after it."""
        target = np.array([side == "target" for side, _ in events], dtype=bool)
        items = np.array([item for _, item in events], dtype=np.int64)
        return Past(self.user, np.append(self.target, target), np.concatenate([self.items, items]))

    def without(self, side: Side, item: int) -> "Past":
        """The same past, had there never been an event with this item."""
        kept = (self.target != (side == "target")) | (self.items != item)
        return Past(self.user, self.target[kept], self.items[kept])

    def of(self, side: Side) -> NDArray[np.int64]:
        """Codes of the items in one of the domains."""
        found: NDArray[np.int64] = self.items[self.target == (side == "target")]
        return found

    def events(self) -> list[tuple[Side, int]]:
        """(domain, code) of every event."""
        sides: list[Side] = ["target" if mine else "source" for mine in self.target.tolist()]
        return list(zip(sides, self.items.tolist(), strict=True))


NOBODY = Past(PAD, np.empty(0, dtype=bool), np.empty(0, dtype=np.int64))


def known_past(pair: DomainPair, side: Side, user: int) -> Past:
    """What the data say of a user, as the recommendations of a run read it.

    Args:
        side: the domain that is asked about: in that of the source the target is not known.
        user: code in the pair.
    """
    domain = pair.target if side == "target" else pair.source
    first, end = domain.known.offsets[user : user + 2].tolist()
    items = domain.known.items[first:end].numpy()
    own = domain.known.own[first:end].numpy()
    codes = np.where(own, items, items - domain.n_items)
    return Past(user, own == (side == "target"), codes)


def as_sequences(pasts: Sequence[Past], domain: Domain, side: Side) -> Sequences:
    """Several pasts as a model of a domain reads them, one sequence each.

    Args:
        domain: of the model, with all items that were added; without context items it reads no
            event of the other domain.
        side: which of the pair's domains that is.
    """
    items, own = [], []
    for past in pasts:
        mine = past.target == (side == "target")
        codes = np.where(mine, past.items, past.items + domain.n_items)
        read = mine | (domain.n_context > 0)
        items.append(codes[read])
        own.append(mine[read])
    flat = torch.from_numpy(np.concatenate(items))
    lengths = torch.tensor([0, *map(len, items)])
    return Sequences(
        users=torch.tensor([past.user for past in pasts]),
        offsets=lengths.cumsum(0),
        items=flat,
        ratings=torch.full((len(flat),), torch.nan),
        own=torch.from_numpy(np.concatenate(own)),
    )
