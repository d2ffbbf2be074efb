"""MMD and CORAL: no distance between equals, hand arithmetic, symmetry; and as carry methods."""

from collections.abc import Callable
from functools import partial

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.pair import DomainPair
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model
from crossrec.training.objectives import Softmax
from crossrec.training.transfer import TransferTraining, anchor_for
from crossrec.transfer.content import alignment
from crossrec.transfer.content.alignment import coral, item_samples, mmd
from crossrec.transfer.content.coral import CORAL
from crossrec.transfer.content.mmd import MMD

METHODS = [MMD, CORAL]


def model_of(pair: DomainPair, dim: int = 4) -> MatrixFactorization:
    model = build_model(partial(MatrixFactorization, dim=dim), pair.target, None, seed=0)
    assert isinstance(model, MatrixFactorization)
    return model


def random(seed: int, rows: int, shift: float = 0.0) -> torch.Tensor:
    return torch.randn(rows, 3, generator=torch.Generator().manual_seed(seed)) + shift


@given(seed=st.integers(0, 1000), rows=st.integers(2, 20))
def test_no_distance_to_itself(seed: int, rows: int) -> None:
    x = random(seed, rows)
    assert abs(mmd(x, x.clone()).item()) < 1e-6
    assert abs(mmd(x, x.flip(0)).item()) < 1e-6
    assert coral(x, x.clone()).item() == 0.0


@settings(max_examples=50)
@given(
    seed=st.integers(0, 1000),
    n=st.integers(2, 20),
    m=st.integers(2, 20),
    shift=st.floats(-2, 2),
)
def test_a_distance_is_symmetric_and_never_negative(
    seed: int, n: int, m: int, shift: float
) -> None:
    x, y = random(seed, n), random(seed + 1, m, shift)
    shuffled = x[torch.randperm(n, generator=torch.Generator().manual_seed(seed))]
    for distance in (mmd, coral):
        value = distance(x, y).item()
        assert value >= -1e-6
        assert distance(y, x).item() == pytest.approx(value, abs=1e-6)
        assert distance(shuffled, y).item() == pytest.approx(value, abs=1e-6)


def test_mmd_by_hand() -> None:
    """One number on each side, 2 apart: the median of squared distances is 4."""
    kernels = torch.tensor([-1 / s for s in alignment.BANDWIDTHS]).exp().mean()
    value = mmd(torch.tensor([[1.0]]), torch.tensor([[3.0]]))
    assert value.item() == pytest.approx(1 + 1 - 2 * kernels.item())


def test_mmd_does_not_depend_on_the_unit() -> None:
    x, y = random(0, 9), random(1, 7, 0.5)
    assert mmd(100 * x, 100 * y).item() == pytest.approx(mmd(x, y).item(), abs=1e-5)


def test_mmd_of_equal_points_is_no_nan() -> None:
    x = torch.ones(4, 2, requires_grad=True)
    value = mmd(x, torch.ones(3, 2))
    value.backward()
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert x.grad is not None
    assert x.grad.isfinite().all()


def test_mmd_grows_with_the_shift() -> None:
    values = [mmd(random(0, 60), random(1, 60, shift)).item() for shift in (0.0, 0.5, 1.0, 2.0)]
    assert values == sorted(values)


def test_coral_by_hand() -> None:
    x = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])  # covariance [[2, 0], [0, 0]]
    y = torch.tensor([[1.0, 1.0], [-1.0, -1.0]])  # covariance [[2, 2], [2, 2]]
    assert coral(x, y).item() == (4 + 4 + 4) / (4 * 2**2)
    assert coral(x + 5, y).item() == (4 + 4 + 4) / (4 * 2**2)  # means do not matter


def test_samples_are_the_items_of_either_domain(apart_pair: DomainPair) -> None:
    model = model_of(apart_pair)
    target, source = item_samples(model)
    assert torch.equal(target, model.item_embedding[:18])
    assert torch.equal(source, model.item_embedding[18:])


def test_large_catalogs_are_sampled(
    apart_pair: DomainPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(alignment, "SAMPLE", 5)
    model = model_of(apart_pair)
    drawn = []
    for seed in (0, 0, 1):
        torch.manual_seed(seed)
        target, source = item_samples(model)
        assert target.shape == source.shape == (5, 4)
        assert len(torch.unique(target, dim=0)) == 5
        drawn.append(target)
    assert torch.equal(drawn[0], drawn[1])
    assert not torch.equal(drawn[0], drawn[2])


@pytest.mark.parametrize("method", METHODS)
def test_items_that_are_alike_cost_nothing(
    method: Callable[..., MMD | CORAL], apart_pair: DomainPair
) -> None:
    model = model_of(apart_pair)
    anchor = anchor_for(model, {}, apart_pair, apart_pair.target)
    with torch.no_grad():
        # 18 target items and 24 source items: six different rows, three and four times.
        model.item_embedding[:] = torch.randn(6, 4).repeat(7, 1)
    penalty = method(10.0).penalty(model, anchor)
    assert penalty is not None
    if method is MMD:
        assert abs(penalty.item()) < 1e-5
    else:  # unbiased covariances of repeats differ by (n / (n - 1))
        assert penalty.item() < 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_alpha_weighs_and_zero_is_finetuning(
    method: Callable[..., MMD | CORAL], apart_pair: DomainPair
) -> None:
    model = model_of(apart_pair)
    anchor = anchor_for(model, {}, apart_pair, apart_pair.target)
    state = torch.get_rng_state()
    assert method(0.0).penalty(model, anchor) is None
    assert torch.equal(torch.get_rng_state(), state)
    one, four = (method(alpha).penalty(model, anchor) for alpha in (1.0, 4.0))
    assert one is not None
    assert four is not None
    assert four.item() == pytest.approx(4 * one.item(), rel=1e-5)


def test_coral_does_not_depend_on_the_unit(apart_pair: DomainPair) -> None:
    model = model_of(apart_pair)
    anchor = anchor_for(model, {}, apart_pair, apart_pair.target)
    before = CORAL().penalty(model, anchor)
    with torch.no_grad():
        model.item_embedding *= 100
    after = CORAL().penalty(model, anchor)
    assert before is not None
    assert after is not None
    assert after.item() == pytest.approx(before.item(), rel=1e-4)


@pytest.mark.parametrize("method", METHODS)
def test_it_starts_at_the_source(
    method: Callable[..., MMD | CORAL], apart_pair: DomainPair
) -> None:
    model = model_of(apart_pair)
    weights = {"item_embedding": torch.full((24, 4), 7.0)}
    anchor = anchor_for(model, weights, apart_pair, apart_pair.target)
    before = model.item_embedding[:18].clone()
    method().start(model, anchor)
    assert torch.equal(model.item_embedding[18:], weights["item_embedding"])
    assert torch.equal(model.item_embedding[:18], before)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["users_pair", "items_pair", "apart_pair"])
def test_twenty_steps_bring_the_items_together(
    name: str,
    method: Callable[..., MMD | CORAL],
    request: pytest.FixtureRequest,
    content_of: Callable[[DomainPair], Content],
) -> None:
    pair = request.getfixturevalue(name)
    content = content_of(pair).of_target(True)
    model = build_model(partial(TwoTower, dim=8, hidden=8), pair.target, content, seed=0)
    with torch.no_grad():
        model.item_ids[18:] += torch.randn(24, 8) * 2
    anchor = anchor_for(model, {}, pair, pair.target)
    module = TransferTraining(model, pair.target, Softmax(), method(10.0), anchor, 0.02, 0.0)
    optimizer = module.configure_optimizers()
    batch = pair.target.train.last(torch.arange(40), 50)
    losses, distances = [], []
    for _ in range(21):
        torch.manual_seed(0)
        optimizer.zero_grad()
        loss = module.loss(batch)
        loss.backward()
        losses.append(loss.item())
        distances.append(module.method.penalty(model, anchor).item())
        optimizer.step()
    assert losses[-1] < losses[0]
    assert distances[-1] < 0.9 * distances[0]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("alpha", [-1.0, float("inf"), float("nan")])
def test_a_bad_alpha_is_refused(method: Callable[..., MMD | CORAL], alpha: float) -> None:
    with pytest.raises(UserError, match=r"transfer.alpha must be >= 0 and finite, got"):
        method(alpha)
