"""Transfer of parameters from start to end: limits of each method that hold for whole trainings."""

from pathlib import Path
from typing import Any

import hydra
import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.configuration.composing import CONF, compose, method_of
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model, fit_target
from crossrec.training.importance import fisher
from crossrec.training.objectives import Softmax
from crossrec.training.transfer import TransferTraining, anchor_for
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.parameters.ewc import EWC
from crossrec.transfer.parameters.finetune import Finetune
from crossrec.transfer.parameters.l2_sp import L2SP
from crossrec.transfer.parameters.l2_sp_fitted import L2SPFitted
from crossrec.transfer.parameters.scratch import Scratch

# Those that carry weights of the configured model; what brings a network has a test of its own.
METHODS = sorted(
    file.stem
    for file in (CONF / "transfer").glob("*.yaml")
    if file.stem != "guarded" and isinstance(method_of(file.stem, {}).make(), TransferMethod)
)


def tower(domain: Domain, seed: int = 0) -> Recommender:
    return build_model(lambda **sizes: TwoTower(dim=4, hidden=4, **sizes), domain, None, seed)


@pytest.fixture(scope="module")
def weights(users_pair: DomainPair) -> dict[str, Tensor]:
    """Source weights that no target model starts with."""
    model = tower(users_pair.source, seed=1)
    return {name: p.detach() + 0.1 for name, p in model.named_parameters()}


@pytest.fixture(scope="module")
def importance(users_pair: DomainPair, weights: dict[str, Tensor]) -> dict[str, Tensor]:
    model = tower(users_pair.source)
    model.load_state_dict(weights)
    return fisher(model, users_pair.source, Softmax(), 20, seed=0)


def fit(
    pair: DomainPair,
    weights: dict[str, Tensor],
    method: TransferMethod,
    importance: dict[str, Tensor] | None = None,
) -> tuple[Recommender, dict[str, Any]]:
    """Two epochs of a method in the target; the model and the account of its training."""

    def trainer(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=2,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )

    domain = pair.target if method.reads_source else pair.target_only
    model = tower(domain)
    training = {
        "learning_rate": 0.01,
        "weight_decay": 0.01,
        "events_per_batch": 100,
        "averaging": 0,
        "patience": 9,
    }
    account = fit_target(
        model, pair, domain, weights, method, Softmax(), trainer, training, 0, importance
    )
    return model, account


def same(one: Recommender, other: Recommender) -> bool:
    return all(torch.equal(p, q) for p, q in zip(one.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("name", METHODS)
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, weights: dict[str, Tensor], importance: dict[str, Tensor], name: str
) -> None:
    method = method_of(name, {}).make()
    domain = users_pair.target if method.reads_source else users_pair.target_only
    model = tower(domain)
    anchor = anchor_for(model, weights, users_pair, domain, importance)
    module = TransferTraining(model, domain, Softmax(), method, anchor, 0.02, 0.01)
    optimizer = module.configure_optimizers()
    batch = domain.train.last(torch.arange(len(domain.train.users)), 50)
    losses = []
    for step in range(21):
        method.begin_epoch(step // 5)
        L.seed_everything(0, verbose=False)  # the same dropout each time
        loss = module.loss(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step(model, anchor, 0.02)
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.parametrize("solver", ["proximal", "gradient"])
@pytest.mark.parametrize("make", [EWC, L2SPFitted])
def test_a_fit_with_lambda_zero_is_finetuning_bit_for_bit(
    users_pair: DomainPair,
    weights: dict[str, Tensor],
    importance: dict[str, Tensor],
    make: Any,
    solver: str,
) -> None:
    one, _ = fit(users_pair, weights, make(lambda_=0.0, solver=solver), importance)
    other, _ = fit(users_pair, weights, Finetune())
    pulled, _ = fit(users_pair, weights, make(lambda_=1.0, solver=solver), importance)
    assert same(one, other)
    assert not same(pulled, other)


def test_a_fit_of_ewc_with_unit_importance_is_l2_sp(
    users_pair: DomainPair, weights: dict[str, Tensor]
) -> None:
    unit = {name: torch.full_like(value, 0.3) for name, value in weights.items()}
    one, _ = fit(users_pair, weights, EWC(2.0), unit)
    other, _ = fit(users_pair, weights, L2SP(2.0))
    # Not the weights that the softmax does not feel (a user's bias): Adam makes steps of the last
    # bit of their gradients.
    for name in ("item_ids", "item_bias", "past_map.weight", "mlp.0.weight"):
        p, q = one.get_parameter(name), other.get_parameter(name)
        assert torch.allclose(p, q, rtol=0, atol=1e-6)


def test_a_fit_of_ewc_with_a_very_large_lambda_holds_what_matters(
    users_pair: DomainPair, weights: dict[str, Tensor], importance: dict[str, Tensor]
) -> None:
    model, _ = fit(users_pair, weights, EWC(1e8), importance)
    anchor = anchor_for(model, weights, users_pair, users_pair.target, importance)
    moved = {
        name: (parameter - value).detach()[anchor.importance[name] == 0]
        for name, parameter, value, _ in anchor.pairs(model)
    }
    for name, parameter, value, _ in anchor.pairs(model):
        held = anchor.importance[name] > 1e-2
        assert torch.allclose(parameter[held], value[held], rtol=0, atol=1e-6)
    assert any(bool(difference.any()) for difference in moved.values())


def test_a_fit_with_mu_fitted_stays_in_the_span_of_the_source_and_says_where(
    users_pair: DomainPair, weights: dict[str, Tensor]
) -> None:
    model, account = fit(users_pair, weights, L2SPFitted(1e8))
    anchor = anchor_for(model, weights, users_pair, users_pair.target)
    assert set(account["mu"]) == set(anchor.values)
    assert any(abs(mu - 1) > 1e-3 for mu in account["mu"].values())
    for name, parameter, value, rows in anchor.pairs(model):
        weight, source = (parameter, value) if rows is None else (parameter[rows], value[rows])
        assert torch.allclose(weight, account["mu"][name] * source, atol=1e-6)


@pytest.mark.parametrize("solver", ["proximal", "gradient"])
@pytest.mark.parametrize("make", [EWC, L2SPFitted])
def test_any_lambda_trains_without_nan(
    users_pair: DomainPair,
    weights: dict[str, Tensor],
    importance: dict[str, Tensor],
    make: Any,
    solver: str,
) -> None:
    model, _ = fit(users_pair, weights, make(lambda_=1e8, solver=solver), importance)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_scratch_can_read_the_sources_events_and_not_its_weights(
    users_pair: DomainPair, weights: dict[str, Tensor]
) -> None:
    strange = {name: value + 1 for name, value in weights.items()}
    one, _ = fit(users_pair, weights, Scratch(reads_source=True))
    assert same(one, fit(users_pair, strange, Scratch(reads_source=True))[0])
    n_rows = users_pair.target.n_items + users_pair.source.n_items
    assert len(one.get_parameter("item_ids")) == n_rows
    alone, _ = fit(users_pair, weights, Scratch())
    assert len(alone.get_parameter("item_ids")) == users_pair.target.n_items


@pytest.mark.parametrize(
    ("overrides", "reads_source"),
    [
        (["transfer=scratch"], False),
        (["transfer=scratch", "transfer.reads_source=true"], True),
        (["transfer=l2_sp"], True),
    ],
)
def test_the_scratch_row_never_reads_the_source(
    tmp_path: Path, overrides: list[str], reads_source: bool
) -> None:
    command = ["+experiment=home_to_electronics", "encoder=none", "pretraining=off", *overrides]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        settings = compose(hydra.compose("train", command), tmp_path)
    assert settings.transfer.make().reads_source is reads_source
    assert settings.scratch.make().reads_source is False
    assert settings.scratch.config["reads_source"] is False
