"""Splits whose test users or test items have no event in train at all."""

import numpy as np
import polars as pl

from crossrec.data.columns import IN_SOURCE, ITEM, USER
from crossrec.data.splits.draws import draw
from crossrec.data.splits.parts import share_of, with_parts
from crossrec.errors import UserError


def cold_users(
    interactions: pl.DataFrame, seed: int, beta: float = 0.2, valid_share: float = 0.1
) -> pl.DataFrame:
    """A share of the users that are known from the source lose all that they did in the target.

    Of the users with IN_SOURCE, floor(beta * number) are cold: all their events are test. Of the
    remaining ones floor(valid_share * number) are cold in validation. Everybody else is train,
    users without source events among them. Users are drawn by the seed, and those that are cold
    at one beta are cold at every larger one. The protocol of EMCDR (Man et al., IJCAI 2017) and
    PTUPCDR (Zhu et al., WSDM 2022), which reports beta = 0.2, 0.5 and 0.8.

    Args:
        interactions: with the Boolean column IN_SOURCE.

    Raises:
        UserError: a share is out of range or comes to no user, IN_SOURCE is missing, or no user
            has source events.
    """
    if not 0 < beta < 1 or not 0 <= valid_share < 1:
        raise UserError(
            "split.function.beta must lie between 0 and 1 and valid_share be at least 0 and less "
            f"than 1, got {beta} and {valid_share}"
        )
    if IN_SOURCE not in interactions.columns:
        raise UserError(
            f"split=cold_users needs to know which users have source events (column {IN_SOURCE}): "
            "it splits a target; use another split.source_function for a source"
        )
    users = interactions.filter(pl.col(IN_SOURCE))[USER].unique()
    if users.is_empty():
        raise UserError(
            "split=cold_users draws its users from those with events in both domains, but source "
            "and target share none; choose domains that share users, or split=leave_one_out"
        )
    what = "users with events in both domains"
    n_test = _number("beta", beta, len(users), what)
    n_valid = _number("valid_share", valid_share, len(users) - n_test, f"remaining {what}")
    return _by_id(interactions, USER, users, seed, n_valid, n_test)


def cold_items(
    interactions: pl.DataFrame, seed: int, test_share: float = 0.1, valid_share: float = 0.1
) -> pl.DataFrame:
    """A share of the items has all its events in test, another all in valid; the rest is train.

    floor(share * number of items) items each, drawn by the seed; those that are cold in test at
    one test_share are so at every larger one.

    Raises:
        UserError: a share is out of range or comes to no item.
    """
    if not (test_share > 0 and valid_share >= 0 and test_share + valid_share < 1):
        raise UserError(
            "split.function.test_share must be above 0, valid_share at least 0, and both sum to "
            f"less than 1, got {test_share} and {valid_share}"
        )
    items = interactions[ITEM].unique()
    n_test = _number("test_share", test_share, len(items), "items")
    n_valid = _number("valid_share", valid_share, len(items), "items")
    return _by_id(interactions, ITEM, items, seed, n_valid, n_test)


def _number(key: str, share: float, n_all: int, what: str) -> int:
    """How many of `n_all` a share is. Raises UserError if a share above 0 comes to none."""
    count = int(share_of(n_all, share))
    if share > 0 and count == 0:
        raise UserError(
            f"split.function.{key}={share:g} of {n_all:,} {what} is none; raise it to "
            f"{1 / n_all:.2g} or more"
            if n_all
            else f"split.function.{key}={share:g}: there are no {what}"
        )
    return count


def _by_id(
    interactions: pl.DataFrame, column: str, ids: pl.Series, seed: int, n_valid: int, n_test: int
) -> pl.DataFrame:
    """All events of the first ids of a random order are test, of those after them valid."""
    ids = ids.sort()  # so that equal draws go by id
    drawn = ids.gather(np.argsort(draw(ids, seed), kind="stable"))
    test, valid = (
        interactions[column].is_in(some.implode()).to_numpy()
        for some in (drawn[:n_test], drawn[n_test : n_test + n_valid])
    )
    return with_parts(interactions, valid, test)
