"""Source training and transfer: the limits that the formula promises, held end to end."""

import math
from functools import partial
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import BatchSampler
from crossrec.encoders.content import Content
from crossrec.models.cases import Cases
from crossrec.models.interface import Recommender
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model, fit_source, fit_target, zero_shot
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import fit_pair
from crossrec.training.recommender import RecommenderTraining
from crossrec.training.transfer import anchor_for
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.parameters.finetune import Finetune
from crossrec.transfer.parameters.l2_sp import L2SP
from crossrec.transfer.parameters.scratch import Scratch
from crossrec.transfer.sequences.interleaved import Interleaved

TRAINING = {
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "events_per_batch": 64,
    "averaging": 0,
    "patience": 10,
}


def trainer(epochs: int, **options: object) -> object:
    def make(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
            **options,
        )

    return make


def tower(domain: Domain, seed: int = 0) -> Recommender:
    torch.manual_seed(9)
    content = torch.randn(domain.n_items + domain.n_context, 6)
    return build_model(lambda **sizes: TwoTower(dim=8, hidden=16, **sizes), domain, content, seed)


@pytest.fixture(scope="module")
def source_weights(small_pair: DomainPair) -> dict[str, Tensor]:
    model = tower(small_pair.source)
    fit_source(model, small_pair.source, Softmax(), trainer(3), TRAINING, 0)
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def transfer(
    pair: DomainPair, weights: dict[str, Tensor], method: TransferMethod, epochs: int = 2
) -> Recommender:
    domain = pair.target if method.reads_source else pair.target_only
    model = tower(domain)
    fit_target(model, pair, domain, weights, method, Softmax(), trainer(epochs), TRAINING, 0)
    return model


def weights_of(model: Recommender) -> dict[str, Tensor]:
    return dict(model.named_parameters())


class Passes(L.Callback):
    """Counts windows and validations of every epoch."""

    def __init__(self) -> None:
        self.windows: list[int] = []
        self.validations: list[int] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.windows.append(0)

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, batch: Any, _: int
    ) -> None:
        batches = batch.values() if isinstance(batch, dict) else [batch]
        self.windows[-1] += len(next(iter(batches)).users)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validations.append(trainer.current_epoch)


@pytest.mark.parametrize("both_sides", [False, True])
def test_every_epoch_is_a_whole_pass_and_is_validated(
    larger_pair: DomainPair, both_sides: bool
) -> None:
    """Also where its batches are more, or fewer, than those of the first epoch."""
    n_epochs, passes, seed = 8, Passes(), 6
    training = TRAINING | {"events_per_batch": 32}
    sampler = BatchSampler(larger_pair.target.train, 50, 32, seed)
    n_batches = []
    for epoch in range(n_epochs):
        sampler.set_epoch(epoch)
        n_batches.append(len(sampler))
    assert min(n_batches) < n_batches[0] < max(n_batches)

    def make(callbacks: list[L.Callback]) -> L.Trainer:
        return trainer(n_epochs)([*callbacks, passes])

    if both_sides:
        method = Interleaved(dim=8, n_layers=1)
        fit_pair(method, larger_pair, Content(None, None, None), Softmax, make, training, seed)
    else:
        model = build_model(partial(SASRec, dim=8), larger_pair.target, None, seed)
        fit_source(model, larger_pair.target, Softmax(), make, training, seed)
    assert passes.windows == [len(sampler.rows)] * n_epochs
    assert passes.validations == list(range(n_epochs))


@pytest.mark.parametrize("solver", ["proximal", "gradient"])
def test_lambda_zero_is_finetuning_bit_for_bit(
    small_pair: DomainPair, source_weights: dict[str, Tensor], solver: str
) -> None:
    one = weights_of(transfer(small_pair, source_weights, L2SP(0.0, 0.3, solver=solver)))
    other = weights_of(transfer(small_pair, source_weights, Finetune()))
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.parametrize("mu", [0.0, 0.5, 1.0])
def test_a_very_large_lambda_ends_at_mu_times_the_source(
    small_pair: DomainPair, source_weights: dict[str, Tensor], mu: float
) -> None:
    model = transfer(small_pair, source_weights, L2SP(1e8, mu))
    anchor = anchor_for(model, source_weights, small_pair, small_pair.target)
    for _, parameter, value, rows in anchor.pairs(model):
        parameter, value = (parameter, value) if rows is None else (parameter[rows], value[rows])
        assert (parameter - mu * value).abs().max() < 1e-6


@pytest.mark.parametrize("power", range(-2, 9, 2))
@pytest.mark.parametrize("solver", ["proximal", "gradient"])
def test_any_lambda_trains_without_nan(
    small_pair: DomainPair, source_weights: dict[str, Tensor], solver: str, power: int
) -> None:
    model = transfer(small_pair, source_weights, L2SP(10.0**power, 0.5, solver=solver), epochs=1)
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_the_same_seed_gives_the_same_weights(
    small_pair: DomainPair, source_weights: dict[str, Tensor]
) -> None:
    one, other = (weights_of(transfer(small_pair, source_weights, L2SP(1.0))) for _ in range(2))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_scratch_knows_nothing_of_the_source(small_pair: DomainPair) -> None:
    strange = {name: p.detach() + 1 for name, p in tower(small_pair.source).named_parameters()}
    plain = {name: p.detach() for name, p in tower(small_pair.source).named_parameters()}
    one = weights_of(transfer(small_pair, strange, Scratch()))
    other = weights_of(transfer(small_pair, plain, Scratch()))
    assert all(torch.equal(one[name], other[name]) for name in other)


def test_zero_shot_holds_the_source_and_zeros(
    small_pair: DomainPair, source_weights: dict[str, Tensor]
) -> None:
    model = tower(small_pair.target)
    zero_shot(model, small_pair, small_pair.target, source_weights)
    n_items = small_pair.target.n_items
    assert torch.equal(model.get_parameter("item_ids")[n_items:], source_weights["item_ids"])
    assert model.get_parameter("item_ids")[:n_items].abs().sum() == 0
    assert torch.equal(model.get_parameter("adapter.weight"), source_weights["adapter.weight"])


@pytest.mark.parametrize("objective", [Softmax(), Softmax(full_below=1), BPR(), Rating()])
@pytest.mark.parametrize(
    "make",
    [
        lambda **sizes: TwoTower(dim=8, **sizes),
        lambda **sizes: SASRec(dim=8, n_heads=1, dropout=0.0, max_history=10, **sizes),
        lambda **sizes: MatrixFactorization(dim=8, **sizes),
    ],
)
def test_training_lowers_the_loss(
    small_pair: DomainPair, make: object, objective: Objective
) -> None:
    domain = small_pair.target
    content = torch.randn(domain.n_items + domain.n_context, 6)
    model = build_model(make, domain, content, 0)
    module = RecommenderTraining(model, domain, objective, 0.02, 0.0)
    window = model.max_history if model.sequential else 1
    batch = next(iter(DomainDataModule(domain, window, 10_000, 0).train_dataloader()))
    optimizer = module.configure_optimizers()

    def loss() -> Tensor:
        torch.manual_seed(3)
        return module.loss(batch)

    model.eval()
    before = loss().item()
    for _ in range(20):
        optimizer.zero_grad()
        loss().backward()
        optimizer.step()
    assert loss().item() < before


def test_bpr_negatives_are_items_that_the_user_does_not_have(small_pair: DomainPair) -> None:
    objective = BPR()
    objective.prepare(small_pair.target)
    users, items, _ = small_pair.target.train_events()
    had = set(zip(users.tolist(), items.tolist(), strict=True))
    torch.manual_seed(0)
    for _ in range(20):
        drawn = objective.negatives(users, small_pair.target.n_items)
        assert not had & set(zip(users.tolist(), drawn.tolist(), strict=True))


def test_logistic_draws_negatives_for_each_event(small_pair: DomainPair) -> None:
    objective = Logistic(n_negatives=3)
    objective.prepare(small_pair.target)
    users, items, ratings = (column[:5] for column in small_pair.target.train_events())
    asked: list[Tensor] = []

    def score(candidates: Tensor) -> Tensor:
        asked.append(candidates)
        return torch.zeros(candidates.shape)

    loss = objective(Cases(users, items, ratings, small_pair.target.n_items, score))
    (candidates,) = asked
    assert torch.equal(candidates[:, 0], items)
    assert candidates.shape == (5, 4)
    assert not (candidates[:, 1:] == items[:, None]).any()
    assert loss.item() == pytest.approx(4 * math.log(2))


def test_softmax_of_a_network_estimates_the_full_one(small_pair: DomainPair) -> None:
    """With many negatives the sampled loss comes near the full loss of the same scores."""
    torch.manual_seed(0)
    users, items, ratings = (column[:40] for column in small_pair.target.train_events())
    n_items = small_pair.target.n_items
    cases = Cases.of_vectors(torch.randn(40, 4), torch.randn(n_items, 4), users, items, ratings)
    objective = Softmax(n_scored=2000)
    objective.prepare(small_pair.target)
    sampled = objective(Cases(users, items, ratings, n_items, cases.score))
    assert sampled.item() == pytest.approx(objective(cases).item(), rel=0.02)


def test_rating_loss_by_hand(small_pair: DomainPair) -> None:
    objective = Rating()
    objective.mean = 3.0
    cases = Cases.of_vectors(
        user=torch.tensor([[1.0], [2.0]]),
        item=torch.tensor([[0.5], [1.0]]),
        users=torch.tensor([0, 1]),
        items=torch.tensor([1, 0]),
        ratings=torch.tensor([5.0, float("nan")]),
    )
    assert objective(cases).item() == pytest.approx((3 + 1 - 5) ** 2)


def test_best_weights_are_those_that_validation_liked(small_pair: DomainPair) -> None:
    scores = []

    class Watch(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            scores.append(float(trainer.callback_metrics["valid/ndcg@10"]))

    model = tower(small_pair.target)
    make = trainer(6)
    account = fit_source(
        model, small_pair.target, Softmax(), lambda c: make([*c, Watch()]), TRAINING, 0
    )
    assert account["best"] == pytest.approx(max(scores))
    assert account["best_epoch"] == scores.index(max(scores))
    again = RecommenderTraining(model, small_pair.target, Softmax(), 0.0, 0.0)
    checked = make([]).validate(
        again, DomainDataModule(small_pair.target, 50, 64, 0), verbose=False
    )
    assert checked[0]["valid/ndcg@10"] == pytest.approx(max(scores))


def test_two_ranks_train_one_model(
    small_pair: DomainPair, source_weights: dict[str, Tensor]
) -> None:
    model = tower(small_pair.target)
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    make = trainer(2, devices=2, strategy="ddp_spawn_find_unused_parameters_true")
    account = fit_target(
        model,
        small_pair,
        small_pair.target,
        source_weights,
        L2SP(1.0),
        Softmax(),
        make,
        TRAINING,
        0,
    )
    assert 0 < account["best"] <= 1
    assert any(not torch.equal(before[name], p) for name, p in model.named_parameters())
    assert all(parameter.isfinite().all() for parameter in model.parameters())


def test_bf16_trains(small_pair: DomainPair) -> None:
    model = tower(small_pair.target)
    account = fit_source(
        model, small_pair.target, Softmax(), trainer(1, precision="bf16-mixed"), TRAINING, 0
    )
    assert account["steps"] > 0
    assert all(parameter.isfinite().all() for parameter in model.parameters())
    assert next(model.parameters()).dtype == torch.float32
