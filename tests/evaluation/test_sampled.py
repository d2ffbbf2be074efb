"""Ranks among fixed negatives: by hand, against counting, and what the draw may depend on."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.errors import UserError
from crossrec.evaluation.ranking import Queries, rank
from crossrec.evaluation.sampled import fixed_negatives


def queries(seen: list[list[int]], truth: list[int], users: list[int] | None = None) -> Queries:
    offsets = torch.tensor([0, *np.cumsum([len(items) for items in seen])])
    flat = torch.tensor([i for items in seen for i in items], dtype=torch.int64)
    codes = np.array(users if users is not None else range(len(truth)))
    return Queries(codes, offsets, flat, torch.arange(len(truth) + 1), torch.tensor(truth))


def test_a_rank_counts_the_negatives_that_score_at_least_as_high() -> None:
    # Item 3 has 5: of its negatives 0 (9) is better, 1 (5) ties, 4 (1) is worse; 2 is not asked.
    scores = torch.tensor([[9.0, 5.0, 7.0, 5.0, 1.0]])
    negatives = torch.tensor([[0, 1, 4]])
    found = rank(lambda rows: scores[rows], queries([[]], [3]), 5, 2, negatives=negatives)
    assert found.truth_ranks.tolist() == [3]
    assert found.top_items.tolist() == [[0, 2]]  # the list is of the whole catalog


def test_a_scorer_without_an_opinion_or_with_nan_is_last() -> None:
    asked, negatives = queries([[], []], [0, 0]), torch.tensor([[1, 2, 3], [1, 2, 3]])
    scores = torch.tensor([[1.0] * 4, [math.nan, 0.0, -math.inf, -1.0]])
    found = rank(lambda rows: scores[rows], asked, 4, 1, negatives=negatives)
    assert found.truth_ranks.tolist() == [4, 4]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_negatives_are_different_items_that_the_user_does_not_have(data: st.DataObject) -> None:
    n_items = data.draw(st.integers(3, 30))
    items = st.integers(0, n_items - 1)
    truth = data.draw(st.lists(items, min_size=1, max_size=5))
    seen = [sorted(data.draw(st.sets(items, max_size=n_items - 2)) - {t}) for t in truth]
    most = min(n_items - len(own) - 1 for own in seen)
    n = data.draw(st.integers(1, most)) if most else 0
    if n == 0:
        return
    drawn = fixed_negatives(queries(seen, truth), n_items, n, seed=3)
    assert drawn.shape == (len(truth), n)
    for row, own, held_out in zip(drawn.tolist(), seen, truth, strict=True):
        assert len(set(row)) == n
        assert set(row) <= set(range(n_items)) - {*own, held_out}


def test_all_that_is_left_ranks_as_the_whole_catalog_does() -> None:
    generator = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 12, generator=generator)
    asked = queries([[0, 5]] * 20, [3] * 20)
    negatives = fixed_negatives(asked, 12, 12 - 3, seed=0)
    full = rank(lambda rows: scores[rows].clone(), asked, 12, 3)
    sampled = rank(lambda rows: scores[rows].clone(), asked, 12, 3, negatives=negatives)
    assert full.truth_ranks.equal(sampled.truth_ranks)
    assert full.top_items.equal(sampled.top_items)


def test_every_item_is_drawn_alike_often() -> None:
    drawn = fixed_negatives(queries([[2]] * 4000, [7] * 4000), 12, 4, seed=0)
    counts = torch.bincount(drawn.flatten(), minlength=12)
    assert counts[[2, 7]].tolist() == [0, 0]
    expected = 4000 * 4 / 10
    assert (counts[counts > 0] - expected).abs().max() < 5 * math.sqrt(expected * 0.6)


def test_a_draw_depends_on_its_user_and_the_seed_alone() -> None:
    together = fixed_negatives(queries([[1], [2], [3]], [5, 6, 7], [4, 8, 9]), 50, 10, seed=0)
    alone = fixed_negatives(queries([[2]], [6], [8]), 50, 10, seed=0)
    assert together[1].equal(alone[0])
    assert not alone.equal(fixed_negatives(queries([[2]], [6], [8]), 50, 10, seed=1))


def test_what_the_protocol_cannot_ask_is_refused() -> None:
    with pytest.raises(UserError, match=r"negatives=9: .* only 3 items of 5 left"):
        fixed_negatives(queries([[0]], [1]), 5, 9, seed=0)
    two = Queries(
        np.arange(1),
        torch.tensor([0, 0]),
        torch.tensor([], dtype=torch.int64),
        torch.tensor([0, 2]),
        torch.tensor([1, 2]),
    )
    with pytest.raises(UserError, match=r"one held-out item a user, but 2 are held out of 1"):
        fixed_negatives(two, 9, 3, seed=0)
