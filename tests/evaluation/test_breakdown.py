"""A metric in bins of history and of popularity, by hand."""

import itertools
import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.evaluation.breakdown import (
    AT_LEAST,
    AT_MOST,
    bin_title,
    binned,
    bins,
    by_history,
    by_popularity,
    gains,
)


def frame(folder: str = "run", **columns: list) -> pl.DataFrame:
    n = len(next(iter(columns.values())))
    users = {"user_id": [f"u{i}" for i in range(n)], "world": [""] * n, "folder": [folder] * n}
    return pl.DataFrame(users | columns)


def test_users_are_taken_together_by_their_history():
    own = frame(n_train=[0, 0, 3], **{"ndcg@10": [0.2, 0.4, 1.0]})
    found = binned(by_history({"scratch": [own]}, "ndcg@10"), [(0, 2), (3, 9)])
    assert found["n"].to_list() == [2, 1]
    assert found["value"].to_list() == pytest.approx([0.3, 1.0])
    # t with 1 degree of freedom, times the standard error 0.1.
    assert found["high"][0] == pytest.approx(0.3 + 12.7062047 * 0.1)
    assert math.isnan(found["high"][1])


def test_a_user_who_is_asked_in_two_runs_is_one_observation():
    """Two seeds with the same users are no more users than one."""
    values = [0.0, 1.0, 0.0, 1.0]
    once = frame(n_train=[1] * 4, **{"ndcg@10": values})
    twice = frame("other", n_train=[1] * 4, **{"ndcg@10": values})
    alone, both = (
        binned(by_history({"scratch": tables}, "ndcg@10"), [(0, 9)])
        for tables in ([once], [once, twice])
    )
    assert both["n"].item() == 8
    assert both.drop("n").equals(alone.drop("n"))


def test_every_held_out_item_counts_by_its_own_popularity():
    own = frame(truth_items=[[0, 2], [1]], truth_ranks=[[1, 11], [10]])
    table = by_popularity({"scratch": [own]}, {"run": np.array([50, 50, 1])}, 10)
    assert table["key"].to_list() == [50, 1, 50]
    found = binned(table, [(0, 10), (11, 99)])
    assert found["n"].to_list() == [1, 2]
    assert found["value"].to_list() == [0.0, 1.0]


def test_a_gain_pairs_what_was_asked_alike():
    ours = frame(truth_items=[[0, 1], [2]], truth_ranks=[[1, 11], [1]])
    theirs = frame(truth_items=[[0, 1], [2]], truth_ranks=[[11, 1], [1]])
    elsewhere = frame("other", truth_items=[[0], [2]], truth_ranks=[[1], [1]])
    counts = {"run": np.array([1, 5, 9]), "other": np.array([1, 5, 9])}
    gain = gains(
        by_popularity({"l2_sp": [ours, elsewhere]}, counts, 10),
        by_popularity({"scratch": [theirs]}, counts, 10),
    ).sort("key")
    assert gain["key"].to_list() == [1, 5, 9]
    assert gain["value"].to_list() == [1.0, -1.0, 0.0]
    assert gain["folder"].unique().to_list() == ["run"]


def test_the_gain_of_a_row_over_itself_is_nothing():
    own = frame(n_train=[0, 1, 2], **{"ndcg@10": [0.2, 0.4, 1.0]})
    table = by_history({"a": [own]}, "ndcg@10")
    found = binned(gains(table, table), [(0, 9)])
    assert found.select("value", "low", "high").row(0) == (0.0, 0.0, 0.0)


def test_bins_grow_and_the_last_one_takes_the_rest():
    keys = np.repeat([0, 1, 2, 3, 5, 200], 20)
    assert bins(keys) == [(0, 0), (1, 1), (2, 3), (4, 6), (7, 200)]
    assert bins(np.array([3, 3, 4])) == [(3, 4)]
    assert [bin_title(0, 0), bin_title(2, 3), bin_title(7, 1200)] == ["0", "2–3", "7–1,200"]


@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=300))
def test_every_key_has_one_bin(keys: list[int]):
    found = bins(np.array(keys))
    inside = [sum(low <= key <= high for key in keys) for low, high in found]
    assert sum(inside) == len(keys)
    assert len(found) <= AT_MOST
    assert len(found) == 1 or min(inside) >= AT_LEAST
    assert all(a[1] < b[0] for a, b in itertools.pairwise(found))
