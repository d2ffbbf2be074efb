"""A source and a target domain with their ids aligned, once and in this place alone.

Users get one code each over both domains, so that row u of a user table means the same person
on either side. Items of a domain are numbered 0 .. n_items - 1; seen from the target, source
item j is context item n_items + j: it may stand in a history but is never recommended.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import torch
from torch import Tensor

from crossrec.data.columns import ITEM, POSITION, TIMESTAMP, USER
from crossrec.data.domain import ITEM_CODE, KEY, USER_CODE, Domain
from crossrec.data.histories import build_domain
from crossrec.errors import UserError

Order = Literal["cut", "keep", "unknown", "absent"]
"""How events of both domains are ordered; absent: one of the domains is not here."""
Side = Literal["source", "target"]
SIDES: tuple[Side, Side] = ("source", "target")
"""Which of the two domains of a pair."""


@dataclass(frozen=True)
class DomainPair:
    """Source and target, aligned.

    Attributes:
        source: the source domain by itself.
        target: the target domain, its histories joined with the source's events.
        target_only: the target domain without source events: all that scratch may see.
        shared_users: (S,) int64 codes of the users that have events in both domains.
        shared_items: (S, 2) int64, target code and source code of items in both catalogs.
    """

    source: Domain
    target: Domain
    target_only: Domain
    shared_users: Tensor
    shared_items: Tensor


def time_order(
    source: pl.DataFrame,
    target: pl.DataFrame,
    source_after_test: Literal["cut", "keep"],
    position_spans_domains: bool,
) -> tuple[Order, str | None]:
    """How events of two domains can be put in one order, and by which column.

    "cut" needs a time that both domains share: timestamps on every event, or a POSITION that
    counts over both. Without one the order is "unknown" and the source goes first, as in "keep".
    """
    if source_after_test not in ("cut", "keep"):
        raise UserError(f"split.source_after_test must be cut or keep, got {source_after_test}")
    shared: str | None = None
    if source[TIMESTAMP].null_count() == 0 and target[TIMESTAMP].null_count() == 0:
        shared = TIMESTAMP
    elif position_spans_domains and not (
        source[POSITION].null_count() or target[POSITION].null_count()
    ):
        shared = POSITION
    if source_after_test == "keep":
        return "keep", shared
    return ("cut", shared) if shared else ("unknown", None)


def align(
    source: tuple[str, pl.DataFrame, pl.DataFrame],
    target: tuple[str, pl.DataFrame, pl.DataFrame],
    order: Order,
    time: str | None,
) -> DomainPair:
    """Number users and items and build the three domains.

    Args:
        source, target: name, interactions with a SPLIT column in order of time, items.
        order, time: what `time_order` said.
    """
    source_name, source_events, source_items = source
    target_name, target_events, target_items = target
    user_ids = pl.concat([source_events[USER], target_events[USER]]).unique().sort()
    key = time if order == "cut" else None
    own_source = _coded(source_events, user_ids, source_items[ITEM], key)
    own_target = _coded(target_events, user_ids, target_items[ITEM], key)
    context = own_source.with_columns(pl.col(ITEM_CODE) + len(target_items))
    alone = context.clear()
    in_both = np.intersect1d(own_source[USER_CODE].to_numpy(), own_target[USER_CODE].to_numpy())

    def build(
        name: str, items: pl.DataFrame, own: pl.DataFrame, past: pl.DataFrame, n_context: int
    ) -> Domain:
        return build_domain(name, user_ids, items, own, past, n_context, order != "cut")

    return DomainPair(
        source=build(source_name, source_items, own_source, alone, 0),
        target=build(target_name, target_items, own_target, context, len(source_items)),
        target_only=build(target_name, target_items, own_target, alone, 0),
        shared_users=torch.from_numpy(in_both),
        shared_items=_shared(target_items[ITEM], source_items[ITEM]),
    )


def _coded(
    events: pl.DataFrame, user_ids: pl.Series, item_ids: pl.Series, key: str | None
) -> pl.DataFrame:
    """The events with integer codes and their ordering KEY (null where there is no shared time)."""
    users = pl.DataFrame({USER: user_ids}).with_row_index(USER_CODE)
    items = pl.DataFrame({ITEM: item_ids}).with_row_index(ITEM_CODE)
    return (
        events.join(users, on=USER, how="left", maintain_order="left")
        .join(items, on=ITEM, how="left", maintain_order="left")
        .with_columns(
            pl.col(USER_CODE).cast(pl.Int64),
            pl.col(ITEM_CODE).cast(pl.Int64),
            (pl.col(key) if key else pl.lit(None)).cast(pl.Int64).alias(KEY),
        )
    )


def _shared(target_ids: pl.Series, source_ids: pl.Series) -> Tensor:
    """(S, 2) codes of ids that stand in both catalogs."""
    target = pl.DataFrame({ITEM: target_ids}).with_row_index("target")
    source = pl.DataFrame({ITEM: source_ids}).with_row_index("source")
    both = target.join(source, on=ITEM, how="inner").sort("target")
    return torch.from_numpy(both.select("target", "source").to_numpy().astype("int64"))
