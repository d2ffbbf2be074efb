"""What lists are like apart from being right: novelty and diversity, a value for each user.

Lists are (U, k) item codes, best first, -1 where a list is shorter.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

BLOCK_BYTES = 64 << 20


def novelty(lists: Tensor, train_counts: Tensor) -> Tensor:
    """Mean self-information of each user's list in bits (Zhou et al., PNAS 2010); (U,) float64.

    -log2 p(i) with p(i) = (c_i + 1) / (sum of c + n_items): the share of train interactions that
    fall on item i, with one interaction added to each so that an unseen item stays finite.

    Args:
        lists: (U, k) item codes; -1 is no item. An empty list gives NaN.
        train_counts: (n_items,) train interactions of each item.
    """
    counts = train_counts.double() + 1
    information = -(counts / counts.sum()).log2()
    valid = lists >= 0
    total = torch.where(valid, information[lists.clamp(min=0)], 0.0).sum(1)
    return total / valid.sum(1)


def diversity(lists: Tensor, content: Tensor) -> Tensor:
    """Intra-list diversity (Ziegler et al., WWW 2005): mean over pairs of 1 - cosine; (U,) float64.

    Items without content (a vector of zeros) have no cosine and are left out; a list with fewer
    than two others gives NaN. The pairs are never formed: the cosines of m unit vectors sum to
    (|their sum|^2 - m) / 2.

    Args:
        lists: (U, k) item codes; -1 is no item.
        content: (n_items, d) content vectors.
    """
    unit = F.normalize(content.float(), dim=1)
    known = unit.any(dim=1)
    values = torch.empty(len(lists), dtype=torch.float64)
    step = max(1, BLOCK_BYTES // (4 * lists.shape[1] * unit.shape[1]))
    for start in range(0, len(lists), step):
        items = lists[start : start + step]
        valid = (items >= 0) & known[items.clamp(min=0)]
        vectors = unit[items.clamp(min=0)] * valid.unsqueeze(2)  # (users, k, d)
        m = valid.sum(1).double()
        cosines = (vectors.sum(1).double().square().sum(1) - m) / 2
        pairs = m * (m - 1) / 2
        values[start : start + step] = torch.where(pairs > 0, 1 - cosines / pairs, torch.nan)
    return values
