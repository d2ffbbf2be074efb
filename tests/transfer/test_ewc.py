"""EWC: its penalty, its limits, and the Fisher information against hand arithmetic."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.two_tower import TwoTower
from crossrec.training.importance import case, fisher
from crossrec.training.objectives import BPR, Rating, Softmax
from crossrec.transfer.anchor import Anchor, lay_over
from crossrec.transfer.parameters.ewc import EWC
from crossrec.transfer.parameters.l2_sp import L2SP

SOURCE = {"weight": torch.tensor([1.0, 2.0]), "table": torch.tensor([[10.0], [20.0]])}
UNIT = {"weight": torch.ones(2), "table": torch.ones(2, 1)}


class Tiny(nn.Module):
    """A weight that every model has, and a table with one row an item."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([3.0, 3.0]))
        self.table = nn.Parameter(torch.tensor([[1.0], [2.0], [3.0]]))


def anchor(model: nn.Module, importance: dict[str, Tensor]) -> Anchor:
    # Target item 2 is source item 0; target items 0 and 1 are new.
    none = torch.zeros(0, 2, dtype=torch.long)
    rows = torch.tensor([[2, 0]])
    return lay_over(model, SOURCE, ("table",), (), rows, none, 1.0, importance)


def test_importance_has_mean_one_over_the_weights_that_exist_in_both() -> None:
    laid = anchor(
        Tiny(), {"weight": torch.tensor([1.0, 2.0]), "table": torch.tensor([[9.0], [100.0]])}
    ).importance
    # (1 + 2 + 9) / 3 = 4; source item 1 has no counterpart and does not count.
    assert laid["weight"].tolist() == [0.25, 0.5]
    assert laid["table"].tolist() == [[0.0], [0.0], [2.25]]


def test_importance_of_nothing_stays_nothing() -> None:
    laid = anchor(Tiny(), {name: 0 * value for name, value in UNIT.items()}).importance
    assert all(not value.any() for value in laid.values())


IMPORTANCE = {"weight": torch.tensor([0.0, 1.0]), "table": torch.tensor([[2.0], [5.0]])}


def test_penalty_and_its_gradient_by_hand() -> None:
    model = Tiny()
    penalty = EWC(0.1, solver="gradient").penalty(model, anchor(model, IMPORTANCE))
    assert isinstance(penalty, Tensor)
    # F = (0, 1), 2 has mean 1: 0.1 * (0 * 2^2 + 1 * 1^2 + 2 * 7^2).
    assert penalty.item() == pytest.approx(0.1 * (1 + 98))
    penalty.backward()
    assert torch.allclose(model.weight.grad, torch.tensor([0.0, 0.2 * 1]))
    assert torch.allclose(model.table.grad, torch.tensor([[0.0], [0.0], [0.2 * 2 * -7]]))


@given(step=st.floats(0, 1e9), importance=st.floats(0, 1e4))
def test_proximal_step_is_the_minimum(step: float, importance: float) -> None:
    model = Tiny()
    laid = anchor(model, UNIT)
    laid.importance["weight"][:] = importance
    EWC(step).after_step(model, laid, learning_rate=1.0)
    # argmin of (x - 3)^2 / 2 + step * F * (x - W_s)^2
    pull = 2 * step * torch.tensor(importance, dtype=torch.float32).double()
    expected = (3 + pull * SOURCE["weight"].double()) / (1 + pull)
    assert torch.allclose(model.weight.double(), expected, atol=1e-6)


@pytest.mark.parametrize("lambda_", [0.0, 1e-3, 1.0, 1e8])
def test_unit_importance_is_l2_sp(lambda_: float) -> None:
    one, other = Tiny(), Tiny()
    laid = anchor(one, UNIT)
    for _ in range(3):
        EWC(lambda_).after_step(one, laid, 1e-3)
        L2SP(lambda_).after_step(other, laid, 1e-3)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.allclose(p, q, atol=0, rtol=2e-7)
    if lambda_ > 0:
        ewc = EWC(lambda_, solver="gradient").penalty(one, laid)
        l2_sp = L2SP(lambda_, solver="gradient").penalty(one, laid)
        assert torch.equal(ewc, l2_sp)


def test_a_very_large_lambda_ends_at_the_source_where_it_matters() -> None:
    model = Tiny()
    laid = anchor(model, IMPORTANCE)
    for _ in range(3):
        EWC(1e8).after_step(model, laid, 1e-3)
    assert model.weight.tolist() == [3.0, 2.0]  # the first has no importance and is free
    assert model.table.tolist() == [[1.0], [2.0], [10.0]]


@pytest.mark.parametrize("solver", ["gradient", "proximal"])
def test_lambda_zero_does_nothing(solver: str) -> None:
    model = Tiny()
    method = EWC(0.0, solver=solver)
    assert method.penalty(model, anchor(model, UNIT)) is None
    method.after_step(model, anchor(model, UNIT), 1e-3)
    assert model.weight.tolist() == [3.0, 3.0]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"lambda_": -1.0}, r"transfer\.lambda must be >= 0, got -1"),
        ({"lambda_": math.inf}, r"transfer\.lambda must be >= 0, got inf"),
        ({"lambda_": 1.0, "source_cases": 0}, r"transfer\.source_cases must be >= 1, got 0"),
        ({"lambda_": 1.0, "solver": "newton"}, r"transfer\.solver must be proximal or gradient"),
    ],
)
def test_bad_values_are_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EWC(**arguments)


def test_an_anchor_without_importance_is_refused() -> None:
    model = Tiny()
    none = torch.zeros(0, 2, dtype=torch.long)
    with pytest.raises(ValueError, match="importance of each source weight"):
        EWC(1.0).start(model, lay_over(model, SOURCE, ("table",), (), none, none, 1.0))


class Line(Recommender):
    """score(u, i) = w * i for every user: one weight, and gradients that a hand can do."""

    sequential, max_history, item_tables, user_tables = True, 5, (), ()

    def __init__(self, n_items: int, weight: float) -> None:
        super().__init__()
        self.n_items = n_items
        self.weight = nn.Parameter(torch.tensor([weight]))
        self.unused = nn.Parameter(torch.zeros(2))

    def embed_items(self) -> Tensor:
        return torch.arange(self.n_items)[:, None].float()

    def item_vectors(self, embedded: Tensor) -> Tensor:
        return embedded

    def user_vectors(self, users: Tensor, items: Tensor, embedded: Tensor) -> Tensor:
        return self.weight.expand(len(items), items.shape[1] + 1, 1)


def test_fisher_of_a_softmax_by_hand(small_pair: DomainPair) -> None:
    domain = small_pair.source
    found = fisher(Line(domain.n_items, 0.0), domain, Softmax(), 10**6, seed=0)
    # At w = 0 every item is as likely: the gradient of a case is mean(item) - item.
    items = domain.train_events()[1].double()
    expected = ((domain.n_items - 1) / 2 - items).square().mean()
    assert found["weight"].item() == pytest.approx(expected.item(), rel=1e-5)
    assert found["unused"].tolist() == [0.0, 0.0]


def test_fisher_of_ratings_by_hand(small_pair: DomainPair) -> None:
    domain = small_pair.source
    found = fisher(Line(domain.n_items, 0.5), domain, Rating(), 10**6, seed=0)
    _, items, ratings = (column.double() for column in domain.train_events())
    error = ratings.mean() + 0.5 * items - ratings
    expected = (2 * error * items).square().mean()
    assert found["weight"].item() == pytest.approx(expected.item(), rel=1e-4)


def tower(domain: Domain) -> Recommender:
    torch.manual_seed(0)
    sizes = {"n_users": domain.n_users, "n_items": domain.n_items, "n_context": domain.n_context}
    return TwoTower(dim=4, hidden=4, content=None, **sizes)


def test_fisher_is_bounded_seeded_and_leaves_the_model_as_it_was(small_pair: DomainPair) -> None:
    domain, model = small_pair.source, tower(small_pair.source)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    one, again, other = (fisher(model, domain, BPR(), 3, seed) for seed in (0, 0, 1))
    assert all(torch.equal(one[name], again[name]) for name in before)
    assert any(not torch.equal(one[name], other[name]) for name in before)
    # Three cases with one negative each touch at most six rows of the bias table.
    assert 0 < int((one["item_bias"] > 0).sum()) <= 6
    assert model.training
    assert all(torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(p.grad is None for p in model.parameters())


def test_a_case_is_one_event_after_those_before_it(small_pair: DomainPair) -> None:
    train = small_pair.source.train
    start, end = train.offsets[2:4].tolist()
    assert end - start >= 5
    batch = case(small_pair.source, start + 3, max_history=50)
    assert batch.users.tolist() == [int(train.users[2])]
    assert batch.items.tolist() == [train.items[start : start + 4].tolist()]
    assert batch.own.tolist() == [[False, False, False, True]]
    cut = case(small_pair.source, start + 3, max_history=2)
    assert cut.items.tolist() == [train.items[start + 2 : start + 4].tolist()]
    assert case(small_pair.source, start, 1).items.tolist() == [[int(train.items[start])]]
