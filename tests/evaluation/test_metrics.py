"""Metrics in fractions that can be checked by hand."""

import math

import numpy as np
import pytest
import torch

from crossrec.evaluation.beyond_accuracy import diversity, novelty
from crossrec.evaluation.coverage import coverage
from crossrec.evaluation.metrics import METRICS, hit, mrr, ndcg, precision, recall

LOG3 = math.log2(3)


def of(metric, ranks: list[list[int]], k: int) -> list[float]:
    offsets = torch.tensor([0, *np.cumsum([len(own) for own in ranks])])
    return metric(torch.tensor([r for own in ranks for r in own]), offsets, k).tolist()


def test_one_relevant_item_at_rank_3():
    ranks = [[3]]
    assert of(ndcg, ranks, 10) == [0.5]
    assert of(mrr, ranks, 10) == [1 / 3]
    assert of(recall, ranks, 10) == [1.0]
    assert of(precision, ranks, 10) == [0.1]
    assert of(hit, ranks, 10) == [1.0]


@pytest.mark.parametrize("name", METRICS)
def test_beyond_k_is_nothing_and_at_k_is_something(name):
    values = of(METRICS[name], [[11], [10]], 10)
    assert values[0] == 0.0
    assert values[1] > 0.0


def test_several_relevant_items():
    ranks = [[1, 4, 12], [2, 1]]  # 2 of 3 hits within 10; both hits at the top
    assert of(recall, ranks, 10) == pytest.approx([2 / 3, 1.0])
    assert of(precision, ranks, 10) == pytest.approx([0.2, 0.2])
    assert of(mrr, ranks, 10) == [1.0, 1.0]
    ideal = 1 + 1 / LOG3 + 1 / 2
    assert of(ndcg, ranks, 10) == pytest.approx([(1 + 1 / math.log2(5)) / ideal, 1.0])


def test_ideal_holds_at_most_k_items_and_ranks_1_and_2_differ():
    assert of(ndcg, [[1, 2, 3]], 2) == pytest.approx([1.0])
    assert of(recall, [[1, 2, 3]], 2) == pytest.approx([2 / 3])
    assert of(ndcg, [[2]], 10) == pytest.approx([1 / LOG3])


def test_mrr_takes_the_first_hit_in_any_order():
    assert of(mrr, [[8, 2, 5], [9]], 5) == [0.5, 0.0]


def test_coverage_counts_distinct_items_and_its_interval():
    # Items 0, 1, 2 of 8 shown; 1 only by user 0, 2 only by user 1: s = (1, 1, 0), var = 2 / 9.
    lists = np.array([[0, 1], [0, 2], [0, -1]])
    value, low, high = coverage(lists, 8)
    assert value == 3 / 8
    half = 4.302652729911275 * math.sqrt(2 / 9 * 2) / 8  # t quantile with 2 degrees of freedom
    assert (low, high) == pytest.approx((max(0.0, 3 / 8 - half), 3 / 8 + half))


def test_coverage_interval_equals_the_jackknife_done_the_long_way():
    generator, shares = np.random.default_rng(0), 1 / np.arange(1, 301)
    draw = generator.choice
    lists = np.stack([draw(300, 5, replace=False, p=shares / shares.sum()) for _ in range(40)])
    value, low, high = coverage(lists, 300)
    left_out = [len(np.unique(np.delete(lists, u, 0))) / 300 for u in range(40)]
    variance = 39 * np.var(left_out)
    assert high - low == pytest.approx(2 * 2.0226909 * math.sqrt(variance), rel=1e-6)
    assert low < value < high


def test_coverage_of_one_user_has_no_interval():
    value, low, high = coverage(np.array([[3, 5]]), 4 + 4)
    assert value == 0.25
    assert math.isnan(low)
    assert math.isnan(high)


def test_novelty_is_self_information_in_bits():
    # Smoothed counts 4, 2, 1, 1 of 8: 1, 2, 3 and 3 bits.
    counts = torch.tensor([3, 1, 0, 0])
    values = novelty(torch.tensor([[0, 1], [2, 3], [1, -1], [-1, -1]]), counts)
    assert values[:3].tolist() == [1.5, 3.0, 2.0]
    assert math.isnan(values[3])


def test_diversity_by_hand():
    content = torch.tensor([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0], [0.0, 0.0]])
    lists = torch.tensor([[0, 2, -1], [0, 1, -1], [0, 1, 2], [0, 3, -1], [1, 3, 0]])
    values = diversity(lists, content).tolist()
    # Same direction 0; orthogonal 1; pairs 1, 0, 1; no pair with content; item 3 left out.
    assert values[:3] == pytest.approx([0.0, 1.0, 2 / 3])
    assert math.isnan(values[3])
    assert values[4] == pytest.approx(1.0)
