"""What reads embedding tables has gradients of its own: against arithmetic and torch's."""

import pytest
import torch
from torch import Tensor

from crossrec.models.cases import Factors
from crossrec.models.tables import leads

FIRST, SECOND = torch.tensor([0, 3, 3]), torch.tensor([2, 1, 3])
CODES = torch.stack([FIRST, SECOND], dim=1)


def case(with_bias: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    torch.manual_seed(0)
    user, table = torch.randn(3, 2, dtype=torch.float64), torch.randn(4, 2, dtype=torch.float64)
    bias = torch.randn(4, 1, dtype=torch.float64).requires_grad_() if with_bias else None
    return user.requires_grad_(), table.requires_grad_(), bias


def test_a_lead_by_hand() -> None:
    user, table = torch.tensor([[1.0, 2.0]]), torch.tensor([[1.0, 1.0], [3.0, -1.0]])
    bias = torch.tensor([[0.25], [1.0]])
    # 1 * 1 + 2 * 1 + 0.25 against 1 * 3 - 2 * 1 + 1.
    assert leads(user, table, bias, torch.tensor([[0, 1]])).tolist() == [1.25]
    assert leads(user, table, None, torch.tensor([[1, 0]])).tolist() == [-2.0]


@pytest.mark.parametrize("with_bias", [True, False])
def test_gradients_of_leads(with_bias: bool) -> None:
    user, table, bias = case(with_bias)

    def lead(*given: Tensor) -> Tensor:
        return leads(given[0], given[1], given[2] if with_bias else None, CODES)

    given = (user, table, bias) if bias is not None else (user, table)
    assert torch.autograd.gradcheck(lead, given)
    assert torch.autograd.gradgradcheck(lead, given)


@pytest.mark.parametrize("places", [None, torch.tensor([1, 0, 3, 2])])
def test_a_lead_is_the_difference_of_two_scores(places: Tensor | None) -> None:
    user, table, bias = case(with_bias=True)
    factors = Factors(user, table, torch.ones(3, 1), bias, places)
    apart = factors.score(FIRST) - factors.score(SECOND)
    assert torch.allclose(factors.lead(FIRST, SECOND), apart)


def test_an_item_against_itself_moves_nothing() -> None:
    user, table, bias = case(with_bias=True)
    same = torch.full((3, 2), 3)
    given = [x for x in (user, table, bias) if x is not None]
    for gradient in torch.autograd.grad(leads(user, table, bias, same).sum(), given):
        assert torch.equal(gradient, torch.zeros_like(gradient))
