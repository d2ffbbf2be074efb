"""Sampled evaluation, for comparing with papers that used it: one held-out item among n others.

Ranks among samples order methods differently from ranks among all items (Krichene and Rendle,
KDD 2020), so this exists as a named protocol alone (evaluation=sampled_99, sampled_999) whose
negatives are fixed: they hang on the protocol's seed and on the data, not on the run's seed or the
model.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from crossrec.errors import UserError
from crossrec.evaluation.ranking import Queries


def fixed_negatives(queries: Queries, n_items: int, n: int, seed: int) -> Tensor:
    """(U, n) int64 item codes: for each query n different items that are not its own.

    Drawn uniformly, without replacement, from the catalog but the user's seen and held-out items.
    A user's draw depends on (seed, user code) alone: who else is asked changes nothing.

    Args:
        queries: with one held-out item each.
        n_items: size of the catalog.
        n: negatives of each query, at least 1.
        seed: of the protocol.

    Raises:
        UserError: a query has several held-out items, or fewer than n items are left for one.
    """
    if len(queries.truth_items) != len(queries):
        raise UserError(
            f"evaluation.negatives={n} ranks one held-out item a user, but "
            f"{len(queries.truth_items):,} are held out of {len(queries):,} users; choose "
            "split=leave_one_out, or full ranking (evaluation=default)"
        )
    seen_items, offsets = queries.seen_items.numpy(), queries.seen_offsets.numpy()
    drawn = np.empty((len(queries), n), dtype=np.int64)
    for row, (user, truth) in enumerate(zip(queries.users, queries.truth_items, strict=True)):
        own = np.append(seen_items[offsets[row] : offsets[row + 1]], int(truth))
        own = np.unique(own)
        if n_items - len(own) < n:
            raise UserError(
                f"evaluation.negatives={n}: a user of the target has only "
                f"{n_items - len(own):,} items of {n_items:,} left to be negatives; ask for fewer"
            )
        generator = np.random.default_rng((seed, int(user)))
        # Among the items that are left: draw places, then step over the user's own.
        places = generator.choice(n_items - len(own), n, replace=False)
        before = own - np.arange(len(own))  # how many items of others lie below each own one
        drawn[row] = places + np.searchsorted(before, places, side="right")
    return torch.from_numpy(drawn)
