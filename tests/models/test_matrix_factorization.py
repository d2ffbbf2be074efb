"""Biases, content, unknown users, and that a factorization learns."""

import pytest
import torch

from crossrec import losses
from crossrec.data.columns import PAD
from crossrec.models.matrix_factorization import MatrixFactorization


@pytest.fixture
def model() -> MatrixFactorization:
    torch.manual_seed(0)
    model = MatrixFactorization(n_users=3, n_items=4, n_context=2, content=None, dim=2)
    with torch.no_grad():
        model.user_embedding[1] = torch.tensor([1.0, 2.0])
        model.user_bias[1] = 0.5
        model.item_embedding[3] = torch.tensor([3.0, -1.0])
        model.item_bias[3] = 0.25
    return model


def test_score_by_hand(model: MatrixFactorization) -> None:
    embedded = model.embed_items()
    user = model.user_vectors(torch.tensor([1]), torch.empty(1, 0, dtype=torch.int64), embedded)
    score = user[0, 0] @ model.item_vectors(embedded)[3]
    assert score.item() == pytest.approx(1 * 3 + 2 * -1 + 0.5 + 0.25)


def test_shapes_and_the_same_user_at_every_position(model: MatrixFactorization) -> None:
    embedded = model.embed_items()
    items = torch.tensor([[0, 5, PAD], [1, PAD, PAD]])
    users = model.user_vectors(torch.tensor([2, 1]), items, embedded)
    assert embedded.shape == (6, 2)
    assert model.item_vectors(embedded).shape == (4, 4)
    assert users.shape == (2, 4, 4)
    assert torch.equal(users[:, 0], users[:, 3])


def test_unknown_user_is_ranked_by_item_bias(model: MatrixFactorization) -> None:
    embedded = model.embed_items()
    user = model.user_vectors(torch.tensor([PAD]), torch.tensor([[PAD]]), embedded)
    scores = user[0, 0] @ model.item_vectors(embedded).T
    assert torch.equal(scores, model.item_bias[:4, 0])


def test_tables_have_a_row_for_each_code(model: MatrixFactorization) -> None:
    parameters = dict(model.named_parameters())
    assert [len(parameters[name]) for name in model.item_tables] == [6, 6]
    assert [len(parameters[name]) for name in model.user_tables] == [3, 3]
    assert set(model.item_tables + model.user_tables) == set(parameters)


def test_content_is_added_and_a_zero_vector_adds_nothing() -> None:
    content = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    model = MatrixFactorization(1, 1, 1, content, dim=3, use_content=True)
    embedded = model.embed_items()
    assert torch.equal(embedded[0], model.item_embedding[0] + model.content_map.weight[:, 0])
    assert torch.equal(embedded[1], model.item_embedding[1])
    assert "content" not in model.state_dict()


def test_content_is_ignored_unless_wanted() -> None:
    model = MatrixFactorization(1, 2, 0, torch.ones(2, 5), dim=3)
    assert torch.equal(model.embed_items(), model.item_embedding)


def test_learns_a_rating_table() -> None:
    torch.manual_seed(1)
    observed = torch.tensor([[5.0, 1.0, 3.0], [1.0, 5.0, 3.0], [4.0, 2.0, 3.0]]) - 3
    model = MatrixFactorization(3, 3, 0, None, dim=2)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
    users, none = torch.arange(3), torch.full((3, 1), PAD)
    for _ in range(200):
        embedded = model.embed_items()
        predicted = model.user_vectors(users, none, embedded)[:, 0] @ model.item_vectors(embedded).T
        loss = losses.rating(predicted, observed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.01
