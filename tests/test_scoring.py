"""Score functions of the table's rows: what each of them may and may not see."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from crossrec import judging
from crossrec.data.pair import DomainPair
from crossrec.data.simulation.preferences import Preferences
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.judging import baselines, judge, oracle, trained
from crossrec.models.ease import EASE, Gram
from crossrec.models.item_knn import ItemKNN
from crossrec.models.two_tower import TwoTower
from crossrec.scoring import (
    Ranker,
    Single,
    history_matrix,
    of_baseline,
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
        *baselines(small_pair.target_only, (1.0, 5.0)),
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


def validated(ranker: Ranker) -> float:
    """NDCG@10 in validation."""
    queries = ranker.domain.valid.queries()
    ranking = rank(ranker.block("valid"), queries, ranker.domain.n_items, 10)
    return float(ndcg(ranking.truth_ranks, queries.truth_offsets, 10).mean())


def test_validation_alone_chooses_the_settings_of_baselines(
    small_pair: DomainPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    target = small_pair.target_only
    monkeypatch.setattr(judging, "L2", (300.0, 3.0, 0.1))  # few data: more is all the same
    caplog.set_level("INFO", logger="crossrec.judging")
    # What is asked in test are other users' items: nobody may notice.
    n_truths = len(target.test.truth_items)
    shuffled = target.test.truth_items[torch.arange(n_truths).roll(1)]
    other = replace(target, test=replace(target.test, truth_items=shuffled))
    rows = {contestant.name: contestant for contestant in baselines(target, None)}
    said = caplog.text
    caplog.clear()
    baselines(other, None)
    assert caplog.text == said
    matrix = train_matrix(target)
    possible = {
        "ease": {f"l2={x:g}": EASE(x).fit(matrix).score for x in judging.L2},
        "item-knn": {
            f"n_neighbors={k} shrinkage={s:g}": ItemKNN(k, s).fit(matrix).score
            for s in judging.SHRINKAGE
            for k in judging.N_NEIGHBORS
        },
    }
    for name, settings in possible.items():
        values = {
            setting: validated(Single(target, of_baseline(score, target.n_items)))
            for setting, score in settings.items()
        }
        best = max(values, key=values.__getitem__)  # the first of equals
        assert min(values.values()) < values[best]
        assert validated(rows[name].ranker) == values[best]
        assert f"{name}: {best}, ndcg@10 {values[best]:.4f} in validation" in said


def test_too_many_items_and_users_leave_ease_out(
    small_pair: DomainPair, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    side = Gram.side(train_matrix(small_pair.target))
    caplog.set_level("INFO", logger="crossrec.judging")
    monkeypatch.setattr(judging, "MAX_SIDE", side)
    names = [contestant.name for contestant in baselines(small_pair.target_only, None)]
    assert names == ["popularity", "item-knn", "ease"]
    monkeypatch.setattr(judging, "MAX_SIDE", side - 1)
    names = [contestant.name for contestant in baselines(small_pair.target_only, None)]
    assert names == ["popularity", "item-knn"]
    assert f"no ease: it would invert a matrix of {side} rows" in caplog.text


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
