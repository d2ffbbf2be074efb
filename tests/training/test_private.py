"""DP-SGD by user: gradients are a user's own, none weighs more than the clip, noise is paid."""

import math
from functools import cache
from typing import Any

import lightning as L
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training import fitting
from crossrec.training.accounting import plan, spent
from crossrec.training.fitting import fit_private
from crossrec.training.objectives import Softmax
from crossrec.training.private import (
    PoissonSampler,
    Users,
    _UserLoss,
    clipped_sum,
    generator,
    user_gradients,
)

PLANS = cache(plan)
PRIVACY = {
    "epsilon": 8.0,
    "delta": None,
    "clip": 1.0,
    "users_per_step": 20,
    "epochs": 2,
    "learning_rate": 0.01,
    "noise_seed": 0,
}


@pytest.fixture(autouse=True)
def _searched_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The search for the least noise takes a second: trainings alike share it."""
    monkeypatch.setattr(fitting, "plan", PLANS)


def model_of(kind: str, pair: DomainPair) -> Recommender:
    torch.manual_seed(0)
    domain = pair.source
    sizes = {"n_users": domain.n_users, "n_items": domain.n_items, "n_context": 0, "dim": 4}
    content = torch.randn(domain.n_items, 3)
    if kind == "mf":
        return MatrixFactorization(**sizes, content=None)
    if kind == "sasrec":
        return SASRec(**sizes, content=content, dropout=0.0, max_history=5, n_heads=2)
    return TwoTower(**sizes, content=content, hidden=6, dropout=0.0, max_history=5)


@pytest.mark.parametrize("kind", ["two_tower", "mf", "sasrec"])
def test_each_user_has_the_gradient_that_autograd_gives(kind: str, small_pair: DomainPair) -> None:
    model = model_of(kind, small_pair)
    users = Users(small_pair.source, model.max_history if model.sequential else 1)
    (batch,) = users[torch.tensor([3, 40, 7])]
    learned = dict(model.named_parameters())
    gradients, losses = user_gradients(model, learned, batch)
    for row in range(3):
        loss = _UserLoss(model)(batch.users[row], batch.items[row], batch.own[row])
        assert losses[row] == pytest.approx(float(loss.detach()), rel=1e-5)
        alone = torch.autograd.grad(loss, list(learned.values()), allow_unused=True)
        for name, expected in zip(learned, alone, strict=True):
            if expected is not None:
                torch.testing.assert_close(gradients[name][row], expected, rtol=1e-4, atol=1e-6)


def test_a_gradient_is_cut_to_the_clip_and_not_stretched_to_it() -> None:
    gradients = {"a": torch.tensor([[3.0], [0.3]]), "b": torch.tensor([[4.0], [0.4]])}
    total = clipped_sum(gradients, clip=1.0)
    assert total["a"].item() == pytest.approx(3 / 5 + 0.3)
    assert total["b"].item() == pytest.approx(4 / 5 + 0.4)


@given(st.integers(0, 2**31), st.floats(0.01, 10), st.floats(1e-3, 1e3), st.integers(1, 6))
@settings(max_examples=50, deadline=None)
def test_one_user_more_moves_the_sum_by_the_clip_at_most(
    seed: int, clip: float, scale: float, n_users: int
) -> None:
    draw = torch.Generator().manual_seed(seed)
    shapes = {"a": (n_users, 3, 2), "b": (n_users, 4)}
    gradients = {n: torch.randn(s, generator=draw) * scale for n, s in shapes.items()}
    total = clipped_sum(gradients, clip)
    without = clipped_sum({name: g[1:] for name, g in gradients.items()}, clip)
    moved = sum(float((total[name] - without[name]).square().sum()) for name in total)
    assert math.sqrt(moved) <= clip * (1 + 1e-3) + 1e-3 * clip * n_users


@pytest.mark.parametrize("max_history", [1, 5, 50])
def test_all_that_a_user_did_is_one_example(small_pair: DomainPair, max_history: int) -> None:
    train = small_pair.source.train
    users = Users(small_pair.source, max_history)
    assert len(users) == len(train.users)
    for part in users[torch.arange(len(users))]:
        for row in range(len(part.users)):
            assert len(part.users[row].unique()) == 1
            place = int((train.users == part.users[row, 0]).nonzero())
            events = slice(int(train.offsets[place]), int(train.offsets[place + 1]))
            expected = train.items[events][train.own[events]]
            assert part.items[row][part.own[row]].sort().values.tolist() == sorted(
                expected.tolist()
            )


def test_everyone_is_drawn_by_a_lot_of_their_own() -> None:
    sampler = PoissonSampler(400, 0.25, 50, generator(0))
    drawn = list(sampler)
    sizes = torch.tensor([len(step) for step in drawn], dtype=torch.float32)
    deviation = math.sqrt(400 * 0.25 * 0.75)
    assert sizes.mean() == pytest.approx(100, abs=4 * deviation / math.sqrt(50))
    assert sizes.std() == pytest.approx(deviation, rel=0.4)  # batches of one size have none
    shares = torch.bincount(torch.cat(drawn), minlength=400) / 50
    assert shares.max() < 0.6
    assert shares.min() > 0


def test_the_budget_of_one_gaussian_release_is_that_of_its_formula() -> None:
    """Without subsampling, order a costs a / (2 sigma^2); converted as Balle et al. (2020) do."""
    sigma, delta = 2.0, 1e-5
    orders = [1 + x / 10 for x in range(1, 100)] + list(range(12, 64))
    best = min(
        a / (2 * sigma**2) + math.log((a - 1) / a) - (math.log(delta) + math.log(a)) / (a - 1)
        for a in orders
    )
    assert spent(sigma, delta, 1.0, 1) == pytest.approx(best, rel=1e-6)


def test_a_plan_uses_its_budget_and_does_not_exceed_it() -> None:
    budgets = [plan(epsilon, 1e-5, 1.0, 0.05, 100) for epsilon in (1.0, 8.0)]
    for epsilon, budget in zip((1.0, 8.0), budgets, strict=True):
        assert epsilon - 0.01 <= budget.epsilon <= epsilon
        assert budget.epsilon == spent(budget.noise_multiplier, 1e-5, 0.05, 100)
    assert budgets[0].noise_multiplier > budgets[1].noise_multiplier


def trained(pair: DomainPair, kind: str = "two_tower", **changed: Any) -> Any:
    def trainer(callbacks: list[L.Callback], **limits: Any) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            callbacks=callbacks,
            **limits,
        )

    model = model_of(kind, pair)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    account = fit_private(model, pair.source, Softmax(), trainer, {**PRIVACY, **changed}, 0.0, 0)
    return before, {name: p.detach() for name, p in model.named_parameters()}, account


def test_a_private_training_says_what_it_spent(small_pair: DomainPair) -> None:
    before, after, account = trained(small_pair)
    budget = account["privacy"]
    assert budget["unit"] == "user"
    assert 7.9 < budget["epsilon"] <= 8
    assert budget["delta"] == pytest.approx(1 / 600)
    assert budget["sample_rate"] == pytest.approx(20 / 60)
    assert account["steps"] == budget["steps"] == 6  # fixed beforehand: nothing stops it
    assert (account["epochs"], account["best_epoch"]) == (2, 1)  # the last, and not the best
    for name in ("item_ids", "item_bias"):
        assert torch.equal(before[name], after[name])
    assert not torch.equal(before["adapter.weight"], after["adapter.weight"])


def test_the_noise_is_new_unless_its_seed_is_given(small_pair: DomainPair) -> None:
    def weights(noise_seed: int | None) -> torch.Tensor:
        return trained(small_pair, noise_seed=noise_seed, epochs=1)[1]["adapter.weight"]

    one = weights(1)
    assert torch.equal(one, weights(1))
    assert not torch.equal(one, weights(2))
    assert not torch.equal(weights(None), weights(None))


def test_a_model_of_ids_learns_its_tables(small_pair: DomainPair) -> None:
    before, after, _ = trained(small_pair, "mf")
    assert all(not torch.equal(before[name], after[name]) for name in before)


def test_a_step_that_draws_nobody_is_noise_alone(small_pair: DomainPair) -> None:
    """One user a step on average: more than a third of the steps draw nobody."""
    before, after, account = trained(small_pair, users_per_step=1, epochs=1, delta=1e-3)
    assert account["steps"] == 60
    assert not torch.equal(before["adapter.weight"], after["adapter.weight"])
