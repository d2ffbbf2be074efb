"""Mixtures: one scale for all scores, and weights that follow validation."""

import math
from collections.abc import Callable

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from crossrec.evaluation.mixing import choose_weights, mixed, standardized
from crossrec.evaluation.ranking import Queries, ScoreBlock

N_ITEMS = 30


def queries_of(truth: list[int]) -> Callable[[Tensor], Queries]:
    """Each query has one relevant item and has seen nothing."""

    def queries(rows: Tensor) -> Queries:
        offsets = torch.arange(len(rows) + 1)
        none = torch.zeros(0, dtype=torch.int64)
        items = torch.tensor(truth)[rows]
        return Queries(rows.numpy(), torch.zeros_like(offsets), none, offsets, items)

    return queries


def block_of(scores: Tensor) -> ScoreBlock:
    return lambda rows: scores[rows].clone()


def knows(known: list[bool], truth: list[int], noise: int) -> Tensor:
    """Scores that put the relevant item first in some queries and are noise in the others."""
    generator = torch.Generator().manual_seed(noise)
    scores = torch.rand(len(truth), N_ITEMS, generator=generator)
    for row, (right, item) in enumerate(zip(known, truth, strict=True)):
        if right:
            scores[row, item] = 5.0
    return scores


def test_standardized_by_hand() -> None:
    out = standardized(torch.tensor([[1.0, 3.0], [4.0, 4.0]]))
    assert out.tolist() == [[-1.0, 1.0], [0.0, 0.0]]


@given(
    shift=st.floats(-100, 100),
    scale=st.floats(1, 1e3),
    row=st.lists(st.integers(-50, 50), min_size=2, max_size=8, unique=True),
)
def test_standardized_forgets_shift_and_scale(shift: float, scale: float, row: list[int]) -> None:
    scores = torch.tensor([row], dtype=torch.float64)
    assert torch.allclose(standardized(scores), standardized(scores * scale + shift), atol=1e-3)


def test_a_constant_ranker_has_no_opinion_at_any_level() -> None:
    for level in (0.1, 1e6, -3.3):
        assert not standardized(torch.full((1, 1000), level)).any()


def test_the_better_ranker_gets_the_weight() -> None:
    truth = [3] * 40
    good, bad = knows([True] * 40, truth, 0), knows([False] * 40, truth, 1)
    weights, alone, value = choose_weights(
        [block_of(bad), block_of(good)], 40, queries_of(truth), N_ITEMS
    )
    assert weights == [0.0, 1.0]
    assert alone[1] == value == 1.0
    assert alone[0] < 0.5


def test_rankers_that_know_different_queries_are_mixed() -> None:
    truth = list(range(20)) * 2
    half = [row % 2 == 0 for row in range(40)]
    one = knows(half, truth, 0)
    other = knows([not known for known in half], truth, 1)
    weights, alone, value = choose_weights(
        [block_of(one), block_of(other)], 40, queries_of(truth), N_ITEMS
    )
    assert min(weights) > 0
    assert sum(weights) == pytest.approx(1.0)
    assert value > max(alone) + 0.2


def test_equal_rankers_give_the_first() -> None:
    truth = [1] * 10
    scores = knows([True] * 10, truth, 0)
    weights, _, _ = choose_weights([block_of(scores)] * 3, 10, queries_of(truth), N_ITEMS)
    assert weights == [1.0, 0.0, 0.0]


def test_the_value_is_that_of_the_mixture_by_hand() -> None:
    """Two rankers, one query: alone the relevant item is second, together it is first."""
    one = torch.tensor([[3.0, 2.0, 0.0, 0.0]])
    other = torch.tensor([[0.0, 2.0, 3.0, 0.0]])
    weights, alone, value = choose_weights([block_of(one), block_of(other)], 1, queries_of([1]), 4)
    assert alone == pytest.approx([1 / math.log2(3)] * 2)
    assert (weights, value) == ([0.5, 0.5], 1.0)


def test_few_stand_for_all_where_memory_is_short() -> None:
    truth = [3] * 40
    good, bad = knows([True] * 40, truth, 0), knows([False] * 40, truth, 1)
    blocks = [block_of(bad), block_of(good)]
    asked: list[int] = []

    def queries(rows: Tensor) -> Queries:
        asked.extend(rows.tolist())
        return queries_of(truth)(rows)

    room_for_ten = 4 * N_ITEMS * 2 * 10
    weights, _, _ = choose_weights(blocks, 40, queries, N_ITEMS, cache_bytes=room_for_ten)
    assert asked == list(range(0, 40, 4))
    assert weights == [0.0, 1.0]


def test_mixed_is_the_weighted_sum() -> None:
    one, other = torch.rand(6, 9), torch.rand(6, 9) * 100
    block = mixed([block_of(one), block_of(other)], [0.25, 0.75])
    expected = 0.25 * standardized(one) + 0.75 * standardized(other)
    assert torch.allclose(block(slice(2, 5)), expected[2:5])
