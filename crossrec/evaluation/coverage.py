"""How much of the catalog all lists together show: the one metric that is no user's own."""

from __future__ import annotations

import numpy as np

from crossrec.evaluation.significance import Estimate, t_quantile


def coverage(lists: np.ndarray, n_items: int, confidence: float = 0.95) -> Estimate:
    """Distinct recommended items / catalog (Herlocker et al., TOIS 2004), with an interval.

    Coverage is no mean over users. Resampling users would draw only 63% of them and so lie below
    the estimate; the delete-one jackknife does not, has a closed form and needs no seed: leaving
    user u out costs s_u, the items that only u was shown. Its variance
    (U - 1) / U * sum_u (s_u - mean s)^2 / n_items^2 errs on the wide side (Efron and Stein, 1981).

    Args:
        lists: (U, k) item codes; -1 is no item.
        n_items: size of the catalog.
        confidence: of the t interval, cut to [0, 1].
    """
    n_users = len(lists)
    shown = np.where(lists >= 0, lists, n_items)
    times = np.bincount(shown.ravel(), minlength=n_items + 1)
    times[n_items] = 0
    value = float((times > 0).sum() / n_items)
    if n_users < 2:
        return Estimate(value, float("nan"), float("nan"))
    lost = (times[shown] == 1).sum(axis=1)
    error = float(np.sqrt(lost.var() * (n_users - 1))) / n_items
    half = t_quantile(n_users, confidence) * error
    return Estimate(value, max(0.0, value - half), min(1.0, value + half))
