"""Most popular items: the baseline that knows nothing of the user."""

from typing import Self

import torch
from scipy.sparse import csr_array
from torch import Tensor


class Popularity:
    """score(u, i) = how many training interactions item i has."""

    def fit(self, interactions: csr_array) -> Self:
        """Counts the stored entries of the (users, items) training matrix, whatever their value."""
        counts = torch.bincount(
            torch.from_numpy(interactions.indices).long(), minlength=interactions.shape[1]
        )
        self.counts = counts.float()  # (items,)
        return self

    def score(self, histories: csr_array) -> Tensor:
        """(B, items) float32, the same row for each of the B users of `histories`."""
        return self.counts.expand(histories.shape[0], -1)
