"""Ranks by hand, and equality with a ranking that is too simple to be wrong."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.evaluation.ranking import PAD, Queries, Ranking, factorized, rank


def queries(seen: list[list[int]], truth: list[list[int]]) -> Queries:
    def flat(lists: list[list[int]]) -> tuple[torch.Tensor, torch.Tensor]:
        offsets = torch.tensor([0, *np.cumsum([len(items) for items in lists])])
        return offsets, torch.tensor([i for items in lists for i in items], dtype=torch.int64)

    return Queries(np.arange(len(truth)), *flat(seen), *flat(truth))


def rank_table(
    scores: list[list[float]],
    asked: Queries,
    k: int,
    block: int | None = None,
    beyond_k: bool = True,
) -> Ranking:
    table = torch.tensor(scores)
    return rank(lambda rows: table[rows], asked, table.shape[1], k, block, beyond_k=beyond_k)


def naive(scores: list[list[float]], seen: list[list[int]], truth: list[list[int]], k: int):
    """Ranks by comparing pairs, lists by sorting; NaN is put below every number."""
    ranks, lists = [], []
    for row, own_seen, own_truth in zip(scores, seen, truth, strict=True):
        clean = [-1e30 if math.isnan(s) or s == -math.inf else s for s in row]
        candidates = [i for i in range(len(row)) if i not in own_seen]
        others = [i for i in candidates if i not in own_truth]
        ordered = sorted(own_truth, key=lambda i: -clean[i])  # stable: ties as they are listed
        for item in own_truth:
            better = sum(clean[i] >= clean[item] for i in others)
            ranks.append(better + ordered.index(item) + 1)
        best = sorted(candidates, key=lambda i: (-clean[i], i))[:k]
        lists.append(best + [PAD] * (k - len(best)))
    return ranks, lists


def test_rank_counts_better_candidates_and_leaves_seen_out():
    # Item 3 has score 2: items 0 and 1 are better, item 0 is seen, so it stands second.
    result = rank_table([[9.0, 8.0, 1.0, 2.0]], queries([[0]], [[3]]), k=2)
    assert result.truth_ranks.tolist() == [2]
    assert result.truth_scores.tolist() == [2.0]
    assert result.top_items.tolist() == [[1, 3]]
    assert result.top_scores.tolist() == [[8.0, 2.0]]


def test_a_scorer_without_an_opinion_earns_the_worst_rank():
    result = rank_table([[0.5] * 6], queries([[4]], [[0]]), k=3)
    assert result.truth_ranks.tolist() == [5]
    assert result.top_items.tolist() == [[0, 1, 2]]


def test_tied_held_out_items_follow_the_tied_others_one_by_one():
    # 7 is best; items 1, 2, 3 tie at 5, of which 1 and 2 are held out: places 3 and 4.
    result = rank_table([[7.0, 5.0, 5.0, 5.0, 1.0]], queries([[]], [[1, 2]]), k=5)
    assert result.truth_ranks.tolist() == [3, 4]
    assert result.top_items.tolist() == [[0, 1, 2, 3, 4]]


def test_nan_is_worst():
    nan = math.nan
    result = rank_table([[nan, 1.0, nan, -math.inf]], queries([[]], [[0]]), k=2)
    assert result.truth_ranks.tolist() == [4]
    assert result.top_items.tolist() == [[1, 0]]
    assert rank_table([[nan, 1.0, 0.0]], queries([[]], [[2]]), k=1).truth_ranks.tolist() == [2]
    # A seen NaN is no candidate, and infinity is a score like any other.
    result = rank_table([[nan, math.inf, 3.0]], queries([[0]], [[2]]), k=3)
    assert result.truth_ranks.tolist() == [2]
    assert result.top_items.tolist() == [[1, 2, PAD]]


def test_lists_end_where_candidates_run_out():
    result = rank_table([[1.0, 2.0, 3.0]], queries([[2, 1]], [[0]]), k=5)
    assert result.top_items.tolist() == [[0, PAD, PAD, PAD, PAD]]
    assert result.top_scores.tolist() == [[1.0] + [-math.inf] * 4]


def test_the_models_own_table_is_left_as_it_was():
    table = torch.arange(12.0).view(3, 4)
    table[0, 1] = math.nan
    before = table.clone()
    asked = queries([[3], [0, 0], []], [[0], [1], [2]])
    rank(lambda rows: table[rows], asked, 4, 2)
    torch.testing.assert_close(table, before, rtol=0, atol=0, equal_nan=True)
    shared = torch.arange(4.0)  # one row for all users, as popularity gives
    result = rank(lambda rows: shared.expand(rows.stop - rows.start, 4), asked, 4, 1)
    assert result.top_items.tolist() == [[2], [3], [3]]


def test_many_equal_scores_are_settled_by_item_code_in_large_catalogs():
    scores = torch.zeros(2, 5000)
    scores[0, 4000] = 1.0
    result = rank(lambda rows: scores[rows], queries([[0, 2], []], [[9], [9]]), 5000, 3)
    assert result.top_items.tolist() == [[4000, 1, 3], [0, 1, 2]]
    assert result.truth_ranks.tolist() == [4998, 5000]


def test_factorised_is_the_inner_product():
    users, items = torch.randn(5, 3), torch.randn(40, 3)
    asked = queries([[]] * 5, [[i] for i in range(5)])
    ours = rank(factorized(users, items), asked, 40, 7, block=2)
    expected = (users @ items.T).topk(7)
    assert torch.equal(ours.top_items, expected.indices)
    torch.testing.assert_close(ours.top_scores, expected.values)


def test_ranks_beyond_k_are_not_counted_unless_asked() -> None:
    # Scores 5, 4, 4, 2, 1: of the held-out 2 and 3 the first ties at place 2 with item 1.
    asked = queries([[]], [[2, 3]])
    scores = [[5.0, 4.0, 4.0, 2.0, 1.0]]
    assert rank_table(scores, asked, 5, beyond_k=False).truth_ranks.tolist() == [3, 4]
    assert rank_table(scores, asked, 3, beyond_k=False).truth_ranks.tolist() == [3, 4]
    assert rank_table(scores, asked, 2, beyond_k=False).truth_ranks.tolist() == [3, 3]
    assert rank_table(scores, asked, 1, beyond_k=False).truth_ranks.tolist() == [2, 2]


@st.composite
def problems(draw: st.DrawFn):
    n_items = draw(st.sampled_from([2, 5, 9, 60, 200]))
    n_users = draw(st.integers(1, 7))
    levels = draw(st.sampled_from([1, 2, 5, 1000]))
    seed = draw(st.integers(0, 2**32 - 1))
    generator = np.random.default_rng(seed)
    table = generator.integers(0, levels, (n_users, n_items)).astype(float)
    table[generator.random(table.shape) < draw(st.sampled_from([0.0, 0.3]))] = math.nan
    table[generator.random(table.shape) < draw(st.sampled_from([0.0, 0.3]))] = -math.inf
    seen, truth = [], []
    for _ in range(n_users):
        items = generator.permutation(n_items).tolist()
        n_truth = int(generator.integers(1, min(n_items, 8) + 1))
        truth.append(items[:n_truth])
        seen.append(items[n_truth : n_truth + int(generator.integers(0, n_items - n_truth + 1))])
    k = draw(st.integers(1, 12))
    return table.tolist(), seen, truth, k, draw(st.sampled_from([None, 1, 2, 3, 100]))


@settings(max_examples=80, deadline=None)
@given(problems())
def test_equals_the_naive_ranking_whatever_the_block(problem):
    scores, seen, truth, k, block = problem
    result = rank_table(scores, queries(seen, truth), k, block)
    ranks, lists = naive(scores, seen, truth, k)
    assert result.truth_ranks.tolist() == ranks
    assert result.top_items.tolist() == lists
    told = min(k, len(scores[0]))
    within = rank_table(scores, queries(seen, truth), k, block, beyond_k=False)
    assert within.truth_ranks.tolist() == [min(found, told + 1) for found in ranks]
    assert torch.equal(within.top_items, result.top_items)


@pytest.mark.parametrize(
    ("seen", "truth", "message"),
    [
        ([[1]], [[1]], "also among the user's seen"),
        ([[]], [[2, 2]], "listed twice"),
        ([[]], [[4]], "truth item codes must lie in 0 .. 3"),
        ([[-1]], [[0]], "seen item codes"),
    ],
)
def test_impossible_questions_are_refused(seen, truth, message):
    with pytest.raises(ValueError, match=message):
        rank_table([[0.0, 1.0, 2.0, 3.0]], queries(seen, truth), k=1)


def test_malformed_queries_and_scores_are_refused():
    with pytest.raises(ValueError, match="truth by at least 1"):
        queries([[]], [[]])
    one = torch.tensor([0])
    with pytest.raises(ValueError, match="seen_offsets must run from 0 to 1"):
        Queries(np.arange(1), torch.tensor([0, 2]), one, torch.tensor([0, 1]), one)
    with pytest.raises(ValueError, match=r"gave \(1, 3\), expected \(1, 4\)"):
        rank(lambda rows: torch.zeros(1, 3), queries([[]], [[0]]), 4, 1)
