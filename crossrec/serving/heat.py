"""What is hot now: recent events of all users, each worth half as much after a half-life."""

from pathlib import Path
from threading import Lock

import numpy as np
import polars as pl
from numpy.typing import NDArray
from torch import Tensor

from crossrec.data.columns import ITEM, SPLIT, TIMESTAMP
from crossrec.data.pair import Side
from crossrec.data.splits import TEST
from crossrec.data.storage import read_interactions

MOST_EVENTS = 100_000  # the last ones; older ones have long cooled down


class Heat:
    """The last events of a domain, whoever they are of."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.items = np.zeros(MOST_EVENTS, dtype=np.int64)
        self.times = np.full(MOST_EVENTS, -np.inf)
        self.next = 0

    @classmethod
    def of_data(cls, data: Path, side: Side, codes: dict[str, int]) -> "Heat":
        """Begins with the last events of the data that have a time; those of test are not known.

        Args:
            data: folder of the prepared pair.
            codes: of the item ids.
        """
        heat = cls()
        events = read_interactions(data, side).filter(pl.col(SPLIT) != TEST)
        events = events.drop_nulls(TIMESTAMP).sort(TIMESTAMP).tail(MOST_EVENTS)
        for item, time in events.select(ITEM, TIMESTAMP).iter_rows():
            heat.add(codes[item], time)
        return heat

    def add(self, item: int, time: float) -> None:
        """An event with an item, at a time in seconds since 1970."""
        with self.lock:
            self.items[self.next], self.times[self.next] = item, time
            self.next = (self.next + 1) % MOST_EVENTS

    def shares(self, n_items: int, half_life: float, now: float) -> NDArray[np.float64]:
        """(n_items,) sum over events of 2 ** -(age / half_life), as a share of the hottest item's.

        Args:
            half_life: seconds, above 0.
            now: seconds since 1970; events after it count as if they were now.
        """
        with self.lock:
            items, times = self.items.copy(), self.times.copy()
        worth = np.exp2(np.minimum(times - now, 0.0) / half_life)
        heat: NDArray[np.float64] = np.bincount(items, worth, n_items)[:n_items].astype(np.float64)
        hottest = heat.max()
        return heat / hottest if hottest > 0 else heat


def heated(scores: Tensor, shares: Tensor, hot: float) -> Tensor:
    """(1 - hot) * score + hot * heat, both from 0 to 1 over the catalog.

    Args:
        scores: (n_items,) of a model, in any unit.
        shares: (n_items,) what `Heat.shares` gave; where all are zero the order stays.
        hot: from 0, the model alone, to 1, recent events alone.
    """
    low, high = scores.aminmax()
    return (1 - hot) * (scores - low) / (high - low).clamp(min=1e-12) + hot * shares
