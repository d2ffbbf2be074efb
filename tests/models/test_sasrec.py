"""Causality, padding, the start state, content, and that the network learns an order."""

import pytest
import torch

from crossrec import losses
from crossrec.data.columns import PAD
from crossrec.errors import UserError
from crossrec.models.interface import before_last
from crossrec.models.sasrec import SASRec, position_vectors

USERS = torch.zeros(2, dtype=torch.int64)


@pytest.fixture
def model() -> SASRec:
    torch.manual_seed(0)
    return SASRec(0, 6, 2, None, dim=8, n_layers=2, n_heads=2, dropout=0.0, max_history=5).eval()


def test_shapes(model: SASRec) -> None:
    embedded = model.embed_items()
    items = torch.tensor([[0, 7, 3], [1, PAD, PAD]])
    assert embedded.shape == (8, 8)
    assert model.item_vectors(embedded).shape == (6, 8)
    assert model.user_vectors(USERS, items, embedded).shape == (2, 4, 8)
    assert len(dict(model.named_parameters())[model.item_tables[0]]) == 8


@pytest.mark.parametrize("changed", range(4))
def test_a_state_depends_on_all_events_before_it_and_on_no_later_one(
    model: SASRec, changed: int
) -> None:
    embedded = model.embed_items()
    items = torch.tensor([[0, 1, 2, 3]])
    other = items.clone()
    other[0, changed] = 5
    before = model.user_vectors(USERS[:1], items, embedded)[0]
    after = model.user_vectors(USERS[:1], other, embedded)[0]
    assert torch.equal(before[: changed + 1], after[: changed + 1])
    assert (before[changed + 1 :] - after[changed + 1 :]).abs().amax(dim=1).min() > 1e-4


def test_positions_count_from_the_last_event_back(model: SASRec) -> None:
    """As in the authors' code, which pads on the left; the start token has a row of its own."""
    rows = torch.arange(6.0)[:, None]
    items = torch.tensor([[4, 2, 3], [1, PAD, PAD]])
    assert position_vectors(items, rows)[..., 0].tolist() == [[0, 3, 2, 1], [0, 1, 1, 1]]
    assert position_vectors(items[:, :0], rows)[..., 0].tolist() == [[0], [0]]
    asked = model.user_vectors(USERS[:1], torch.tensor([[4, 2]]), model.embed_items())[0, 2]
    context_last = torch.tensor([[True, True, True, False]])
    window = before_last(torch.tensor([[4, 2, 5, 7]]), context_last)
    assert window.tolist() == [[4, 2, PAD, PAD]]
    trained = model.user_vectors(USERS[:1], window, model.embed_items())[0, 2]
    assert torch.allclose(asked, trained, atol=1e-6)  # what predicts item 5 then, and now
    longer = model.user_vectors(USERS[:1], torch.tensor([[4, 2, 5]]), model.embed_items())[0, 2]
    assert not torch.allclose(asked, longer, atol=1e-4)


def test_padding_changes_no_real_state(model: SASRec) -> None:
    embedded = model.embed_items()
    bare = model.user_vectors(USERS[:1], torch.tensor([[4, 2]]), embedded)
    padded = model.user_vectors(USERS[:1], torch.tensor([[4, 2, PAD, PAD]]), embedded)
    assert torch.allclose(bare[0], padded[0, :3], atol=1e-6)
    assert padded.isfinite().all()


def test_padding_gives_no_item_a_gradient(model: SASRec) -> None:
    states = model.user_vectors(USERS[:1], torch.tensor([[4, PAD, PAD]]), model.embed_items())
    states.square()[..., 0].sum().backward()
    touched = model.item_embedding.grad.abs().sum(dim=1).nonzero().flatten()
    assert touched.tolist() == [4]


def test_a_user_without_history_has_the_start_state(model: SASRec) -> None:
    embedded = model.embed_items()
    empty = model.user_vectors(USERS, torch.empty(2, 0, dtype=torch.int64), embedded)
    some = model.user_vectors(USERS[:1], torch.tensor([[3, 1]]), embedded)
    assert empty.shape == (2, 1, 8)
    assert torch.allclose(empty[0, 0], some[0, 0], atol=1e-6)
    assert empty.abs().sum() > 0


def test_order_matters(model: SASRec) -> None:
    embedded = model.embed_items()
    one = model.user_vectors(USERS[:1], torch.tensor([[0, 1, 2]]), embedded)[0, -1]
    two = model.user_vectors(USERS[:1], torch.tensor([[1, 0, 2]]), embedded)[0, -1]
    assert not torch.allclose(one, two, atol=1e-4)


def test_content_is_added_and_a_zero_vector_adds_nothing() -> None:
    content = torch.tensor([[1.0, 0.0], [0.0, 0.0]])
    model = SASRec(0, 2, 0, content, dim=4, use_content=True)
    embedded = model.embed_items()
    assert torch.equal(embedded[0], model.item_embedding[0] + model.content_map.weight[:, 0])
    assert torch.equal(embedded[1], model.item_embedding[1])
    assert "content" not in model.state_dict()


def test_too_long_a_history_and_uneven_heads_fail(model: SASRec) -> None:
    with pytest.raises(ValueError, match="6 events exceeds max_history=5"):
        model.user_vectors(USERS[:1], torch.zeros(1, 6, dtype=torch.int64), model.embed_items())
    with pytest.raises(UserError, match=r"model\.dim .* got 8, 3"):
        SASRec(0, 6, 0, None, dim=8, n_heads=3)


def test_learns_that_each_item_follows_another() -> None:
    torch.manual_seed(1)
    model = SASRec(0, 5, 0, None, dim=16, n_layers=1, n_heads=1, dropout=0.0, max_history=4)
    start = torch.arange(5).unsqueeze(1)
    sequence = (start + 2 * torch.arange(5)) % 5  # the next item is two further on
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    for _ in range(60):
        embedded = model.embed_items()
        states = model.user_vectors(start[:, 0], sequence[:, :4], embedded)[:, 1:]
        loss = losses.softmax(
            states.flatten(0, 1), model.item_vectors(embedded), sequence[:, 1:].flatten()
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.1
