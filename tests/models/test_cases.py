"""Cases: an inner product and a network's score are asked for in the same way."""

import torch

from crossrec.models.cases import Cases
from crossrec.models.matrix_factorization import MatrixFactorization

USER = torch.tensor([[1.0, 2.0], [0.0, -1.0]])
ITEM = torch.tensor([[1.0, 0.0], [0.0, 1.0], [3.0, 1.0]])
EVENTS = torch.tensor([7, 4]), torch.tensor([2, 1]), torch.tensor([5.0, float("nan")])


def test_scores_of_vectors_by_hand() -> None:
    cases = Cases.of_vectors(USER, ITEM, *EVENTS)
    assert cases.score(cases.items).tolist() == [5.0, -1.0]
    columns = torch.tensor([[0, 1, 2], [2, 2, 0]])
    assert cases.score(columns).tolist() == [[1.0, 2.0, 5.0], [-1.0, -1.0, 0.0]]
    assert cases.n_items == 3


def test_a_model_says_how_it_scores() -> None:
    class Distance(MatrixFactorization):
        factorized = False

        def score(self, user: torch.Tensor, item: torch.Tensor) -> torch.Tensor:
            return -(user - item).square().sum(-1)

    model = Distance(3, 3, 0, None, dim=2)
    cases = model.cases(USER, ITEM, EVENTS)
    assert cases.factors is None
    assert cases.score(cases.items).tolist() == [-(4.0 + 1.0), -4.0]
    columns = torch.tensor([[0, 1], [1, 2]])
    assert cases.score(columns).tolist() == [[-4.0, -2.0], [-4.0, -(9.0 + 4.0)]]
    block = model.score_block(USER, ITEM)(slice(1, 2))
    assert block.tolist() == [[-(1.0 + 1.0), -4.0, -(9.0 + 4.0)]]


def test_no_case_has_no_score_and_no_gradient() -> None:
    user, item = torch.empty(0, 2, requires_grad=True), ITEM.clone().requires_grad_()
    nobody = torch.empty(0, dtype=torch.int64)
    scores = Cases.of_vectors(user, item, nobody, nobody, torch.empty(0)).score(nobody)
    assert scores.shape == (0,)
    scores.sum().backward()
    assert not item.grad.any()  # type: ignore[union-attr]
