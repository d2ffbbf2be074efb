"""Whether lists crowd upon few items, and whether those are the popular ones."""

from __future__ import annotations

import numpy as np

from crossrec.evaluation.significance import Estimate, mean_interval

HEAD = 0.2  # share of the catalog that is called its head


def gini(times: np.ndarray) -> float:
    """Gini coefficient of how often each item is recommended (Gini, 1912); NaN without any.

    sum_j (2 j - n - 1) x_(j) / (n sum x) over the n items from the least to the most shown: 0
    where all are shown equally often, (n - 1) / n where one alone is.

    Args:
        times: (n_items,) in how many lists each item of the catalog stands.
    """
    total, n = times.sum(), len(times)
    if total == 0:
        return float("nan")
    place = np.arange(1, n + 1)
    return float(((2 * place - n - 1) * np.sort(times)).sum() / (n * total))


def shown(lists: np.ndarray, n_items: int) -> np.ndarray:
    """(n_items,) in how many of the (U, k) lists each item stands; -1 is no item."""
    return np.bincount(lists[lists >= 0], minlength=n_items)


def head(counts: np.ndarray, share: float = HEAD) -> np.ndarray:
    """(n_items,) bool: the most popular items, a share of the catalog; ties by item code.

    Args:
        counts: (n_items,) train interactions of each item.
    """
    chosen = np.zeros(len(counts), dtype=bool)
    size = max(1, round(share * len(counts)))
    chosen[np.argsort(-counts, kind="stable")[:size]] = True
    return chosen


def head_share(lists: np.ndarray, in_head: np.ndarray) -> Estimate:
    """Share of a list that the head takes, mean over users with its 95% interval.

    Args:
        lists: (U, k) item codes; -1 is no item, and a list without items does not count.
        in_head: (n_items,) bool, as `head` gives it.
    """
    real = lists >= 0
    popular = (in_head[np.where(real, lists, 0)] & real).sum(axis=1)
    sizes = real.sum(axis=1)
    return mean_interval(popular[sizes > 0] / sizes[sizes > 0])
