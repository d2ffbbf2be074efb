"""Top-N lists for every user, in the target and in the source domain."""

from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from crossrec.data.columns import ITEM, TITLE, USER
from crossrec.stages.reasons import Explainer, Reasons
from crossrec.stages.scoring import USERS_PER_BLOCK, Ranker


@torch.no_grad()
def recommend(ranker: Ranker, explainer: Explainer, n: int) -> pl.DataFrame:
    """The n best items of the domain's catalog for each user that the pair knows.

    A list is made from all that precedes the user's test events, as the evaluated lists are; what
    the user already has is left out. Users who were active in another domain only get lists too.

    Args:
        ranker: of the domain.
        explainer: of the same domain.
        n: length of a list.

    Returns:
        domain, user_id, rank (from 1), item_id, title, score, reason, because_item_id
        and because_domain (of the history's item that the reason names, null where it names none);
        users by code, best item first.
    """
    domain = ranker.domain
    known = domain.known
    score_block = ranker.block("known")
    rows = torch.repeat_interleave(torch.arange(len(known.users)), known.lengths)
    had = torch.stack([rows[known.own], known.items[known.own]])
    best_items, best_scores = [], []
    for first in range(0, len(known.users), USERS_PER_BLOCK):
        scores = score_block(slice(first, first + USERS_PER_BLOCK)).clone()  # may be the model's
        mine = (had[0] >= first) & (had[0] < first + len(scores))
        row, item = had[:, mine].to(scores.device)
        scores[row - first, item] = -torch.inf
        top = scores.topk(min(n, domain.n_items), dim=1)
        best_items.append(top.indices.cpu())
        best_scores.append(top.values.cpu())
    items = torch.cat(best_items)
    return _table(explainer, items, torch.cat(best_scores), explainer.explain(items))


def _table(explainer: Explainer, items: Tensor, scores: Tensor, reasons: Reasons) -> pl.DataFrame:
    domain = explainer.domain
    n_users, n = items.shape
    users = domain.known.users.repeat_interleave(n).numpy()
    lists = pl.DataFrame(
        {
            "domain": pl.Series([domain.name]).new_from_index(0, n_users * n),
            USER: domain.user_ids[users],
            "rank": (torch.arange(n_users * n) % n + 1).numpy(),
            ITEM: domain.items[ITEM][items.flatten().numpy()],
            TITLE: domain.items[TITLE][items.flatten().numpy()],
            "score": scores.flatten().float().numpy(),
            "reason": reasons.lines,
        }
    )
    lists = pl.concat([lists, explainer.named(reasons.because.flatten())], how="horizontal")
    return lists.filter(pl.col("score").is_finite())


def write_recommendations(path: Path, *lists: pl.DataFrame) -> None:
    """All lists in one Parquet file."""
    pl.concat(lists).write_parquet(path)
