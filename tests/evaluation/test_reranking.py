"""Fusing a judge's opinion with a model's scores, by hand."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossrec.data.columns import PAD
from crossrec.evaluation.ranking import Queries, rank
from crossrec.evaluation.reranking import Judged, choose_weight, compared, standardized
from crossrec.evaluation.reranking_tables import markdown, sentence

NAN, INF = math.nan, math.inf


def judged(
    truths: list[list[tuple[int, int]]],
    items: list[list[int]],
    scores: list[list[float]],
    judgments: list[list[float]],
) -> Judged:
    """truths: (item, rank) of each user."""
    offsets = torch.tensor([0, *(len(truth) for truth in truths)]).cumsum(0)
    flat = torch.tensor([pair for truth in truths for pair in truth])
    return Judged(
        torch.arange(len(truths)),
        offsets,
        flat[:, 0],
        flat[:, 1],
        torch.tensor(items),
        torch.tensor(scores),
        torch.tensor(judgments),
    )


def test_standardized_looks_at_what_is_known() -> None:
    found = standardized(torch.tensor([[1.0, 3.0, NAN], [2.0, 2.0, -INF], [NAN, NAN, NAN]]))
    assert found.tolist() == [[-1, 1, 0], [0, 0, 0], [0, 0, 0]]


def test_an_order_by_hand() -> None:
    # The model says 3 > 2 > 1, standardized 1.22, 0, -1.22; the judge turns it around.
    one = judged([[(7, 3)]], [[5, 6, 7]], [[3.0, 2.0, 1.0]], [[-1.0, 0.0, 1.0]])
    assert [int(one.reranked(weight)) for weight in (0, 0.4, 0.6, 1)] == [3, 3, 1, 1]
    assert int(one.reranked(0.5)) == 3  # all tie, and ties count against it
    assert choose_weight(one)[0] == 0.6


def test_a_judge_must_earn_its_weight() -> None:
    def of(n_better: int, n_worse: int) -> Judged:
        """The judge moves the answer from third to first place, or from first to third."""
        truths = [[(7, 3)]] * n_better + [[(5, 1)]] * n_worse
        n = len(truths)
        return judged(truths, [[5, 6, 7]] * n, [[3.0, 2.0, 1.0]] * n, [[-1.0, 0.0, 1.0]] * n)

    weight, reached = choose_weight(of(6, 5))
    # Each gains or loses 1/2: on average 1/22, with a standard error of about .5 / sqrt(11) = .15.
    assert reached[0.6] - reached[0] == pytest.approx(1 / 22)
    assert weight == 0
    assert choose_weight(of(11, 1))[0] == 0.6
    assert choose_weight(of(1, 11))[0] == 0


def test_what_is_not_among_the_best_stays() -> None:
    two = judged(
        [[(9, 8)], [(5, 2), (9, 4)]],
        [[5, 6, 7], [6, 5, 7]],
        [[3.0, 2.0, 1.0]] * 2,
        [[NAN] * 3, [0.0, 1.0, 0.0]],
    )
    assert two.reranked(1).tolist() == [8, 1, 4]
    assert two.within.tolist() == [False, True, False]
    # A row that was not asked keeps the model's order by any weight below 1.
    assert two.reranked(0.9).tolist() == [8, 1, 4]


def test_an_unreadable_item_stands_at_the_mean_and_absent_ones_nowhere() -> None:
    one = judged([[(6, 2)]], [[5, 6, 7, PAD]], [[3.0, 2.0, 1.0, -INF]], [[1.0, NAN, -1.0, NAN]])
    assert int(one.reranked(1)) == 2
    worse = judged([[(7, 3)]], [[5, 6, 7, PAD]], [[3.0, 2.0, 1.0, -INF]], [[1.0, NAN, -1.0, NAN]])
    assert int(worse.reranked(1)) == 3


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_no_weight_gives_the_models_own_ranks(data: st.DataObject) -> None:
    n_users, n_items = data.draw(st.integers(1, 4)), data.draw(st.integers(3, 9))
    k = data.draw(st.integers(2, n_items))
    values = st.sampled_from([0.0, 1.0, 1.0000001, 2.5, -3.0])  # ties, and nearly ties
    scores = torch.tensor(
        [data.draw(st.lists(values, min_size=n_items, max_size=n_items)) for _ in range(n_users)]
    )
    truths = [
        data.draw(st.lists(st.integers(0, n_items - 1), min_size=1, max_size=2, unique=True))
        for _ in range(n_users)
    ]
    offsets = torch.tensor([0, *map(len, truths)]).cumsum(0)
    items = torch.tensor([item for truth in truths for item in truth])
    none = torch.zeros(n_users + 1, dtype=torch.long)
    queries = Queries(torch.arange(n_users).numpy(), none, items[:0], offsets, items)
    ranking = rank(lambda rows: scores[rows], queries, n_items, k)
    opinion = torch.rand(n_users, k, generator=torch.Generator().manual_seed(0))
    found = Judged(
        torch.arange(n_users),
        offsets,
        items,
        ranking.truth_ranks,
        ranking.top_items,
        ranking.top_scores,
        opinion,
    )
    assert torch.equal(found.reranked(0), ranking.truth_ranks)
    for weight in (0.5, 1.0):
        ranks = found.reranked(weight)
        assert torch.equal(ranks[~found.within], ranking.truth_ranks[~found.within])
        assert (ranks[found.within] <= k).all()
        assert torch.equal(ranks, by_sorting(found, weight))


def by_sorting(found: Judged, weight: float) -> Tensor:
    """The ranks again, one held-out item at a time."""
    fused = (1 - weight) * standardized(found.scores.double()) + weight * standardized(
        found.judgments.double()
    )
    ranks = found.truth_ranks.clone()
    users = found.users.tolist()
    for place, user in enumerate(users):
        if not found.within[place]:
            continue
        mine = [t for t in range(len(users)) if users[t] == user and found.within[t]]
        of = {t: fused[user][found.items[user] == found.truth_items[t]].item() for t in mine}
        others = sum(value >= of[place] for value in fused[user].tolist()) - sum(
            of[t] >= of[place] for t in mine
        )
        before = sum(of[t] > of[place] or (of[t] == of[place] and t < place) for t in mine)
        ranks[place] = 1 + others + before
    return ranks


def test_comparison_and_what_is_said_of_it() -> None:
    users = 8
    found = judged(
        [[(7, 3)]] * users,
        [[5, 6, 7]] * users,
        [[3.0, 2.0, 1.0]] * users,
        [[0.0, 0.0, 1.0]] * users,
    )
    table = compared(found, 0.0, ["ndcg", "hit"], [1, 10])
    rows = {(model, metric): row for model, metric, *row in table.iter_rows()}
    assert rows["transferred", "ndcg@10"][0] == pytest.approx(0.5)
    assert rows["judge", "ndcg@10"][0] == pytest.approx(1)
    assert rows["judge", "ndcg@10"][3] == pytest.approx(0.5)
    assert rows["reranked", "ndcg@10"][3:] == [0, 0, 0, 1]
    assert rows["transferred", "hit@1"][0] == 0
    assert rows["transferred", "hit@1"][3:] == [None] * 4
    assert "weighs 0 in validation" in sentence(table, 0.0)
    better = compared(found, 1.0, ["ndcg"], [10])
    assert sentence(better, 1.0).endswith("p < 0.001: significant gain)")
    part = {"users": users, "asked": users, "seconds_per_asked_user": 0.1}
    account = {"valid": part, "test": part, "weight": 1.0}
    options = {"candidates": 3, "model": "m", "score": "yes_no"}
    text = markdown(better, "where", account, options)
    assert "| judge | 1.0000" in text
    assert text.startswith("where\n")
