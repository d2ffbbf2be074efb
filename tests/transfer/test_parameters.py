"""Transfer of parameters: lambda / mu against hand arithmetic, limits and autograd."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from crossrec.transfer.anchor import Anchor, lay_over
from crossrec.transfer.parameters.finetune import Finetune
from crossrec.transfer.parameters.freeze import Freeze
from crossrec.transfer.parameters.l2_sp import L2SP, l2_distance, proximal_step


class Tiny(nn.Module):
    """A weight that every model has, and a table with one row an item."""

    def __init__(self, weight: list[float], table: list[list[float]]) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))
        self.table = nn.Parameter(torch.tensor(table))


SOURCE = {"weight": torch.tensor([1.0, 2.0]), "table": torch.tensor([[10.0], [20.0]])}


def target() -> Tiny:
    return Tiny([3.0, 3.0], [[1.0], [2.0], [3.0]])


def anchor(model: nn.Module, per_target: float = 4.0) -> Anchor:
    # Target item 2 is source item 0; target items 0 and 1 are new.
    rows = torch.tensor([[2, 0]])
    none = torch.zeros(0, 2, dtype=torch.long)
    return lay_over(model, SOURCE, ("table",), (), rows, none, per_target)


def test_distance_counts_only_weights_that_exist_in_both() -> None:
    model = target()
    # mu = 0.5: (3 - .5)^2 + (3 - 1)^2 for the weight, (3 - 5)^2 for the one shared row.
    assert l2_distance(model, anchor(model), 0.5).item() == pytest.approx(6.25 + 4 + 4)


def test_constant_anchor_is_the_number_mu() -> None:
    model = target()
    assert l2_distance(model, anchor(model), 0.5, constant=True).item() == pytest.approx(3 * 2.5**2)


def test_mu_zero_is_ridge() -> None:
    model = target()
    assert l2_distance(model, anchor(model), 0.0).item() == pytest.approx(9 + 9 + 9)


def test_gradient_is_two_lambda_times_the_difference() -> None:
    model = target()
    method = L2SP(0.1, 0.5, solver="gradient")
    penalty = method.penalty(model, anchor(model))
    assert isinstance(penalty, Tensor)
    penalty.backward()
    assert torch.allclose(model.weight.grad, 0.2 * torch.tensor([2.5, 2.0]))
    assert torch.allclose(model.table.grad, 0.2 * torch.tensor([[0.0], [0.0], [-2.0]]))


@given(
    step=st.floats(0, 1e12),
    mu=st.floats(-1, 1),
    weight=st.floats(-10, 10),
)
def test_proximal_step_is_the_minimum(step: float, mu: float, weight: float) -> None:
    model = Tiny([weight, weight], [[0.0], [0.0], [weight]])
    before = model.weight.detach().clone()
    proximal_step(model, anchor(model), mu, step)
    a = mu * SOURCE["weight"]
    expected = (before.double() + 2 * step * a) / (1 + 2 * step)
    assert torch.allclose(model.weight.double(), expected, atol=1e-5)
    assert model.weight.isfinite().all()


def test_new_rows_are_not_pulled() -> None:
    model = target()
    proximal_step(model, anchor(model), 1.0, 1e9)
    assert model.table.tolist() == [[1.0], [2.0], [10.0]]
    assert model.weight.tolist() == [1.0, 2.0]


def test_a_very_large_lambda_ends_at_mu_times_source() -> None:
    model = target()
    L2SP(1e8, 0.25).after_step(model, anchor(model), learning_rate=1e-3)
    assert (model.weight - 0.25 * SOURCE["weight"]).abs().max() < 1e-4
    for _ in range(3):
        L2SP(1e8, 0.25).after_step(model, anchor(model), learning_rate=1e-3)
    assert (model.weight - 0.25 * SOURCE["weight"]).abs().max() < 1e-6


def test_lambda_zero_does_nothing() -> None:
    for solver in ("gradient", "proximal"):
        model = target()
        method = L2SP(0.0, 0.5, solver=solver)
        assert method.penalty(model, anchor(model)) is None
        before = model.weight.detach().clone()
        method.after_step(model, anchor(model), 1e-3)
        assert torch.equal(model.weight, before)


def test_strength_per_source_interaction() -> None:
    assert L2SP(0.5).strength(anchor(target())) == 0.5
    assert L2SP(0.5, per_source_interaction=True).strength(anchor(target())) == 2.0


def test_finetuning_starts_at_the_source_and_leaves_new_rows() -> None:
    model = target()
    Finetune().start(model, anchor(model))
    assert model.weight.tolist() == [1.0, 2.0]
    assert model.table.tolist() == [[1.0], [2.0], [10.0]]


def test_freezing_puts_named_weights_back() -> None:
    model = target()
    method = Freeze(["weight"])
    method.start(model, anchor(model))
    with torch.no_grad():
        model.weight += 1
        model.table += 1
    method.after_step(model, anchor(model), 1e-3)
    assert model.weight.tolist() == [1.0, 2.0]
    assert model.table.tolist() == [[2.0], [3.0], [11.0]]
    Freeze().after_step(model, anchor(model), 1e-3)
    assert model.table.tolist() == [[2.0], [3.0], [10.0]]


def test_freezing_an_unknown_weight_is_refused() -> None:
    model = target()
    with pytest.raises(ValueError, match="no carried weight begins with 'wieght'"):
        Freeze(["wieght"]).start(model, anchor(model))


@pytest.mark.parametrize("value", [-1.0, math.inf, math.nan])
def test_a_bad_lambda_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"transfer\.lambda must be >= 0"):
        L2SP(value)


def test_models_that_differ_are_refused() -> None:
    source = {"weight": torch.zeros(3)}
    none = torch.zeros(0, 2, dtype=torch.long)
    with pytest.raises(ValueError, match=r"weight has shape \(3,\).*\(2,\) in the target"):
        lay_over(target(), source, (), (), none, none, 1.0)
