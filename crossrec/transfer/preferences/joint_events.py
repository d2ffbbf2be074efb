"""All events of both domains as one matrix: users by items, shared ones once."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch, Sequences
from crossrec.transfer.preferences.shared_ids import SharedIds


class JointEvents:
    """One matrix over both domains, for methods that know co-occurrence alone.

    Its columns are the items of the target, then those that the source has besides. It holds what
    training may know: target events in train, and source events before a user's first held-out
    target event.

    Args:
        pair: source and target.
        source_weight: what an event in the source counts for, where one in the target counts 1.
    """

    def __init__(self, pair: DomainPair, source_weight: float) -> None:
        ids = SharedIds(pair)
        self.n_users, self.n_target, self.n_columns = (
            pair.target.n_users,
            pair.target.n_items,
            ids.n_items,
        )
        self.source_weight = source_weight
        # Codes of the target's histories, source items after its own -> columns.
        self.columns = torch.cat([ids.target_rows, ids.source_rows]).numpy()
        in_both = torch.isin(pair.source.train.users, pair.target.train.users)
        alone = in_both.logical_not().repeat_interleave(pair.source.train.lengths)
        users, items = _events(pair.target.train)
        more_users, more_items = _events(pair.source.train)
        self.train = (
            torch.cat([users, more_users[alone]]),
            torch.cat([items, more_items[alone] + self.n_target]),
        )

    def matrix(self, weighted: bool) -> csr_array:
        """(n_users, n_columns) float32 of training events; 1 each unless `weighted`."""
        return self._matrix(*self.train, self.n_users, weighted)

    def histories(self, batch: Batch) -> csr_array:
        """(B, n_columns) float32 of what users did in either domain, weighted."""
        rows, places = (batch.items >= 0).cpu().nonzero(as_tuple=True)
        return self._matrix(rows, batch.items.cpu()[rows, places], len(batch.users), True)

    def _matrix(self, rows: Tensor, items: Tensor, n_rows: int, weighted: bool) -> csr_array:
        at = (rows.numpy(), self.columns[items.numpy()])
        ones = np.ones(len(rows), dtype=np.float32)
        matrix = csr_array((ones, at), (n_rows, self.n_columns))
        matrix.data[:] = 1  # repeats add up
        if weighted:
            matrix.data[matrix.indices >= self.n_target] = self.source_weight
        return matrix


def _events(sequences: Sequences) -> tuple[Tensor, Tensor]:
    """(E,) users and item codes of all events."""
    return torch.repeat_interleave(sequences.users, sequences.lengths), sequences.items
