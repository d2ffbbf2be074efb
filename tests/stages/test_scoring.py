"""Score functions of the table's rows: what each of them may and may not see."""

import numpy as np
import pytest
import torch

from crossrec.data.pair import DomainPair
from crossrec.data.simulation.preferences import Preferences
from crossrec.evaluation.metrics import ndcg
from crossrec.models.two_tower import TwoTower
from crossrec.stages.baselines import baselines, tune
from crossrec.stages.judging import judge, oracle, trained
from crossrec.stages.scoring import (
    Single,
    history_matrix,
    of_model,
    train_matrix,
    truth_scores,
    user_states,
)

EVALUATION = {
    "metrics": ["ndcg"],
    "ks": [10],
    "beyond": ["coverage"],
    "like_at": 4,
    "negatives": None,
    "negatives_seed": 0,
}


def tower(pair: DomainPair) -> TwoTower:
    torch.manual_seed(0)
    domain = pair.target
    return TwoTower(domain.n_users, domain.n_items, domain.n_context, None, dim=8).eval()


def test_the_train_matrix_is_train_alone(small_pair: DomainPair) -> None:
    matrix = train_matrix(small_pair.target).toarray()
    users, items, _ = small_pair.target.train_events()
    assert matrix.sum() == len(users)
    assert (matrix[users, items] == 1).all()


def test_histories_of_test_queries_hold_train_and_valid_items(small_pair: DomainPair) -> None:
    test, target = small_pair.target.test, small_pair.target
    known = history_matrix(test.history, target.n_items).toarray()
    for row in range(len(test)):
        seen = test.seen_items[test.seen_offsets[row] : test.seen_offsets[row + 1]]
        assert set(np.flatnonzero(known[row])) == set(seen.tolist())


def test_model_scores_are_inner_products(small_pair: DomainPair) -> None:
    model, held_out = tower(small_pair), small_pair.target.test
    block = of_model(model)(held_out.history)(slice(3, 7))
    states = user_states(model, held_out.history)
    expected = states[3:7] @ model.item_vectors(model.embed_items()).T
    assert torch.allclose(block, expected, atol=1e-6)
    truth = truth_scores(of_model(model)(held_out.history), held_out, small_pair.target.n_items)
    position, item, _ = held_out.truths()
    full = states @ model.item_vectors(model.embed_items()).T
    assert np.allclose(truth, full[position, item].detach(), atol=1e-5)


def test_all_contestants_are_asked_about_the_same_users(small_pair: DomainPair) -> None:
    ranker = Single(small_pair.target, of_model(tower(small_pair)))
    rows = [
        *baselines(small_pair.target_only, (1.0, 5.0), tune(small_pair.target_only)),
        trained("scratch", ranker, False, (1.0, 5.0)),
    ]
    in_source = small_pair.shared_users[::2]
    per_user = judge(rows, small_pair.target, None, in_source, 2, EVALUATION)
    counts = per_user.group_by("model").len()
    assert sorted(counts["model"]) == ["ease", "item-knn", "popularity", "scratch"]
    assert counts["len"].to_list() == [len(small_pair.target.test)] * 4
    assert per_user["n_ratings"].to_list() == [1.0] * len(per_user)
    cold = per_user.filter(per_user["group"] == "cold")
    assert cold["n_train"].max() == 2
    shared = set(per_user.filter("shared")["user_id"])
    assert shared == set(small_pair.target.user_ids[in_source.tolist()])


def test_the_oracle_ranks_by_true_utility(small_pair: DomainPair) -> None:
    target = small_pair.target
    items = target.items["item_id"].to_list()[::-1]  # another order than the domain's
    users = target.user_ids.to_list()
    likes = np.array([[float(int(i[-2:]) % 3 == int(u[1:]) % 3) for i in items] for u in users])
    truth = Preferences(
        tuple(users),
        tuple(items),
        likes.astype(np.float32),
        np.eye(len(items), dtype=np.float32),
        np.zeros((len(users), 1), np.float32),
        np.zeros((len(items), 1), np.float32),
        np.zeros(4, np.float32),
    )
    contestant = oracle(truth, target, (1.0, 5.0))
    ranking = contestant.compete(10)
    # Ten items are liked; those a user has are out; ties count against the oracle.
    assert (ranking.truth_ranks <= 10).all()
    assert ndcg(ranking.truth_ranks, target.test.truth_offsets, 10).min() > 0
    errors = contestant.errors(ranking, 4)
    assert errors is not None
    # Satisfaction 0 and cuts 0: 1 + 4 * Phi(0) = 3 stars.
    observed = target.test.truths()[2].numpy()
    assert errors.squared.sum() == pytest.approx(((observed - 3) ** 2).sum(), rel=1e-5)


def test_sampled_evaluation_is_easier_and_keeps_the_lists(small_pair: DomainPair) -> None:
    rows = [trained("scratch", Single(small_pair.target, of_model(tower(small_pair))), False, None)]
    judged = [
        judge(rows, small_pair.target, None, small_pair.shared_users, 2, EVALUATION | asked)
        for asked in ({}, {"negatives": 9}, {"negatives": 9}, {"negatives": 9, "negatives_seed": 1})
    ]
    full, sampled, again, other = (table["truth_ranks"].explode() for table in judged)
    assert sampled.max() <= 10
    assert (sampled <= full).all()
    assert (sampled < full).any()
    assert sampled.equals(again)
    assert not sampled.equals(other)
    assert judged[0]["top_items"].equals(judged[1]["top_items"])
