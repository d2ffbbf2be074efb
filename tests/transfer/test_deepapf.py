"""DeepAPF: attention as the formula says, none for what is not shared, and it learns."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.deepapf import DeepAPF, Interplay

NO_CONTENT = Content(None, None, None)
SIDES: tuple[Side, Side] = ("source", "target")
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair) -> DeepAPF:
    model = DeepAPF(dim=3, attention_dim=4)
    build_pair(model, pair, NO_CONTENT, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def catalog_scores(model: DeepAPF, pair: DomainPair, side: Side, user: int) -> Tensor:
    histories = pair.target.train.last(torch.tensor([0]), 1)
    histories.users[0] = user
    with torch.no_grad():
        return model.scorer(side)(histories)[0]


def attended(net: Interplay, products: Tensor) -> float:
    """The formula for one pair, from the (parts, d) products of its vectors."""
    hidden = (products @ net.hidden.weight.T + net.hidden.bias).clamp(min=0)
    alpha = torch.softmax(hidden @ net.logit.weight[0], dim=0)
    return float(alpha @ (products @ net.weight))


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    (losses,) = steps(DeepAPF(8, 4), users_pair, make_objective=make, learning_rate=0.05)
    assert losses[-1] < 0.9 * losses[0]


def test_learns_whatever_is_shared(
    items_pair: DomainPair, apart_pair: DomainPair, steps: Steps
) -> None:
    for pair in (items_pair, apart_pair):
        (losses,) = steps(DeepAPF(8, 4), pair, learning_rate=0.05)
        assert losses[-1] < 0.9 * losses[0]


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
def test_a_shared_user_has_two_vectors(users_pair: DomainPair, side: Side) -> None:
    model = built(users_pair)
    net = model.source if side == "source" else model.target
    user, item = int(users_pair.shared_users[4]), 6
    e = torch.stack([model.user_embedding[user], model.own_embedding[side][user]])
    v = model.item_embedding[model.ids.rows(side)[item]]
    expected = attended(net, e * v) + float(model.item_bias[side][item])
    found = catalog_scores(model, users_pair, side, user)[item].item()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
def test_a_shared_item_has_two_vectors(items_pair: DomainPair, side: Side) -> None:
    """Its codes need not be the same on both sides."""
    items_pair = replace(items_pair, shared_items=torch.tensor([[0, 3], [1, 5], [2, 20], [7, 0]]))
    model = built(items_pair)
    net = model.source if side == "source" else model.target
    user, item = 45, int(items_pair.shared_items[2, 1 if side == "source" else 0])
    v = torch.stack(
        [model.item_embedding[model.ids.rows(side)[item]], model.own_embedding[side][item]]
    )
    expected = attended(net, v * model.user_embedding[user]) + float(model.item_bias[side][item])
    found = catalog_scores(model, items_pair, side, user)[item].item()
    assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


@torch.no_grad()
def test_what_is_not_shared_has_its_own_vector_alone(
    users_pair: DomainPair, items_pair: DomainPair
) -> None:
    model = built(users_pair)
    user = int((~model.shared).nonzero()[0])
    match = (model.own_embedding["target"][user] * model.item_embedding[4]) @ model.target.weight
    found = catalog_scores(model, users_pair, "target", user)[4]
    assert torch.allclose(found, match + model.item_bias["target"][4], rtol=1e-4, atol=1e-5)
    model = built(items_pair)
    item = int((~model.shared[: items_pair.target.n_items]).nonzero()[0])
    match = (model.own_embedding["target"][item] * model.user_embedding[45]) @ model.target.weight
    found = catalog_scores(model, items_pair, "target", 45)[item]
    assert torch.allclose(found, match + model.item_bias["target"][item], rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_two_equal_vectors_need_no_attention(users_pair: DomainPair) -> None:
    model = built(users_pair)
    model.own_embedding["target"].copy_(model.user_embedding)
    user = int(users_pair.shared_users[0])
    expected = (
        model.item_embedding[model.ids.rows("target")]
        @ (model.user_embedding[user] * model.target.weight)
        + model.item_bias["target"]
    )
    assert torch.allclose(
        catalog_scores(model, users_pair, "target", user), expected, rtol=1e-4, atol=1e-5
    )


def test_where_both_are_shared_a_shared_item_has_one_vector(users_pair: DomainPair) -> None:
    both = replace(users_pair, shared_items=torch.tensor([[0, 3], [1, 5]]))
    model = built(both)
    assert model.ids.by == "users"
    assert model.ids.rows("source")[3] == model.ids.rows("target")[0]
    assert len(model.own_embedding["target"]) == users_pair.target.n_users


def test_messages() -> None:
    with pytest.raises(UserError, match=r"transfer.alpha must be >= 0 and < 1, got -1"):
        DeepAPF(alpha=-1.0)
