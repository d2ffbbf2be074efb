"""L2-SP with fitted mus: the closed form by hand, its limits, and the gradient through it."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor, lay_over
from crossrec.transfer.parameters.l2_sp import L2SP
from crossrec.transfer.parameters.l2_sp_fitted import L2SPFitted, fitted_mu

SOURCE = {"weight": torch.tensor([1.0, 2.0]), "table": torch.tensor([[10.0], [20.0]])}
NUMBER = st.floats(-10, 10, width=32)


class Tiny(nn.Module):
    """A weight that every model has, and a table with one row an item."""

    def __init__(self, weight: list[float]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.table = nn.Parameter(torch.tensor([[1.0], [2.0], [3.0]]))


def anchor(model: nn.Module) -> Anchor:
    # Target items 0 and 2 are source items 1 and 0; target item 1 is new.
    rows, none = torch.tensor([[0, 1], [2, 0]]), torch.zeros(0, 2, dtype=torch.long)
    return lay_over(model, SOURCE, ("table",), (), rows, none, 1.0)


def test_mu_by_hand() -> None:
    # <(3, 3), (1, 2)> / 5
    assert fitted_mu(torch.tensor([3.0, 3.0]), SOURCE["weight"]).item() == pytest.approx(1.8)
    assert fitted_mu(torch.tensor([3.0, 3.0]), torch.zeros(2)).item() == 0


def test_mus_are_accounted_for_by_name() -> None:
    model = Tiny([3.0, 3.0])
    mus = L2SPFitted(1.0).finish(model, anchor(model))["mu"]
    # Rows 0 and 2 of the table: <(1, 3), (20, 10)> / 500.
    assert mus == {"weight": pytest.approx(1.8), "table": pytest.approx(0.1)}


@given(weight=st.tuples(NUMBER, NUMBER), other=st.floats(-5, 5))
def test_no_other_mu_is_nearer(weight: tuple[float, float], other: float) -> None:
    w, source = torch.tensor(weight), SOURCE["weight"]
    least = (w - fitted_mu(w, source) * source).square().sum()
    assert least <= (w - other * source).square().sum() + 1e-4


def test_one_step_by_hand() -> None:
    model = Tiny([3.0, 3.0])
    L2SPFitted(1.0).after_step(model, anchor(model), learning_rate=0.5)
    # mu W_s = (1.8, 3.6); the rest (1.2, -0.6) is halved.
    assert torch.allclose(model.weight, torch.tensor([2.4, 3.3]))
    assert model.table[1].item() == 2.0  # a new row is not pulled


@given(weight=st.tuples(NUMBER, NUMBER), rate=st.floats(0, 10))
def test_mu_is_a_fixed_point_of_the_step(weight: tuple[float, float], rate: float) -> None:
    model = Tiny(list(weight))
    before = fitted_mu(model.weight.detach(), SOURCE["weight"])
    L2SPFitted(1.0).after_step(model, anchor(model), rate)
    after = fitted_mu(model.weight.detach(), SOURCE["weight"])
    assert torch.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("scale", [-0.5, 0.25, 1.0, 3.0])
def test_a_scaled_source_costs_nothing(scale: float) -> None:
    model = Tiny([scale, 2 * scale])
    with torch.no_grad():
        model.table[[0, 2]] = scale * SOURCE["table"][[1, 0]]
    before = [p.detach().clone() for p in model.parameters()]
    method = L2SPFitted(7.0, solver="gradient")
    penalty = method.penalty(model, anchor(model))
    assert isinstance(penalty, Tensor)
    assert penalty.item() == pytest.approx(0, abs=1e-9)
    assert method.finish(model, anchor(model))["mu"]["weight"] == pytest.approx(scale)
    L2SPFitted(7.0).after_step(model, anchor(model), 0.1)
    for old, new in zip(before, model.parameters(), strict=True):
        assert torch.allclose(old, new, atol=1e-6)


def test_the_first_step_from_the_source_is_that_of_l2_sp() -> None:
    model = Tiny([0.0, 0.0])
    laid = anchor(model)
    L2SPFitted(1.0).start(model, laid)
    gradients = []
    for method in (L2SPFitted(2.0, solver="gradient"), L2SP(2.0, mu=1.0, solver="gradient")):
        penalty = method.penalty(model, laid)
        assert isinstance(penalty, Tensor)
        gradients.append(torch.autograd.grad(penalty, list(model.parameters())))
    assert all(torch.equal(p, q) for p, q in zip(*gradients, strict=True))
    # After an optimizer's step across W_s, mu is still 1 and both pull alike.
    one, other = Tiny([1 + 0.2, 2 - 0.1]), Tiny([1 + 0.2, 2 - 0.1])
    L2SPFitted(2.0).after_step(one, laid, 0.1)
    L2SP(2.0, mu=1.0).after_step(other, laid, 0.1)
    assert torch.allclose(one.weight, other.weight)


def test_no_gradient_is_lost_by_holding_mu() -> None:
    model = Tiny([3.0, -1.0])
    penalty = L2SPFitted(0.5, solver="gradient").penalty(model, anchor(model))
    assert isinstance(penalty, Tensor)
    (held,) = torch.autograd.grad(penalty, model.weight)
    weight, source = model.weight, SOURCE["weight"]
    through = 0.5 * (weight - fitted_mu(weight, source) * source).square().sum()
    assert torch.allclose(held, torch.autograd.grad(through, weight)[0], atol=1e-6)


def test_a_very_large_lambda_leaves_each_layer_its_length() -> None:
    model = Tiny([3.0, 3.0])
    for step in range(3):
        with torch.no_grad():
            model.weight += torch.tensor([0.5, 0.3 * step])
        L2SPFitted(1e8).after_step(model, anchor(model), 1.0)
        weight = model.weight.detach()
        assert abs(weight[1] - 2 * weight[0]) < 1e-5  # in the span of (1, 2)
    assert weight[0] > 1.8  # and yet not where it was


def test_a_source_of_zeros_is_ridge() -> None:
    model = Tiny([3.0, 3.0])
    laid = anchor(model)
    laid.values["weight"].zero_()
    L2SPFitted(1.0).after_step(model, laid, 0.5)
    assert model.weight.tolist() == [1.5, 1.5]


@pytest.mark.parametrize("solver", ["gradient", "proximal"])
def test_lambda_zero_does_nothing(solver: str) -> None:
    model = Tiny([3.0, 3.0])
    method = L2SPFitted(0.0, solver=solver)
    assert method.penalty(model, anchor(model)) is None
    method.after_step(model, anchor(model), 1e-3)
    assert model.weight.tolist() == [3.0, 3.0]


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_bad_lambda_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"transfer\.lambda must be >= 0"):
        L2SPFitted(value)


def test_an_unknown_solver_is_refused() -> None:
    with pytest.raises(ValueError, match=r"transfer\.solver must be proximal or gradient"):
        L2SPFitted(1.0, solver="newton")
