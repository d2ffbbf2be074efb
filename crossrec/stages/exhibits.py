"""What a run shows beside its numbers: the catalog's popularity, and a few users to look at."""

from pathlib import Path

import numpy as np
import polars as pl
import torch

from crossrec.data.columns import ITEM, TITLE, USER
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair

CATALOG, EXAMPLES = "catalog.parquet", "examples.parquet"
USERS_A_KIND, EVENTS_A_DOMAIN = 2, 12


def write_exhibits(folder: Path, pair: DomainPair, seed: int) -> None:
    """Write catalog.parquet and examples.parquet into a run folder.

    catalog.parquet: item_id and n_train, train interactions, of each target item; row number =
    the code by which per_user.parquet names it. examples.parquet: what `examples` gives.
    """
    target = pair.target
    counts = pl.Series("n_train", target.item_counts().numpy())
    target.items.select(ITEM).with_columns(counts).write_parquet(folder / CATALOG)
    examples(pair, seed).write_parquet(folder / EXAMPLES)


def examples(pair: DomainPair, seed: int) -> pl.DataFrame:
    """A few test users with what they did: drawn by lot, not chosen by how well they are served.

    Up to USERS_A_KIND of each kind: users who are in the source, too, and users who are not, with
    the fewest and with more train interactions than the median user. Of longer histories the last
    EVENTS_A_DOMAIN events stand.

    Returns:
        user_id, n_train, shared, part (source, target or held out), item_id, title: events
        of a user by part, oldest first.
    """
    test, target = pair.target.test, pair.target
    shared = torch.isin(test.users, pair.shared_users)
    warm = test.n_train > test.n_train.float().median()
    draw = np.random.default_rng(seed)
    parts = []
    for is_shared in (True, False):
        for is_warm in (False, True):
            kind = torch.nonzero((shared == is_shared) & (warm == is_warm)).flatten().numpy()
            for row in draw.permutation(kind)[:USERS_A_KIND].tolist():
                user = int(test.users[row])
                place = slice(int(test.truth_offsets[row]), int(test.truth_offsets[row + 1]))
                events = [
                    ("source", pair.source, _had(pair.source, user)),
                    ("target", target, _had(target, user)),
                    ("held out", target, test.truth_items[place]),
                ]
                parts += [
                    domain.items[items[-EVENTS_A_DOMAIN:].numpy()].select(
                        pl.lit(target.user_ids[user]).alias(USER),
                        pl.lit(int(test.n_train[row])).alias("n_train"),
                        pl.lit(is_shared).alias("shared"),
                        pl.lit(part).alias("part"),
                        ITEM,
                        TITLE,
                    )
                    for part, domain, items in events
                ]
    return pl.concat(parts)


def _had(domain: Domain, user: int) -> torch.Tensor:
    """Items of a domain that a user had before the test events, oldest first."""
    known = domain.known
    rows = torch.nonzero(known.users == user).flatten().tolist()
    if not rows:
        return known.items[:0]
    events = slice(int(known.offsets[rows[0]]), int(known.offsets[rows[0] + 1]))
    return known.items[events][known.own[events]]
