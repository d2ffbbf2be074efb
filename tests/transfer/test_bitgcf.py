"""BiTGCF: two LightGCNs where nothing is shared, a hand-worked exchange where something is."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.graph import normalized_adjacency, propagate
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.preferences.bitgcf import SIDES, BiTGCF

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, **settings: Any) -> BiTGCF:
    model = BiTGCF(**{"dim": 4, **settings})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def graph_of(pair: DomainPair, side: Side) -> torch.Tensor:
    domain = domain_of(pair, side)
    users, items, _ = domain.train_events()
    return normalized_adjacency(users, items, domain.n_users, domain.n_items)


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
@pytest.mark.parametrize("which", ["users_pair", "items_pair", "apart_pair"])
def test_twenty_steps_lower_the_loss(
    request: pytest.FixtureRequest, steps: Steps, make: Callable[[], Objective], which: str
) -> None:
    pair = request.getfixturevalue(which)
    (losses,) = steps(BiTGCF(dim=8), pair, make_objective=make, learning_rate=0.1)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("n_layers", [1, 3])
def test_with_nothing_shared_it_is_lightgcn_in_each_domain(
    apart_pair: DomainPair, n_layers: int
) -> None:
    model = built(apart_pair, n_layers=n_layers)
    vectors = model.vectors()
    for side in SIDES:
        alone = propagate(graph_of(apart_pair, side), model.embedding[side], n_layers)
        assert torch.allclose(vectors[side], alone, atol=1e-8)


@pytest.mark.parametrize("which", ["users_pair", "items_pair"])
def test_something_shared_is_not_lightgcn(request: pytest.FixtureRequest, which: str) -> None:
    pair = request.getfixturevalue(which)
    model = built(pair)
    alone = propagate(graph_of(pair, "target"), model.embedding["target"], 2)
    moved = (model.vectors()["target"] - alone).abs().sum(1) > 1e-6
    shared = torch.zeros(len(moved), dtype=torch.bool)
    shared[model.get_buffer("shared_target")] = True
    assert moved[shared].all()
    assert not moved.all()


def test_layers_side_by_side(apart_pair: DomainPair) -> None:
    model = built(apart_pair, connect="concat")
    first = model.embedding["target"]
    second = graph_of(apart_pair, "target") @ first
    third = graph_of(apart_pair, "target") @ second
    expected = torch.cat([first, second, third], dim=1)
    assert torch.allclose(model.vectors()["target"], expected, atol=1e-8)


def test_transfer_by_hand(items_pair: DomainPair) -> None:
    """With n_s = 6 and n_t = 2, x_s = 8 and x_t = 4: c = (48 + 8) / 8 = 7, and the target gets
    (7 + .8 * 4 + .2 * 8) / 2 = 5.9, the source (7 + .6 * 8 + .4 * 4) / 2 = 6.7."""
    model = built(items_pair, dim=1, lambda_source=0.6, lambda_target=0.8)
    n_users = items_pair.target.n_users
    features: dict[Side, torch.Tensor] = {
        "source": torch.full((n_users + items_pair.source.n_items, 1), 8.0),
        "target": torch.full((n_users + items_pair.target.n_items, 1), 4.0),
    }
    in_target = model.transfer(features, "target", "source")[n_users:, 0]
    in_source = model.transfer(features, "source", "target")[n_users:, 0]
    for target_item, source_item in items_pair.shared_items.tolist():
        n_t = int(items_pair.target.item_counts()[target_item])
        n_s = int(items_pair.source.item_counts()[source_item])
        assert min(n_s, n_t) > 0
        common = (n_s * 8 + n_t * 4) / (n_s + n_t)
        expected = (common + 0.8 * 4 + 0.2 * 8) / 2, (common + 0.6 * 8 + 0.4 * 4) / 2
        got = in_target[target_item].item(), in_source[source_item].item()
        assert got == pytest.approx(expected)
    alone = torch.ones(items_pair.target.n_items, dtype=torch.bool)
    alone[items_pair.shared_items[:, 0]] = False
    assert alone.any()
    assert (in_target[alone] == 4).all()


def test_who_was_never_trained_there_brings_nothing_and_who_was_not_here_takes(
    users_pair: DomainPair,
) -> None:
    """Person 0 has no training event in the source, person 1 none in the target."""
    first, second = users_pair.shared_users[:2].tolist()
    pair = replace(
        users_pair,
        source=without(users_pair.source, first),
        target=without(users_pair.target, second),
    )
    model = built(pair, dim=1, lambda_source=0.6, lambda_target=0.8)
    features: dict[Side, torch.Tensor] = {
        "source": torch.full_like(model.embedding["source"], 8.0),
        "target": torch.full_like(model.embedding["target"], 0.0),
    }
    in_target = model.transfer(features, "target", "source")
    in_source = model.transfer(features, "source", "target")
    assert in_target[first].item() == 0
    assert in_source[second].item() == 8
    assert in_target[second].item() == pytest.approx((8 + 0.2 * 8) / 2)


def without(domain: Domain, user: int) -> Domain:
    """The same domain, with no training event of a user."""
    train = domain.train
    own = train.own & (torch.repeat_interleave(train.users, train.lengths) != user)
    return replace(domain, train=replace(train, own=own))


@settings(max_examples=20, deadline=None)
@given(lambda_=st.floats(0, 1), own=st.floats(-9, 9), theirs=st.floats(-9, 9))
def test_what_is_mixed_lies_between(
    users_pair: DomainPair, lambda_: float, own: float, theirs: float
) -> None:
    model = built(users_pair, dim=1, lambda_source=lambda_, lambda_target=lambda_)
    nodes = {side: len(model.embedding[side]) for side in SIDES}
    features: dict[Side, torch.Tensor] = {
        "target": torch.full((nodes["target"], 1), own),
        "source": torch.full((nodes["source"], 1), theirs),
    }
    mixed = model.transfer(features, "target", "source")
    assert mixed.min() >= min(own, theirs) - 1e-5
    assert mixed.max() <= max(own, theirs) + 1e-5


def test_dropout_is_for_training_alone(users_pair: DomainPair) -> None:
    model = built(users_pair, dropout=0.5)
    histories = users_pair.target.train.last(torch.arange(5), 1)
    model.train()
    assert not torch.equal(model.vectors()["target"], model.vectors()["target"])
    model.eval()
    assert torch.equal(model.scorer("target")(histories), model.scorer("target")(histories))
    alone = built(users_pair)
    alone.load_state_dict(model.state_dict())
    assert torch.equal(model.vectors()["target"], alone.vectors()["target"])


def test_score_is_the_inner_product(users_pair: DomainPair) -> None:
    model = built(users_pair).eval()
    histories = users_pair.target.train.last(torch.tensor([3]), 1)
    vectors = model.vectors()["target"]
    expected = vectors[histories.users[0]] @ vectors[users_pair.target.n_users + 5]
    scores = model.scorer("target")(histories)
    assert scores.shape == (1, users_pair.target.n_items)
    assert scores[0, 5].item() == pytest.approx(expected.item())


@pytest.mark.parametrize(
    ("settings_", "said"),
    [
        ({"n_layers": 0}, "transfer.n_layers must be >= 1, got 0"),
        ({"lambda_source": 1.5}, "transfer.lambda_source must be between 0 and 1, got 1.5"),
        ({"lambda_target": -1}, "transfer.lambda_target must be between 0 and 1, got -1"),
        ({"connect": "sum"}, "transfer.connect must be concat or mean, got sum"),
        ({"dropout": 1.0}, "transfer.dropout must be >= 0 and < 1, got 1.0"),
    ],
)
def test_settings_out_of_range(settings_: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        BiTGCF(**settings_)
