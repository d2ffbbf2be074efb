"""FedAvg: the mean by hand, rounds, and what one owner can know of the other."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.data.columns import PAD
from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import Softmax
from crossrec.training.pair_training import build_pair, fit_pair
from crossrec.transfer.parameters.fedavg import FedAvg

Steps = Callable[..., list[list[float]]]
ContentOf = Callable[[DomainPair], Content]
TRAINING = {
    "learning_rate": 0.05,
    "weight_decay": 0.0,
    "events_per_batch": 64,
    "averaging": 0,
    "patience": 9,
}
PRIVATE = ("item_ids", "item_bias")


def built(pair: DomainPair, content: Content, **changed: Any) -> FedAvg:
    model = FedAvg(**({"dim": 8, "hidden": 8, "dropout": 0.0, "max_history": 12} | changed))
    build_pair(model, pair, content, seed=0)
    return model


def fitted(pair: DomainPair, content: Content, **changed: Any) -> tuple[FedAvg, dict[str, Any]]:
    model = built(pair, content, **changed)

    def make(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=4,
            callbacks=callbacks,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
        )

    return model, fit_pair(model, pair, content, Softmax, make, TRAINING, seed=0)


def weights(model: FedAvg, side: Side) -> dict[str, Tensor]:
    return {n: p.detach().clone() for n, p in model.owner(side).named_parameters()}


def test_the_mean_by_hand_and_what_is_not_in_it(apart_pair: DomainPair, content_of: Any) -> None:
    model = built(apart_pair, content_of(apart_pair))
    with torch.no_grad():
        for side, value in zip(SIDES, (1.0, 5.0), strict=True):
            for parameter in model.owner(side).parameters():
                parameter.fill_(value)
    model.share = 0.75
    first, second, third = model.phases[:3]
    model.enter(first)  # nothing to average yet
    assert weights(model, "target")["adapter.weight"].unique().tolist() == [5.0]
    model.enter(second)  # in the middle of a round
    assert weights(model, "target")["adapter.weight"].unique().tolist() == [5.0]
    model.enter(third)
    for side, own in zip(SIDES, (1.0, 5.0), strict=True):
        for name, weight in weights(model, side).items():  # .75 * 1 + .25 * 5 = 2
            assert weight.unique().tolist() == [own if name in PRIVATE else 2.0], name


def test_owners_begin_alike_and_count_by_events(apart_pair: DomainPair, content_of: Any) -> None:
    model = built(apart_pair, content_of(apart_pair))
    source, target = weights(model, "source"), weights(model, "target")
    assert all(torch.equal(source[name], target[name]) for name in model.shared("source"))
    counts = [len(d.train_events()[0]) for d in (apart_pair.source, apart_pair.target)]
    assert model.share == counts[0] / sum(counts)


def test_a_phase_trains_one_owner_and_no_longer_than_it_may(
    apart_pair: DomainPair, content_of: Any
) -> None:
    one, account = fitted(apart_pair, content_of(apart_pair), rounds=1, local_epochs=2)
    two, accounts = fitted(apart_pair, content_of(apart_pair), rounds=2, local_epochs=9)
    assert [phase["phase"] for phase in accounts["phases"]] == [
        "round 1, source", "round 1, target", "round 2, source", "round 2, target",
    ]  # fmt: skip
    assert all(phase["epochs"] <= 2 for phase in account["phases"])
    assert all(phase["epochs"] <= 4 for phase in accounts["phases"])  # as the trainer says
    assert account["phases"][0]["epochs"] == 2
    start = built(apart_pair, content_of(apart_pair))
    for side in SIDES:
        moved = [not torch.equal(weights(one, side)[n], w) for n, w in weights(start, side).items()]
        assert any(moved)
    assert any(
        not torch.equal(weights(one, "target")[n], w) for n, w in weights(two, "target").items()
    )


def test_one_round_is_an_owner_alone(users_pair: DomainPair, content_of: Any) -> None:
    """Before anything is averaged the target is the same whatever the source's events are."""
    content = content_of(users_pair)
    model, _ = fitted(users_pair, content, rounds=1)
    source = users_pair.source
    mixed = source.train.items.flip(0)
    changed = replace(source, train=replace(source.train, items=mixed))
    assert not torch.equal(mixed, source.train.items)
    other, _ = fitted(replace(users_pair, source=changed), content, rounds=1)
    mine, theirs = (weights(each, "target") for each in (model, other))
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    differs = [
        not torch.equal(a, b)
        for a, b in zip(
            weights(model, "source").values(), weights(other, "source").values(), strict=True
        )
    ]
    assert any(differs)


def test_what_is_read_is_the_owners_alone(users_pair: DomainPair, content_of: Any) -> None:
    model = built(users_pair, content_of(users_pair)).eval()
    histories = users_pair.target.valid.history.last(torch.arange(10, 15), 12)
    n_items = users_pair.target.n_items
    assert (histories.items >= n_items).any()  # events in the source
    read = model.read("target", histories)
    assert ((read.items < n_items) | (read.items == PAD)).all()
    with torch.no_grad():
        assert torch.equal(model.scorer("target")(histories), model.scorer("target")(read))


def test_it_learns(users_pair: DomainPair, steps: Steps, content_of: Any) -> None:
    model = FedAvg(8, 8, 0.0, 12, rounds=2)
    for losses in steps(model, users_pair, content=content_of(users_pair), learning_rate=0.05):
        assert losses[-1] < losses[0]


def test_messages(users_pair: DomainPair) -> None:
    with pytest.raises(UserError, match=r"transfer.rounds must be >= 1, got 0"):
        FedAvg(rounds=0)
    with pytest.raises(UserError, match=r"transfer.local_epochs must be >= 1, got 0"):
        FedAvg(local_epochs=0)
    with pytest.raises(UserError, match="transfer=fedavg knows items by their texts alone"):
        built(users_pair, Content(None, None, None))
