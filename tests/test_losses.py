"""Each loss by hand, against its definition, and its gradient against finite differences."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from crossrec import losses


@pytest.fixture
def case() -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    user = torch.randn(7, 4, generator=generator, dtype=torch.float64)
    item = torch.randn(5, 4, generator=generator, dtype=torch.float64)
    return user, item, torch.tensor([0, 4, 2, 2, 1, 3, 0])


def test_softmax_by_hand() -> None:
    # Scores 0, ln 2 (the positive) and ln 5: loss = ln(1 + 2 + 5) - ln 2 = ln 4.
    item = torch.tensor([[0.0], [math.log(2)], [math.log(5)]])
    loss = losses.softmax(torch.ones(1, 1), item, torch.tensor([1]))
    assert loss.item() == pytest.approx(math.log(4), abs=1e-6)


def test_softmax_of_equal_scores_is_log_n() -> None:
    loss = losses.softmax(torch.zeros(3, 2), torch.ones(10, 2), torch.tensor([0, 5, 9]))
    assert loss.item() == pytest.approx(math.log(10), abs=1e-6)


@pytest.mark.parametrize("max_scores", [1, 10, 12, 1000])
def test_softmax_in_blocks_is_exact(case: tuple[Tensor, Tensor, Tensor], max_scores: int) -> None:
    user, item, positive = case
    expected = F.cross_entropy(user @ item.T, positive)
    assert torch.allclose(losses.softmax(user, item, positive, max_scores), expected, atol=1e-14)


@pytest.mark.parametrize("max_scores", [5, 15, 1000])
def test_softmax_gradient(case: tuple[Tensor, Tensor, Tensor], max_scores: int) -> None:
    user, item, positive = case
    leaves = [user.clone().requires_grad_(), item.clone().requires_grad_()]
    (3 * losses.softmax(*leaves, positive, max_scores)).backward()
    reference = [user.clone().requires_grad_(), item.clone().requires_grad_()]
    (3 * F.cross_entropy(reference[0] @ reference[1].T, positive)).backward()
    for ours, theirs in zip(leaves, reference, strict=True):
        assert torch.allclose(ours.grad, theirs.grad, atol=1e-14)
    assert torch.autograd.gradcheck(lambda u, v: losses.softmax(u, v, positive, max_scores), leaves)


def test_softmax_where_only_one_side_learns(case: tuple[Tensor, Tensor, Tensor]) -> None:
    user, item, positive = case
    user.requires_grad_()
    losses.softmax(user, item, positive).backward()
    assert user.grad is not None
    assert item.grad is None


def test_softmax_of_huge_scores_is_finite() -> None:
    user = torch.tensor([[1e4]], requires_grad=True)
    loss = losses.softmax(user, torch.tensor([[1.0], [-1.0]]), torch.tensor([1]))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert user.grad.item() == pytest.approx(2.0)


def test_softmax_without_gradient_keeps_none(case: tuple[Tensor, Tensor, Tensor]) -> None:
    user, item, positive = case
    with torch.no_grad():
        assert not losses.softmax(user.requires_grad_(), item, positive).requires_grad


def test_softmax_under_autocast_sums_in_float32(case: tuple[Tensor, Tensor, Tensor]) -> None:
    user, item, positive = (case[0].float().requires_grad_(), case[1].float(), case[2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = losses.softmax(user, item, positive)
    loss.backward()
    assert loss.dtype == torch.float32
    assert user.grad.dtype == torch.float32
    assert loss.item() == pytest.approx(F.cross_entropy(user @ item.T, positive).item(), abs=0.05)


def test_softmax_of_no_case_fails() -> None:
    with pytest.raises(ValueError, match="at least one case"):
        losses.softmax(torch.ones(0, 2), torch.ones(3, 2), torch.empty(0, dtype=torch.int64))


def shared_negatives(
    user: Tensor,
    item: Tensor,
    positive: Tensor,
    negatives: Tensor,
    log_q: Tensor,
    max_scores: int = 100,
) -> Tensor:
    """The sampled softmax of inner products with the same negatives for all cases."""
    own = (user * item[positive]).sum(1)
    return losses.shared_sampled_softmax(
        user, item[negatives], own, positive, negatives, log_q[negatives], max_scores
    )


@pytest.mark.parametrize("max_scores", [1, 10, 1000])
def test_sampled_softmax_in_blocks_is_that_of_given_scores(
    case: tuple[Tensor, Tensor, Tensor], max_scores: int
) -> None:
    user, item, positive = case
    negatives, log_q = torch.tensor([4, 1, 1, 2]), torch.rand(5, dtype=torch.float64).log()
    leaves = [user.clone().requires_grad_(), item.clone().requires_grad_()]
    ours = shared_negatives(*leaves, positive, negatives, log_q, max_scores)
    own, drawn = (leaves[0] * leaves[1][positive]).sum(1), leaves[0] @ leaves[1][negatives].T
    left_out = negatives == positive[:, None]
    given = losses.sampled_softmax(own, drawn, log_q[negatives], left_out)
    assert torch.allclose(ours, given, atol=1e-14)
    for one, other in zip(
        torch.autograd.grad(3 * ours, leaves), torch.autograd.grad(3 * given, leaves), strict=True
    ):
        assert torch.allclose(one, other, atol=1e-14)
    assert torch.autograd.gradcheck(
        lambda u, v: shared_negatives(u, v, positive, negatives, log_q, max_scores), leaves
    )


def test_sampled_softmax_of_huge_scores_is_finite() -> None:
    user = torch.tensor([[1e4]], requires_grad=True)
    item = torch.tensor([[1.0], [-1.0]])
    loss = shared_negatives(user, item, torch.tensor([1]), torch.tensor([0]), torch.zeros(2))
    loss.backward()
    assert loss.item() == pytest.approx(2e4)
    assert user.grad is not None
    assert user.grad.item() == pytest.approx(2.0)


def test_sampled_softmax_without_gradient_keeps_none(case: tuple[Tensor, Tensor, Tensor]) -> None:
    user, item, positive = case
    with torch.no_grad():
        loss = shared_negatives(
            user.requires_grad_(), item, positive, torch.tensor([0, 3]), torch.zeros(5).double()
        )
    assert not loss.requires_grad


def test_sampled_softmax_under_autocast_sums_in_float32(
    case: tuple[Tensor, Tensor, Tensor],
) -> None:
    user, item, positive = (case[0].float().requires_grad_(), case[1].float(), case[2])
    negatives = torch.tensor([1, 2, 4])
    exact = shared_negatives(user, item, positive, negatives, torch.zeros(5))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = shared_negatives(user, item, positive, negatives, torch.zeros(5))
    loss.backward()
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx(exact.item(), rel=0.02)


def test_sampled_softmax_of_no_case_fails() -> None:
    none = torch.empty(0, dtype=torch.int64)
    with pytest.raises(ValueError, match="at least one case"):
        shared_negatives(torch.ones(0, 2), torch.ones(3, 2), none, torch.tensor([1]), torch.ones(3))


def test_sampled_softmax_over_all_items_is_softmax(case: tuple[Tensor, Tensor, Tensor]) -> None:
    user, item, positive = case
    uniform = torch.full((5,), -math.log(5), dtype=torch.float64)
    leaves = [user.clone().requires_grad_(), item.clone().requires_grad_()]
    sampled = shared_negatives(*leaves, positive, torch.arange(5), uniform)
    full = losses.softmax(*leaves, positive)
    assert torch.allclose(sampled, full, atol=1e-14)
    for ours, theirs in zip(
        torch.autograd.grad(sampled, leaves), torch.autograd.grad(full, leaves), strict=True
    ):
        assert torch.allclose(ours, theirs, atol=1e-14)


def test_sampled_softmax_estimates_the_mass_without_bias() -> None:
    """The mean of the estimated mass over every draw of two, by its probability, is the mass."""
    user, item = (
        torch.ones(1, 1, dtype=torch.float64),
        torch.tensor([[0.3], [-1.0], [2.0]]).double(),
    )
    positive, q = torch.tensor([2]), torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    expectation = 0.0
    for draw in itertools.product(range(3), repeat=2):
        negatives = torch.tensor(draw)
        loss = shared_negatives(user, item, positive, negatives, q.log())
        mass = math.exp(loss.item() + item[2].item())
        expectation += mass * q[negatives].prod().item()
    assert expectation == pytest.approx(item.exp().sum().item(), rel=1e-12)


def test_sampled_softmax_by_hand_masks_accidental_hits() -> None:
    # Scores 0 and ln 3; both draws are the first case's positive: its loss is 0. For the second
    # case each draw of item 0 (q = 1/2) weighs exp(0) / (2 * 1/2) = 1: ln((3 + 1 + 1) / 3).
    item = torch.tensor([[0.0], [math.log(3)]])
    loss = shared_negatives(
        torch.ones(2, 1),
        item,
        torch.tensor([0, 1]),
        torch.tensor([0, 0]),
        torch.full((2,), -math.log(2)),
    )
    assert loss.item() == pytest.approx(math.log(5 / 3) / 2, abs=1e-6)


def test_bpr_by_hand() -> None:
    # Differences ln 3 and 0: -ln sigmoid = ln(4/3) and ln 2.
    loss = losses.bpr(torch.tensor([math.log(3), 0.0]))
    assert loss.item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2, abs=1e-6)


def test_bpr_of_several_pairs_a_case_and_its_gradient() -> None:
    lead = torch.tensor([[0.5, -1.0], [2.0, -3.0]], dtype=torch.float64, requires_grad=True)
    assert torch.allclose(
        losses.bpr(lead), sum(losses.bpr(lead[:, column]) for column in (0, 1)) / 2
    )
    assert torch.autograd.gradcheck(losses.bpr, lead)


def test_bpr_of_a_hopeless_pair_is_finite() -> None:
    assert losses.bpr(torch.tensor([-2e4])).item() == pytest.approx(2e4)


def test_sampled_softmax_with_negatives_of_each_case_by_hand() -> None:
    """Uniform q over four items, two draws: each negative stands for 1 / (2 / 4) = 2 items."""
    positive, negative = torch.tensor([1.0, 0.0]), torch.tensor([[0.0, 2.0], [5.0, 0.0]])
    log_q = torch.full((2, 2), math.log(1 / 4))
    left_out = torch.tensor([[False, False], [True, False]])
    expected = [
        math.log(math.e + 2 * math.exp(0.0) + 2 * math.exp(2.0)) - 1.0,
        math.log(1.0 + 2 * math.exp(0.0)),
    ]
    loss = losses.sampled_softmax(positive, negative, log_q, left_out)
    assert loss.item() == pytest.approx(sum(expected) / 2)


def test_logistic_by_hand() -> None:
    def softplus(x: float) -> float:
        return math.log1p(math.exp(x))

    loss = losses.logistic(torch.tensor([2.0, 0.0]), torch.tensor([[1.0, -1.0], [0.0, 3.0]]))
    first = softplus(-2.0) + softplus(1.0) + softplus(-1.0)
    second = softplus(0.0) + softplus(0.0) + softplus(3.0)
    assert loss.item() == pytest.approx((first + second) / 2)


def test_rating_by_hand() -> None:
    assert losses.rating(torch.tensor([3.0, 5.0]), torch.tensor([4.0, 2.0])).item() == 5.0


def test_rating_refuses_to_broadcast() -> None:
    with pytest.raises(ValueError, match=r"\(3, 1\).*\(3,\)"):
        losses.rating(torch.ones(3, 1), torch.ones(3))
