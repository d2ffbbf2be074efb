"""DTCDR: what is combined and what is not, the tower by hand, and it learns."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch

from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.preferences.dtcdr import DTCDR

NO_CONTENT = Content(None, None, None)
SIDES: tuple[Side, Side] = ("source", "target")
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, alpha: float = 0.25, dropout: float = 0.5) -> DTCDR:
    model = DTCDR(dim=3, layers=(5, 4), dropout=dropout, alpha=alpha)
    build_pair(model, pair, NO_CONTENT, seed=0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    return model


def one_batch_loss(model: DTCDR, pair: DomainPair) -> torch.Tensor:
    batches, losses = {}, {}
    for side in SIDES:
        own = domain_of(pair, side).train
        starts = torch.nonzero(own.own).squeeze(1)
        rows = torch.repeat_interleave(torch.arange(len(own.users)), own.lengths)[starts]
        batches[side] = own.batch(rows, starts, torch.ones_like(rows))
        losses[side] = Rating()
        losses[side].prepare(domain_of(pair, side))
    return model.loss(batches, losses)


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    model = DTCDR(8, (8, 8))
    (losses,) = steps(model, users_pair, make_objective=make, learning_rate=0.05)
    assert losses[-1] < 0.9 * losses[0]


def test_learns_whatever_is_shared(
    items_pair: DomainPair, apart_pair: DomainPair, steps: Steps
) -> None:
    for pair in (items_pair, apart_pair):
        (losses,) = steps(DTCDR(8, (8,)), pair, learning_rate=0.05)
        assert losses[-1] < 0.9 * losses[0]


def test_the_maximum_of_both_where_shared_and_ones_own_elsewhere(users_pair: DomainPair) -> None:
    model = built(users_pair)
    shared = int(users_pair.shared_users[3])
    alone = int((~model.ids.shared_users).nonzero()[0])
    rows = torch.tensor([shared, alone])
    with torch.no_grad():
        model.user_embedding["source"][rows] = torch.tensor([1.0, -2.0, 3.0])
        model.user_embedding["target"][rows] = torch.tensor([0.0, -1.0, 4.0])
    source, target = (
        model.combined(model.user_embedding, side, rows, model.ids.shared_users) for side in SIDES
    )
    assert source.tolist() == [[1.0, -1.0, 4.0], [1.0, -2.0, 3.0]]
    assert target.tolist() == [[1.0, -1.0, 4.0], [0.0, -1.0, 4.0]]


def test_a_shared_item_is_the_same_on_both_sides(items_pair: DomainPair) -> None:
    model = built(items_pair)
    vectors = {
        side: model.combined(
            model.item_embedding, side, model.ids.rows(side), model.ids.shared_items
        )
        for side in SIDES
    }
    target, source = items_pair.shared_items.unbind(1)
    assert torch.equal(vectors["target"][target], vectors["source"][source])
    assert not torch.isin(vectors["target"][12:], vectors["source"]).any()


@torch.no_grad()
@pytest.mark.parametrize("side", SIDES)
def test_the_tower_as_written(users_pair: DomainPair, side: Side) -> None:
    """NeuMF in full on the combined vectors; nothing is dropped once training is over."""
    model = built(users_pair).eval()
    tower = model.source if side == "source" else model.target
    user, item = int(users_pair.shared_users[2]), 5
    histories = users_pair.target.train.last(torch.tensor([0]), 1)
    histories.users[0] = user
    found = model.scorer(side)(histories)[0, item].item()
    e = torch.maximum(model.user_embedding["source"][user], model.user_embedding["target"][user])
    v = model.item_embedding[side][model.ids.rows(side)[item]]
    weight = torch.cat([tower.of_user.weight, tower.of_item.weight], dim=1)
    x = (weight @ torch.cat([e, v]) + tower.of_item.bias).clamp(min=0)
    x = (tower.hidden[0].weight @ x + tower.hidden[0].bias).clamp(min=0)
    expected = (tower.product * e * v).sum() + tower.output.weight[0] @ x + tower.item_bias[item, 0]
    assert found == pytest.approx(expected.item(), rel=1e-4, abs=1e-4)


def test_with_nothing_shared_the_source_does_not_move_the_target(apart_pair: DomainPair) -> None:
    gradients = []
    for alpha in (0.0, 0.25):
        model = built(apart_pair, alpha, dropout=0.0)
        one_batch_loss(model, apart_pair).backward()
        read = model.user_embedding["target"], *model.target.parameters()
        gradients.append(torch.cat([p.grad.flatten() / (1 - alpha) for p in read]))
        moved = model.item_embedding["target"].grad.abs().amax(dim=1) > 0
        assert not moved[apart_pair.target.n_items :].any()
    assert gradients[0].any()
    assert torch.allclose(*gradients, rtol=1e-4, atol=1e-6)


def test_where_shared_the_source_moves_both_rows(users_pair: DomainPair) -> None:
    """The larger entry of the two is the one that moves."""
    model = built(users_pair, alpha=0.0, dropout=0.0)
    one_batch_loss(model, users_pair).backward()
    source, target = (model.user_embedding[side] for side in SIDES)
    larger = (source > target) & model.ids.shared_users[:, None]
    assert torch.equal(source.grad != 0, larger & (source.grad != 0))
    assert (source.grad[larger] != 0).float().mean() > 0.9


def test_a_user_without_training_events_here_has_what_the_source_learned(
    users_pair: DomainPair,
) -> None:
    """Someone known to stand in both, all of whose events here are held out."""
    pair = replace(users_pair, shared_users=torch.arange(users_pair.target.n_users))
    model = built(pair, dropout=0.0)
    trained = torch.bincount(pair.target.train_events()[0], minlength=pair.target.n_users) > 0
    cold = (~trained).nonzero().squeeze(1)
    assert len(cold) > 0
    source, target = (
        model.combined(model.user_embedding, side, cold, model.ids.shared_users) for side in SIDES
    )
    assert torch.equal(source, target)
    one_batch_loss(model, pair).backward()
    assert model.user_embedding["target"].grad[cold].any()


def test_messages() -> None:
    with pytest.raises(UserError, match=r"transfer.layers must be sizes >= 1, got \[8, 0\]"):
        DTCDR(layers=(8, 0))
    with pytest.raises(UserError, match=r"transfer.dropout must be >= 0 and < 1, got 1"):
        DTCDR(dropout=1.0)
    with pytest.raises(UserError, match=r"transfer.alpha must be >= 0 and < 1, got 1"):
        DTCDR(alpha=1.0)
