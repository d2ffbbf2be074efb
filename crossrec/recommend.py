"""Top-N lists for every user, in the target and in the source domain."""

from pathlib import Path

import polars as pl
import torch
from torch import Tensor

from crossrec.data.columns import ITEM, TITLE, USER
from crossrec.data.domain import Domain
from crossrec.scoring import USERS_PER_BLOCK, Ranker


@torch.no_grad()
def recommend(ranker: Ranker, n: int) -> pl.DataFrame:
    """The n best items of the domain's catalog for each user that the pair knows.

    A list is made from all that precedes the user's test events, as the evaluated lists are; what
    the user already has is left out. Users who were active in another domain only get lists too.

    Returns:
        domain, user_id, rank (from 1), item_id, title, score; users by code, best item first.
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
    return _table(domain, torch.cat(best_items), torch.cat(best_scores))


def _table(domain: Domain, items: Tensor, scores: Tensor) -> pl.DataFrame:
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
        }
    )
    return lists.filter(pl.col("score").is_finite())


def write_recommendations(path: Path, *lists: pl.DataFrame) -> None:
    """All lists in one Parquet file."""
    pl.concat(lists).write_parquet(path)
