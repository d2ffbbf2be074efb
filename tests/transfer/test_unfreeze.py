"""Gradual unfreezing: which groups, when they are freed, and what early stopping makes of it."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model, fit_target
from crossrec.training.objectives import Softmax
from crossrec.training.transfer import anchor_for
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.parameters.finetune import Finetune
from crossrec.transfer.parameters.unfreeze import Unfreeze

ALL_OF_TOWER = ["mlp", "past_map", "attention", "adapter", "own"]


def tower(domain: Domain) -> Recommender:
    content = torch.ones(domain.n_items + domain.n_context, 3)
    return build_model(lambda **sizes: TwoTower(dim=4, hidden=4, **sizes), domain, content, 0)


def source_weights(pair: DomainPair) -> dict[str, Tensor]:
    return {name: p.detach() + 0.1 for name, p in tower(pair.source).named_parameters()}


def started(pair: DomainPair, method: Unfreeze) -> tuple[Recommender, Unfreeze]:
    model = tower(pair.target)
    method.start(model, anchor_for(model, source_weights(pair), pair, pair.target))
    return model, method


def fit(
    pair: DomainPair, method: TransferMethod, epochs: int, rate: float, patience: int = 50
) -> tuple[Recommender, dict[str, Any]]:
    def trainer(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=epochs,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )

    model = tower(pair.target)
    training = {
        "learning_rate": rate,
        "weight_decay": 0.01,
        "events_per_batch": 1000,
        "averaging": 0,
        "patience": patience,
    }
    account = fit_target(
        model, pair, pair.target, source_weights(pair), method, Softmax(), trainer, training, 0
    )
    return model, account


def test_groups_run_from_the_last_module_to_the_tables(users_pair: DomainPair) -> None:
    _, method = started(users_pair, Unfreeze())
    tops = [{name.split(".")[0] for name in group} for group in method.members]
    own = {"item_ids", "item_bias", "past_weight"}
    assert tops == [{"mlp"}, {"past_map"}, {"attention"}, {"adapter"}, own]
    assert set().union(*method.members) == set(source_weights(users_pair))


def test_blocks_are_groups_of_their_own(users_pair: DomainPair) -> None:
    domain = users_pair.target

    def make(**sizes: Any) -> Recommender:
        return SASRec(dim=4, n_heads=1, n_layers=2, **sizes)

    model = build_model(make, domain, None, 0)
    source = build_model(make, users_pair.source, None, 0)
    weights = {name: p.detach() for name, p in source.named_parameters()}
    method = Unfreeze()
    method.start(model, anchor_for(model, weights, users_pair, domain))
    assert [min(group) for group in method.members] == [
        "norm.bias",
        "blocks.1.attention.out.bias",
        "blocks.0.attention.out.bias",
        "item_embedding",
    ]
    assert method.members[-1] == {"item_embedding", "positions"}


def test_one_group_each_so_many_epochs(users_pair: DomainPair) -> None:
    _, method = started(users_pair, Unfreeze(every=2))
    frozen = []
    for epoch in range(10):
        done = method.begin_epoch(epoch)
        assert done == (not method.frozen)
        frozen.append(len({name.split(".")[0] for name in method.frozen}))
    # adapter, attention, past_map and the three of the last group; then one group less.
    assert frozen == [6, 6, 5, 5, 4, 4, 3, 3, 0, 0]


def test_a_frozen_weight_is_the_sources_and_a_free_one_moves(users_pair: DomainPair) -> None:
    model, _ = fit(users_pair, Unfreeze(), epochs=1, rate=0.01)
    source, n_items = source_weights(users_pair), users_pair.target.n_items
    fresh = tower(users_pair.target)
    for name, parameter in model.named_parameters():
        if name.startswith("mlp"):
            assert not torch.equal(parameter, source[name])
        elif name in model.item_tables:
            assert torch.equal(parameter[n_items:], source[name])
            new = fresh.get_parameter(name)[:n_items]
            assert not torch.equal(parameter[:n_items], new)  # new ids learn from the start
        else:
            assert torch.equal(parameter, source[name])


def test_with_one_group_it_is_finetuning_bit_for_bit(users_pair: DomainPair) -> None:
    method = Unfreeze(groups=[["mlp", "past", "attention", "adapter", "item"]])
    one, _ = fit(users_pair, method, epochs=2, rate=0.01)
    other, _ = fit(users_pair, Finetune(), epochs=2, rate=0.01)
    for p, q in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(p, q)


@pytest.mark.parametrize("patience", [1, 3])
def test_patience_begins_when_all_is_free(users_pair: DomainPair, patience: int) -> None:
    # At this rate nothing moves: no epoch is better than the first, whatever is free.
    _, plain = fit(users_pair, Finetune(), epochs=30, rate=1e-12, patience=patience)
    assert plain["epochs"] == 1 + patience
    method = Unfreeze(every=2)
    _, account = fit(users_pair, method, epochs=30, rate=1e-12, patience=patience)
    assert account["epochs"] == 2 * (len(ALL_OF_TOWER) - 1) + patience
    assert account["best_epoch"] == 0


def test_groups_can_be_named_and_the_rest_is_the_last(users_pair: DomainPair) -> None:
    method = Unfreeze(groups=[["adapter", "past_map"], ["mlp.0", "adapter"]])
    with pytest.raises(
        ValueError, match=r"no carried weight is left for \['attention', 'adapter'\]"
    ):
        started(users_pair, Unfreeze(groups=[["att", "adapter"], ["attention", "adapter"]]))
    started(users_pair, method)
    assert method.members[:2] == [
        {"adapter.weight", "past_map.weight"},
        {"mlp.0.weight", "mlp.0.bias"},
    ]
    assert method.members[2] >= {"item_ids", "attention.weight", "mlp.3.bias"}


def test_bad_values_are_refused() -> None:
    with pytest.raises(ValueError, match=r"transfer\.every must be >= 1, got 0"):
        Unfreeze(every=0)
