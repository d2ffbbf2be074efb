"""CMF: shared rows are shared, nothing shared is two factorizations, and it learns."""

from collections.abc import Callable

import pytest
import torch

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.preferences.cmf import CMF

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, alpha: float = 0.25) -> CMF:
    model = CMF(dim=4, alpha=alpha)
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def first_events(domain: Domain) -> Batch:
    """The first ten training events of a domain, each for itself."""
    own = domain.train
    starts = torch.arange(10)
    rows = torch.repeat_interleave(torch.arange(len(own.users)), own.lengths)[starts]
    return own.batch(rows, starts, torch.ones(10, dtype=torch.int64))


def one_batch_loss(model: CMF, pair: DomainPair, make: Callable[[], Objective]) -> torch.Tensor:
    batches, losses = {}, {}
    sides: tuple[Side, ...] = ("source", "target")
    for side in sides:
        domain = domain_of(pair, side)
        batches[side] = first_events(domain)
        losses[side] = make()
        losses[side].prepare(domain)
    return model.loss(batches, losses)


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair,
    steps: Callable[..., list[list[float]]],
    make: Callable[[], Objective],
) -> None:
    (losses,) = steps(CMF(dim=8), users_pair, make_objective=make, learning_rate=0.05)
    assert losses[-1] < 0.9 * losses[0]


def test_score_by_hand(users_pair: DomainPair) -> None:
    model = built(users_pair)
    user, item = 3, 5
    with torch.no_grad():
        model.user_bias[user] = 0.5
        model.item_bias["target"][item] = 0.25
        model.user_embedding[user] = torch.tensor([1.0, 2.0, 0.0, -1.0])
        model.item_embedding[item] = torch.tensor([3.0, 1.0, 7.0, 2.0])
        histories = users_pair.target.train.last(torch.tensor([0]), 1)
        histories.users[0] = user
        assert model.scorer("target")(histories)[0, item].item() == 3 + 2 - 2 + 0.5 + 0.25


def test_a_shared_item_has_one_vector(items_pair: DomainPair) -> None:
    model = built(items_pair)
    target, source = items_pair.shared_items[0].tolist()
    assert model.ids.rows("source")[source] == model.ids.rows("target")[target]
    assert len(model.item_embedding) == 24 + 18 - 12


def test_how_kindly_a_user_rates_is_learned_on_either_side(users_pair: DomainPair) -> None:
    model = built(users_pair, alpha=0.999999)  # all but the source's loss alone
    one_batch_loss(model, users_pair, Rating).backward()
    moved = model.user_bias.grad.squeeze(1).abs() > 1e-4
    batch = users_pair.source.train_events()[0][:10].unique()
    assert moved.nonzero().squeeze(1).tolist() == batch.tolist()
    with torch.no_grad():
        histories = users_pair.target.train.last(torch.arange(3), 1)
        before = model.scorer("target")(histories)
        model.user_bias[histories.users] += 0.5
        after = model.scorer("target")(histories)
    torch.testing.assert_close(after, before + 0.5)


def test_with_nothing_shared_the_source_does_not_move_the_target(apart_pair: DomainPair) -> None:
    """Two factorizations: the gradient of a target weight is 1 - alpha of the target's alone."""
    gradients = []
    for alpha in (0.0, 0.25):
        model = built(apart_pair, alpha)
        one_batch_loss(model, apart_pair, Softmax).backward()
        of_target = model.item_embedding.grad[model.ids.rows("target")]
        gradients.append(of_target / (1 - alpha))
    assert torch.allclose(*gradients, atol=1e-8)


@pytest.mark.parametrize("make", [Softmax, Rating])
@pytest.mark.parametrize("side", ["source", "target"])
def test_with_nothing_shared_each_side_is_matrix_factorization(
    apart_pair: DomainPair, side: Side, make: Callable[[], Objective]
) -> None:
    """With the weights of `model=mf`, half of its gradients (alpha = 0.5), and its scores."""
    both, domain = built(apart_pair, alpha=0.5), domain_of(apart_pair, side)
    alone = MatrixFactorization(domain.n_users, domain.n_items, 0, None, dim=4)
    rows = both.ids.rows(side)
    with torch.no_grad():
        both.user_bias.normal_()
        both.item_bias[side].normal_()
        alone.user_embedding.copy_(both.user_embedding)
        alone.user_bias.copy_(both.user_bias)
        alone.item_embedding.copy_(both.item_embedding[rows])
        alone.item_bias.copy_(both.item_bias[side])
    one_batch_loss(both, apart_pair, make).backward()

    batch, objective = first_events(domain), make()
    objective.prepare(domain)
    users, items = batch.users, batch.items[:, 0]
    state = alone.user_vectors(users, batch.items, alone.embed_items())[:, 0]
    item = alone.item_vectors(alone.embed_items())
    objective(alone.cases(state, item, (users, items, batch.ratings[:, 0]))).backward()
    for mine, theirs in (
        (both.user_embedding.grad[users], alone.user_embedding.grad[users]),
        (both.user_bias.grad[users], alone.user_bias.grad[users]),
        (both.item_embedding.grad[rows], alone.item_embedding.grad),
        (both.item_bias[side].grad, alone.item_bias.grad),
    ):
        torch.testing.assert_close(mine, theirs / 2)
    assert alone.item_embedding.grad.any()
    torch.testing.assert_close(both.scorer(side)(batch), state @ item.T)


def test_alpha_weighs_the_two_losses(users_pair: DomainPair) -> None:
    of_target, half = (
        one_batch_loss(built(users_pair, alpha), users_pair, Softmax).item() for alpha in (0.0, 0.5)
    )
    nearly_source = one_batch_loss(built(users_pair, 0.999999), users_pair, Softmax).item()
    assert half == pytest.approx((of_target + nearly_source) / 2, rel=1e-4)


def test_alpha_out_of_range() -> None:
    with pytest.raises(UserError, match=r"transfer.alpha must be >= 0 and < 1, got 1"):
        CMF(alpha=1.0)
