"""CLFM: common and own patterns by hand, what share_dim = 0 leaves in common, and it learns."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.preferences.clfm import CLFM

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, dim: int = 4, share_dim: int = 2, alpha: float = 0.25) -> CLFM:
    model = CLFM(dim, share_dim, alpha)
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def one_batch_loss(model: CLFM, pair: DomainPair) -> Tensor:
    batches, losses = {}, {}
    sides: tuple[Side, ...] = ("source", "target")
    for side in sides:
        own = domain_of(pair, side).train
        starts = torch.nonzero(own.own).squeeze(1)
        rows = torch.repeat_interleave(torch.arange(len(own.users)), own.lengths)[starts]
        batches[side] = own.batch(rows, starts, torch.ones_like(rows))
        losses[side] = Softmax()
        losses[side].prepare(domain_of(pair, side))
    return model.loss(batches, losses)


def target_gradients(pair: DomainPair, share_dim: int, alpha: float) -> tuple[Tensor, ...]:
    """Gradients of U, V_target and S_target, a unit of the target's loss each."""
    model = built(pair, share_dim=share_dim, alpha=alpha)
    one_batch_loss(model, pair).backward()
    read = model.users, model.own_items["target"], model.own_pattern["target"]
    return tuple(parameter.grad / (1 - alpha) for parameter in read)


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    (losses,) = steps(CLFM(8, 4), users_pair, make_objective=make, learning_rate=0.05)
    assert losses[-1] < 0.9 * losses[0]


@pytest.mark.parametrize("share_dim", [0, 3, 6])
def test_learns_whatever_is_shared(
    items_pair: DomainPair, apart_pair: DomainPair, steps: Steps, share_dim: int
) -> None:
    for pair in (items_pair, apart_pair):
        (losses,) = steps(CLFM(6, share_dim), pair, learning_rate=0.05)
        assert losses[-1] < 0.9 * losses[0]


def test_score_by_hand(items_pair: DomainPair) -> None:
    """u = (1, 2); S_0 = (3, 1)', S_t = (-1, 2)'; v = (2, 5): 5 * 2 + 3 * 5 and the biases."""
    model = built(items_pair, dim=2, share_dim=1)
    user, item = 3, int(items_pair.shared_items[4, 0])
    with torch.no_grad():
        model.users[user] = torch.tensor([1.0, 2.0])
        model.common_pattern[:] = torch.tensor([[3.0], [1.0]]) * 2**0.5
        model.own_pattern["target"][:] = torch.tensor([[-1.0], [2.0]]) * 2**0.5
        model.common_items[model.ids.rows("target")[item]] = 2.0
        model.own_items["target"][item] = 5.0
        model.user_bias["target"][user] = 0.5
        model.item_bias["target"][item] = 0.25
        histories = items_pair.target.train.last(torch.tensor([0]), 1)
        histories.users[0] = user
        score = model.scorer("target")(histories)[0, item].item()
    assert score == pytest.approx(5 * 2 + 3 * 5 + 0.5 + 0.25)


def test_without_common_patterns_shared_items_carry_nothing(items_pair: DomainPair) -> None:
    alone, beside = (target_gradients(items_pair, 0, alpha) for alpha in (0.0, 0.25))
    of_target = torch.unique(items_pair.target.train_events()[0])
    assert torch.allclose(alone[0][of_target], beside[0][of_target], atol=1e-8)
    assert torch.allclose(alone[1], beside[1], atol=1e-8)
    assert torch.allclose(alone[2], beside[2], atol=1e-8)


def test_without_common_patterns_shared_users_carry_their_rows_alone(
    users_pair: DomainPair,
) -> None:
    alone, beside = (target_gradients(users_pair, 0, alpha) for alpha in (0.0, 0.25))
    moved = (alone[0] - beside[0]).abs().amax(dim=1) > 1e-6
    shared = built(users_pair).ids.shared_users
    here = torch.bincount(users_pair.target.train_events()[0], minlength=len(moved)) > 0
    assert torch.equal(moved & here, shared)
    assert torch.allclose(alone[1], beside[1], atol=1e-8)
    assert torch.allclose(alone[2], beside[2], atol=1e-8)


def test_common_patterns_are_moved_by_both_domains(apart_pair: DomainPair) -> None:
    gradients = []
    for alpha in (0.0, 0.25):
        model = built(apart_pair, alpha=alpha)
        one_batch_loss(model, apart_pair).backward()
        gradients.append(model.common_pattern.grad / (1 - alpha))
    assert not torch.allclose(*gradients, atol=1e-6)


def test_with_common_patterns_alone_shared_items_and_no_others_score_alike(
    items_pair: DomainPair,
) -> None:
    model = built(items_pair, dim=4, share_dim=4)
    users = torch.arange(5)
    scores = {}
    for side in ("source", "target"):
        user, item = model.vectors(side, users)
        scores[side] = user @ item.T
    target, source = items_pair.shared_items.unbind(1)
    assert torch.equal(scores["target"][:, target], scores["source"][:, source])
    alone = range(12, 18)
    assert not torch.isin(scores["target"][:, alone], scores["source"]).any()


def test_messages() -> None:
    with pytest.raises(UserError, match=r"transfer.share_dim must be >= 0 and <= .* \(8\), got 9"):
        CLFM(dim=8, share_dim=9)
    with pytest.raises(UserError, match=r"transfer.alpha must be >= 0 and < 1, got 1"):
        CLFM(alpha=1.0)
