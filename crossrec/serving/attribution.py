"""Why an item is recommended: what of its score goes when an item of the past is left out."""

import torch
from torch import Tensor

from crossrec.data.pair import Side
from crossrec.serving.past import Past
from crossrec.serving.rows import Row

MOST_LEFT_OUT = 64  # items of the past that are tried, the last ones

Reason = tuple[Side, int, float]
"""Domain and code of an item of the past, and by how much the score falls without it."""


def reasons(row: Row, past: Past, items: Tensor, most: int) -> list[list[Reason]]:
    """For each recommended item the items of the past that hold its score up most.

    Exact, and the same for every model: the score is computed again without the item, for each
    item of the past (leave-one-out; Li, Monroe and Jurafsky, "Understanding Neural Networks through
    Representation Erasure", 2016). Where the model reads the last L events, an older one may take
    the place of the one that is left out, as it would have. All of it is one batch.

    Args:
        row: the model.
        past: of the person, with what was asked about.
        items: (C,) codes of the recommended items.
        most: reasons an item.

    Returns:
        For each item at most `most` reasons, the greatest fall first; what lowers the score, or
        does not change it, is no reason.
    """
    tried = list(dict.fromkeys(reversed(past.events())))[:MOST_LEFT_OUT]
    if most == 0 or not tried or len(items) == 0 or not row.reads_history:
        return [[] for _ in items]
    scores = row.score([past, *(past.without(side, item) for side, item in tried)], items)
    falls = scores[:1] - scores[1:]  # (tried, C)
    # What rounding leaves of nothing is no reason.
    falls = falls.masked_fill(falls <= 1e-5 * scores.abs().amax(dim=0), -torch.inf)
    top = falls.topk(min(most, len(tried)), dim=0)
    return [
        [
            (*tried[place], fall)
            for place, fall in zip(places, column, strict=True)
            if fall > -torch.inf
        ]
        for places, column in zip(top.indices.T.tolist(), top.values.T.tolist(), strict=True)
    ]
