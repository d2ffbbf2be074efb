"""CoNet: the paper's equations, no cross term for what is not shared, H = 0, and it learns."""

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
from crossrec.transfer.preferences.conet import MLP, CoNet

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, reg: float = 0.0) -> CoNet:
    """With weights so large that no term is lost in rounding."""
    model = CoNet(dim=3, layers=(5, 4, 2), reg=reg)
    build_pair(model, pair, NO_CONTENT, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def catalog_scores(model: CoNet, pair: DomainPair, side: Side, user: int) -> Tensor:
    histories = pair.target.train.last(torch.tensor([0]), 1)
    histories.users[0] = user
    with torch.no_grad():
        return model.scorer(side)(histories)[0]


def plain(mlp: MLP, x: Tensor) -> Tensor:
    """An MLP as written."""
    for layer in (mlp.first, *mlp.later):
        x = (layer.weight @ x + layer.bias).clamp(min=0)
    return (mlp.output.weight @ x + mlp.output.bias)[0]


def crossed(model: CoNet, own: MLP, other: MLP, here: Tensor, there: Tensor) -> Tensor:
    """The paper's equations, layer by layer, for one pair."""
    layers = zip((own.first, *own.later), (other.first, *other.later), model.cross, strict=True)
    for mine, theirs, cross in layers:
        here, there = (
            (mine.weight @ here + mine.bias + cross @ there).clamp(min=0),
            (theirs.weight @ there + theirs.bias + cross @ here).clamp(min=0),
        )
    return (own.output.weight @ here + own.output.bias)[0]


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    model = CoNet(8, (8, 8), reg=1e-4)
    (losses,) = steps(model, users_pair, make_objective=make, learning_rate=0.05)
    assert losses[-1] < 0.9 * losses[0]


def test_learns_whatever_is_shared(
    items_pair: DomainPair, apart_pair: DomainPair, steps: Steps
) -> None:
    for pair in (items_pair, apart_pair):
        (losses,) = steps(CoNet(8, (8,)), pair, learning_rate=0.05)
        assert losses[-1] < 0.9 * losses[0]


@torch.no_grad()
def test_a_shared_user_is_known_to_the_other_network(users_pair: DomainPair) -> None:
    model = built(users_pair)
    user = int(users_pair.shared_users[7])
    for side, own, other in (
        ("source", model.source, model.target),
        ("target", model.target, model.source),
    ):
        scores = catalog_scores(model, users_pair, side, user)
        p, q = model.user_embedding[user], model.item_embedding[model.ids.rows(side)]
        for item in (0, 9):
            here, there = torch.cat([p, q[item]]), torch.cat([p, torch.zeros(3)])
            expected = crossed(model, own, other, here, there)
            assert scores[item].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


@torch.no_grad()
def test_a_shared_item_is_known_to_the_other_network(items_pair: DomainPair) -> None:
    """Its codes need not be the same on both sides."""
    pair = replace(items_pair, shared_items=torch.tensor([[0, 3], [1, 5], [7, 20]]))
    model = built(pair)
    user = 50
    p = model.user_embedding[user]
    networks = (model.target, model.source), (model.source, model.target)
    for column, side in enumerate(("target", "source")):
        scores = catalog_scores(model, pair, side, user)
        for target_code, code in zip(
            pair.shared_items[:, 0].tolist(), pair.shared_items[:, column].tolist(), strict=True
        ):
            q = model.item_embedding[target_code]
            here, there = torch.cat([p, q]), torch.cat([torch.zeros(3), q])
            expected = crossed(model, *networks[column], here, there)
            assert scores[code].item() == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


@torch.no_grad()
def test_what_is_not_shared_gets_no_cross_term(
    users_pair: DomainPair, items_pair: DomainPair
) -> None:
    of_user, of_item = built(users_pair), built(items_pair)
    user = int((~of_user.ids.shared_users).nonzero()[0])
    item = int((~of_item.ids.shared_items[: items_pair.target.n_items]).nonzero()[0])
    for model, pair, u, i in ((of_user, users_pair, user, 4), (of_item, items_pair, 50, item)):
        x = torch.cat([model.user_embedding[u], model.item_embedding[i]])
        expected = plain(model.target, x).item()
        found = catalog_scores(model, pair, "target", u)[i].item()
        assert found == pytest.approx(expected, rel=1e-4, abs=1e-4)


def test_with_h_zero_these_are_two_networks(users_pair: DomainPair) -> None:
    """The score is the domain's own MLP's, and the other's weights do not matter."""
    model = built(users_pair)
    user = int(users_pair.shared_users[0])
    with torch.no_grad():
        for cross in model.cross:
            cross.zero_()
        x = torch.cat([model.user_embedding[user], model.item_embedding[4]])
        found = catalog_scores(model, users_pair, "target", user)[4].item()
        assert found == pytest.approx(plain(model.target, x).item(), rel=1e-4, abs=1e-4)
    score, _ = model.scoring("target")
    score(torch.tensor([[user]]), torch.arange(10)[None]).sum().backward()
    assert all(p.grad is None or not p.grad.any() for p in model.source.parameters())
    assert any(p.grad.any() for p in model.target.parameters())


def test_the_lasso_is_added(users_pair: DomainPair) -> None:
    def loss(model: CoNet) -> float:
        batches = {
            "source": users_pair.source.train.last(torch.arange(4), 1),
            "target": users_pair.target_only.train.last(torch.arange(4), 1),
        }
        objective = Rating()
        objective.mean = 3.0
        return model.loss(batches, {"source": objective, "target": objective}).item()

    dense, sparse = built(users_pair), built(users_pair, reg=0.5)
    total = sum(float(cross.detach().abs().sum()) for cross in dense.cross)
    assert loss(sparse) - loss(dense) == pytest.approx(0.5 * total, rel=1e-4)


def test_messages() -> None:
    with pytest.raises(UserError, match=r"transfer.layers must be sizes >= 1, got \[\]"):
        CoNet(layers=())
    with pytest.raises(UserError, match=r"transfer.reg must be >= 0, got -1"):
        CoNet(reg=-1.0)
