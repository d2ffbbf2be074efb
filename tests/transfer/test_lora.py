"""LoRA: where it starts, what moves, its rank, and that the model is an ordinary one again."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.models.interface import Recommender
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model, fit_target
from crossrec.training.objectives import Softmax
from crossrec.training.transfer import TransferTraining, anchor_for
from crossrec.transfer.parameters.finetune import Finetune
from crossrec.transfer.parameters.lora import LoRA

Make = Callable[..., Recommender]


def two_tower(**sizes: Any) -> Recommender:
    return TwoTower(dim=6, hidden=8, past_dropout=0.0, **sizes)


def sasrec(**sizes: Any) -> Recommender:
    return SASRec(dim=6, n_heads=1, max_history=12, **sizes)


def built(make: Make, domain: Domain, seed: int = 0) -> Recommender:
    torch.manual_seed(7)
    content = torch.randn(domain.n_items + domain.n_context, 5)
    return build_model(make, domain, content, seed)


def source_of(make: Make, pair: DomainPair) -> dict[str, Tensor]:
    """Weights that no model starts with."""
    model = built(make, pair.source, seed=1)
    return {name: p.detach() + 0.1 * torch.randn_like(p) for name, p in model.named_parameters()}


def started(make: Make, pair: DomainPair, method: Finetune) -> tuple[TransferTraining, Batch]:
    """A training that has started, and one batch of all there is."""
    model = built(make, pair.target)
    anchor = anchor_for(model, source_of(make, pair), pair, pair.target)
    module = TransferTraining(model, pair.target, Softmax(), method, anchor, 0.02, 0.01)
    data = DomainDataModule(pair.target, model.max_history, 10_000, 0)
    return module, next(iter(data.train_dataloader()))


def take_steps(module: TransferTraining, batch: Batch, n: int) -> list[float]:
    optimizer = module.configure_optimizers()
    losses = []
    for _ in range(n):
        L.seed_everything(0, verbose=False)
        loss = module.loss(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        module.method.after_step(module.model, module.anchor, 0.02)
    return losses


@torch.no_grad()
def scores(model: Recommender, batch: Batch) -> Tensor:
    model.eval()
    embedded = model.embed_items()
    states = model.user_vectors(batch.users, batch.items, embedded)
    return states @ model.item_vectors(embedded).T


@pytest.mark.parametrize("make", [two_tower, sasrec])
def test_it_starts_at_the_sources_function(items_pair: DomainPair, make: Make) -> None:
    adapted, batch = started(make, items_pair, LoRA())
    plain, _ = started(make, items_pair, Finetune())
    assert torch.equal(scores(adapted.model, batch), scores(plain.model, batch))


@pytest.mark.parametrize("make", [two_tower, sasrec])
def test_training_and_merging(users_pair: DomainPair, make: Make) -> None:
    rank = 2
    module, batch = started(make, users_pair, LoRA(rank, alpha=4))
    losses = take_steps(module, batch, 20)
    assert losses[-1] < losses[0]
    unmerged = scores(module.model, batch)
    module.method.finish(module.model, module.anchor)
    assert torch.allclose(scores(module.model, batch), unmerged, atol=1e-5)

    fresh = built(make, users_pair.target)
    found = dict(module.model.named_parameters())
    assert list(found) == [name for name, _ in fresh.named_parameters()]
    fresh.load_state_dict(module.model.state_dict(), strict=True)
    assert not hasattr(module.model, "peft_config")
    linear = {n for n, m in fresh.named_modules() if isinstance(m, torch.nn.Linear)}
    for name, value in module.anchor.values.items():
        layer, _, kind = name.rpartition(".")
        if layer in linear and kind == "weight":
            moved = torch.linalg.svdvals((found[name] - value).double())
            assert moved[0] > 1e-3
            assert moved[rank:].sum() < 1e-5
        elif name in module.anchor.rows:
            rows = module.anchor.rows[name]
            assert torch.equal(found[name][rows], value[rows])
        else:
            assert torch.equal(found[name], value)


def test_new_ids_learn_and_shared_ones_do_not(items_pair: DomainPair) -> None:
    module, batch = started(two_tower, items_pair, LoRA())
    before = module.model.get_parameter("item_bias").detach().clone()
    take_steps(module, batch, 3)
    moved = module.model.get_parameter("item_bias") != before
    shared = torch.zeros_like(moved)
    shared[module.anchor.rows["item_bias"]] = True
    assert not (moved & shared).any()
    assert moved[: items_pair.target.n_items][~shared[: items_pair.target.n_items]].all()
    assert 0 < shared[: items_pair.target.n_items].sum() < items_pair.target.n_items


def test_only_named_layers_are_adapted(users_pair: DomainPair) -> None:
    module, batch = started(two_tower, users_pair, LoRA(modules=["mlp.0", "past"]))
    take_steps(module, batch, 2)
    module.method.finish(module.model, module.anchor)
    moved = {
        name
        for name, value in module.anchor.values.items()
        if not torch.equal(module.model.get_parameter(name), value)
    }
    assert moved - set(module.anchor.rows) == {"mlp.0.weight", "past_map.weight"}


def test_a_layer_that_is_not_there_is_refused(items_pair: DomainPair) -> None:
    with pytest.raises(ValueError, match=r"transfer\.modules: no carried linear layer .*'blocks'"):
        started(two_tower, items_pair, LoRA(modules=["blocks"]))


def test_a_model_without_linear_layers_is_refused(items_pair: DomainPair) -> None:
    def make(**sizes: Any) -> Recommender:
        return MatrixFactorization(dim=4, **sizes)

    with pytest.raises(ValueError, match="transfer=lora adapts linear layers, but this model"):
        started(make, items_pair, LoRA())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"rank": 0}, r"transfer\.rank must be >= 1, got 0"),
        ({"alpha": 0}, r"transfer\.alpha must be >= 1, got 0"),
        ({"dropout": 1.0}, r"transfer\.dropout must be >= 0 and < 1, got 1"),
    ],
)
def test_bad_values_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LoRA(**arguments)


def test_a_training_can_travel_to_a_spawned_rank_and_back(items_pair: DomainPair) -> None:
    module, batch = started(two_tower, items_pair, LoRA())
    rank = pickle.loads(pickle.dumps(module))  # what spawning does
    take_steps(rank, batch, 2)
    module.load_state_dict(copy.deepcopy(rank.state_dict()))
    assert torch.equal(scores(module.model, batch), scores(rank.model, batch))
    module.method.finish(module.model, module.anchor)
    assert "mlp.0.weight" in dict(module.model.named_parameters())


def test_fitting_leaves_an_ordinary_model(items_pair: DomainPair) -> None:
    model = built(two_tower, items_pair.target)

    def trainer(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=3,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )

    training = {
        "learning_rate": 0.02,
        "weight_decay": 0.01,
        "events_per_batch": 200,
        "averaging": 0,
        "patience": 9,
    }
    source = source_of(two_tower, items_pair)
    account = fit_target(
        model,
        items_pair,
        items_pair.target,
        source,
        LoRA(rank=1),
        Softmax(),
        trainer,
        training,
        0,
    )
    assert account["epochs"] == 3
    assert set(dict(model.named_parameters())) == set(source)
    moved = torch.linalg.svdvals(model.get_parameter("mlp.0.weight") - source["mlp.0.weight"])
    assert moved[0] > 1e-3 > 1e-5 > moved[1:].sum()  # the best epoch's weights, merged
    assert torch.equal(model.get_parameter("mlp.0.bias"), source["mlp.0.bias"])
