"""Item neighbors over both domains: who has this there has that here."""

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch, Sequences
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.item_knn import ItemKNN
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import PairModel, Phase, Scores
from crossrec.transfer.preferences.shared_ids import SharedIds


class JointKNN(PairModel):
    """score(u, i) = sum over what u did in either domain of w_j * similarity(j, i).

    Item-kNN (Deshpande and Karypis, ACM TOIS 2004) on one matrix of all users and the items of both
    domains, shared ones once: each item, of either domain, keeps its nearest items of the target.
    w is 1 for items of the target and `source_weight` for those of the source. The matrix holds
    what training may know: target events in train, and source events before a user's first
    held-out target event. It is the neighborhood method that transfer by networks has to beat, and
    for users who are in one domain only it is item-kNN.

    Args:
        n_neighbors: items of the target that each item keeps.
        shrinkage: of the cosine where few users support it.
        source_weight: what an event in the source counts for, >= 0.

    Raises:
        UserError: an argument is out of range.
    """

    needs: Overlap = "any"
    max_history = 10_000  # all of it
    phases: tuple[Phase, ...] = ()

    def __init__(
        self, n_neighbors: int = 300, shrinkage: float = 20.0, source_weight: float = 0.3
    ) -> None:
        super().__init__()
        for key, value, least in (
            ("n_neighbors", n_neighbors, 1),
            ("shrinkage", shrinkage, 0),
            ("source_weight", source_weight, 0),
        ):
            if not value >= least:
                raise UserError(f"transfer.{key} must be >= {least}, got {value}")
        self.n_neighbors, self.shrinkage = n_neighbors, shrinkage
        self.source_weight = source_weight

    def build(self, pair: DomainPair, content: Content) -> None:
        """Find the neighbors; there are no parameters."""
        ids = SharedIds(pair)
        self.n_target = pair.target.n_items
        # Codes of the target's histories, source items after its own -> columns of the matrix.
        self.columns = torch.cat([ids.target_rows, ids.source_rows]).numpy()
        self.n_columns = ids.n_items
        in_both = torch.isin(pair.source.train.users, pair.target.train.users)
        alone = in_both.logical_not().repeat_interleave(pair.source.train.lengths)
        users, items = _events(pair.target.train)
        more_users, more_items = _events(pair.source.train)
        users = torch.cat([users, more_users[alone]])
        items = torch.cat([items, more_items[alone] + self.n_target])
        matrix = self._matrix(users, items, pair.target.n_users)
        self.knn = ItemKNN(self.n_neighbors, self.shrinkage)
        self.knn.fit(matrix, self.n_target)

    def _matrix(self, rows: Tensor, items: Tensor, n_rows: int) -> csr_array:
        """(n_rows, n_columns) float32, 1 where a row has an item."""
        at = (rows.numpy(), self.columns[items.numpy()])
        ones = np.ones(len(rows), dtype=np.float32)
        matrix = csr_array((ones, at), (n_rows, self.n_columns))
        matrix.data[:] = 1  # repeats add up
        return matrix

    def scorer(self, side: Side) -> Scores:
        """Sums of similarities to the target's items; the source's are not ranked.

        Raises:
            ValueError: side is "source".
        """
        if side == "source":
            raise ValueError("joint_knn finds neighbors among the items of the target alone")

        def scores(histories: Batch) -> Tensor:
            rows, places = (histories.items >= 0).cpu().nonzero(as_tuple=True)
            items = histories.items.cpu()[rows, places]
            matrix = self._matrix(rows, items, len(histories.users))
            matrix.data[matrix.indices >= self.n_target] = self.source_weight
            return self.knn.score(matrix).to(histories.items.device)

        return scores


def _events(sequences: Sequences) -> tuple[Tensor, Tensor]:
    """(E,) users and item codes of all events."""
    return torch.repeat_interleave(sequences.users, sequences.lengths), sequences.items
