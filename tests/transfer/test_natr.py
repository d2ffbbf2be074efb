"""NATR: attention as the formula says, no item sees itself, and no user leaves the source."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.method import check_overlap
from crossrec.transfer.pair_model import Phase
from crossrec.transfer.preferences import natr
from crossrec.transfer.preferences.natr import NATR, latest_items

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, max_items: int = 100) -> NATR:
    """Large random weights, so that every part of the score matters."""
    model = NATR(dim=3, source_dim=5, max_items=max_items)
    build_pair(model, pair, NO_CONTENT, seed=0)
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator))
    return model


def users_of(pair: DomainPair) -> Tensor:
    return pair.target.train.users[:6]


def by_the_formula(model: NATR, user: int, item: int, history: list[int]) -> float:
    """The score of one pair, one number at a time."""
    p, q = model.target_user[user], model.target_item[item]
    bias = model.target_user_bias[user] + model.target_item_bias[item]
    if not history:
        return float(p @ q + bias)
    v = [model.target_adaptation(model.source_item[model.carried[j]]) for j in history]
    weights = torch.stack([(p * x).relu() @ model.target_item_attention for x in v]).softmax(0)
    taste = sum(w * x for w, x in zip(weights, v, strict=True))
    g = model.target_domain_attention
    of_taste, of_own = ((x * q).relu() @ g for x in (taste, p))
    b = of_taste.exp() / (of_taste.exp() + of_own.exp())
    return float((b * taste + (1 - b) * p) @ q + bias)


def history_of(model: NATR, user: int) -> list[int]:
    return [item for item in model.history[user].tolist() if item < model.n_items]


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss_of_each_phase(
    items_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    source, target = steps(NATR(dim=8), items_pair, make_objective=make, learning_rate=0.05)
    assert source[-1] < 0.9 * source[0]
    assert target[-1] < 0.9 * target[0]


@pytest.mark.parametrize("cells", [0, 10**9], ids=["pairs", "catalog"])
def test_every_item_is_scored_without_itself(
    items_pair: DomainPair, monkeypatch: pytest.MonkeyPatch, cells: int
) -> None:
    monkeypatch.setattr(natr, "DENSE_CELLS", cells)
    model = built(items_pair)
    users = users_of(items_pair)
    items = torch.arange(model.n_items).expand(len(users), -1)
    with torch.no_grad():
        scores = model.score(users[:, None], items)
        for row, user in enumerate(users.tolist()):
            history = history_of(model, user)
            expected = [
                by_the_formula(model, user, item, [j for j in history if j != item])
                for item in range(model.n_items)
            ]
            assert scores[row].tolist() == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_the_catalog_is_scored_with_the_whole_history(items_pair: DomainPair) -> None:
    model = built(items_pair)
    histories = items_pair.target.train.last(torch.arange(6), 1)
    scores = model.scorer("target")(histories)
    with torch.no_grad():
        for row, user in enumerate(histories.users.tolist()):
            history = history_of(model, user)
            expected = [by_the_formula(model, user, item, history) for item in range(model.n_items)]
            assert scores[row].tolist() == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_an_item_does_not_see_its_own_embedding(items_pair: DomainPair) -> None:
    """The label of a training event is its place in the history: it must not reach the score."""
    model = built(items_pair)
    user = next(u for u in users_of(items_pair).tolist() if len(history_of(model, u)) > 1)
    item, other = history_of(model, user)[:2]
    pair = torch.tensor([[user]]), torch.tensor([[item]])
    with torch.no_grad():
        before = model.score(*pair).item()
        model.source_item[model.carried[item]] += 1
        assert model.score(*pair).item() == pytest.approx(before, rel=1e-4, abs=1e-4)
        model.source_item[model.carried[other]] += 1
        assert model.score(*pair).item() != pytest.approx(before, rel=1e-2, abs=1e-2)


def test_a_history_of_that_item_alone_is_none(items_pair: DomainPair) -> None:
    model = built(items_pair, max_items=1)
    user = next(u for u in users_of(items_pair).tolist() if history_of(model, u))
    (item,) = history_of(model, user)
    with torch.no_grad():
        score = model.score(torch.tensor([[user]]), torch.tensor([[item]])).item()
        assert score == pytest.approx(by_the_formula(model, user, item, []), rel=1e-5)


def test_with_nothing_carried_it_is_matrix_factorization(apart_pair: DomainPair) -> None:
    model = built(apart_pair)
    users = users_of(apart_pair)
    histories = apart_pair.target.train.last(torch.arange(6), 1)
    with torch.no_grad():
        biases = model.target_user_bias[users, None] + model.target_item_bias
        expected = model.target_user[users] @ model.target_item.T + biases
        items = torch.arange(model.n_items).expand(6, -1)
        assert torch.allclose(model.score(users[:, None], items), expected)
        assert torch.allclose(model.scorer("target")(histories), expected)


def test_no_user_of_the_source_reaches_the_target(items_pair: DomainPair) -> None:
    model = built(items_pair)
    histories = items_pair.target.train.last(torch.arange(6), 1)
    before = model.scorer("target")(histories)
    with torch.no_grad():
        model.source_user.add_(1)
        model.source_user_bias.add_(1)
    assert torch.equal(model.scorer("target")(histories), before)


class Watched(NATR):
    """Remembers the source's items as each phase found them."""

    def enter(self, phase: Phase) -> None:
        super().enter(phase)
        self.found = [*getattr(self, "found", []), self.source_item.detach().clone()]


def test_the_target_leaves_the_source_as_it_was(items_pair: DomainPair, steps: Steps) -> None:
    model = Watched(dim=4)
    steps(model, items_pair)
    assert not torch.equal(*model.found)
    assert torch.equal(model.found[1], model.source_item.detach())


@pytest.mark.parametrize("most", [1, 3, 100])
def test_histories(items_pair: DomainPair, most: int) -> None:
    target = items_pair.target
    wanted = torch.zeros(target.n_items, dtype=torch.bool)
    wanted[items_pair.shared_items[:, 0]] = True
    history = latest_items(target, wanted, most)
    users, items, _ = target.train_events()
    assert history.shape[0] == target.n_users
    for user in range(target.n_users):
        own = [item for item in items[users == user].tolist() if wanted[item]][-most:]
        assert history[user, : len(own)].tolist() == sorted(own)
        assert (history[user, len(own) :] == target.n_items).all()


def test_shared_users_are_not_enough() -> None:
    with pytest.raises(UserError, match="NATR needs items that occur in both domains"):
        check_overlap(NATR(), "home -> tech", shared_users=30, shared_items=0)


def test_max_items_out_of_range() -> None:
    with pytest.raises(UserError, match=r"transfer.max_items must be >= 1, got 0"):
        NATR(max_items=0)
