"""LightGCN by hand, its limit without layers, strangers, and that it learns."""

import pytest
import torch

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair
from crossrec.models.lightgcn import LightGCN
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.recommender import RecommenderTraining

NOTHING = torch.empty(1, 0, dtype=torch.int64)


def scores(model: LightGCN | MatrixFactorization, users: list[int]) -> torch.Tensor:
    embedded = model.embed_items()
    no_history = NOTHING.expand(len(users), 0)
    vectors = model.user_vectors(torch.tensor(users), no_history, embedded)[:, 0]
    return vectors @ model.item_vectors(embedded).T


def test_two_layers_by_hand() -> None:
    # User 0 has items 0 and 1 (degrees 2, 1, 1), so an edge weighs e = 1 / sqrt 2.
    model = LightGCN(n_users=1, n_items=2, n_context=0, content=None, dim=1, n_layers=2)
    model.observe(torch.tensor([0, 0]), torch.tensor([0, 1]))
    with torch.no_grad():
        model.user_embedding.fill_(4.0)
        model.item_embedding.copy_(torch.tensor([[2.0], [6.0]]))
    e = 2**-0.5
    # Layer 1: user e (2 + 6), items e 4. Layer 2: user e (e 4 + e 4) = 4, items e e (2 + 6) = 4.
    user = (4 + e * 8 + 4) / 3
    items = [(2 + e * 4 + 4) / 3, (6 + e * 4 + 4) / 3]
    assert scores(model, [0])[0].tolist() == pytest.approx([user * item for item in items])


def test_without_layers_it_is_a_factorization_without_biases() -> None:
    torch.manual_seed(0)
    flat = MatrixFactorization(3, 4, 2, None, dim=5)
    model = LightGCN(3, 4, 2, None, dim=5, n_layers=0)
    model.observe(torch.tensor([0, 1, 2]), torch.tensor([3, 1, 1]))
    model.load_state_dict({name: flat.state_dict()[name] for name in model.state_dict()})
    assert torch.allclose(scores(model, [0, 1, 2]), scores(flat, [0, 1, 2]), atol=1e-7)


def test_shapes_strangers_and_items_of_other_domains() -> None:
    torch.manual_seed(0)
    model = LightGCN(3, 4, 2, None, dim=5, n_layers=1)
    model.observe(torch.tensor([0, 1]), torch.tensor([3, 1]))
    embedded = model.embed_items()
    assert embedded.shape == (4 + 2 + 3, 5)
    assert model.item_vectors(embedded).shape == (4, 5)
    items = torch.tensor([[0, 5, PAD], [1, PAD, PAD]])
    users = model.user_vectors(torch.tensor([2, 1]), items, embedded)
    assert users.shape == (2, 4, 5)
    assert torch.equal(users[:, 0], users[:, 3])
    assert torch.equal(scores(model, [PAD]), torch.zeros(1, 4))
    # Context items and a user without events are nodes without edges.
    assert torch.allclose(embedded[4:6], model.item_embedding[4:] / 2)
    assert torch.allclose(embedded[-1], model.user_embedding[2] / 2)


def test_tables_are_all_its_parameters_with_a_row_for_each_code() -> None:
    model = LightGCN(3, 4, 2, None, dim=5)
    parameters = dict(model.named_parameters())
    assert [len(parameters[name]) for name in model.item_tables] == [6]
    assert [len(parameters[name]) for name in model.user_tables] == [3]
    assert {*model.item_tables, *model.user_tables} == set(parameters) == set(model.state_dict())


def test_edges_are_the_training_events_of_the_domain(small_pair: DomainPair) -> None:
    target = small_pair.target
    model = build_model(LightGCN, target, None, seed=0)
    assert isinstance(model, LightGCN)
    users, items, _ = target.train_events()
    expected = torch.zeros(target.n_users, target.n_items + target.n_context)
    expected[users, items] = 1
    adjacency = model.graph.adjacency().to_dense()
    assert torch.equal((adjacency[: target.n_users, target.n_users :] > 0).float(), expected)


@pytest.mark.parametrize("objective", [Softmax(), BPR(), Logistic(), Rating()])
def test_twenty_steps_lower_the_loss(small_pair: DomainPair, objective: Objective) -> None:
    target = small_pair.target
    module = RecommenderTraining(
        build_model(LightGCN, target, None, seed=0), target, objective, 0.05, 0.0
    )
    optimizer = module.configure_optimizers()
    train = target.train
    rows = torch.repeat_interleave(torch.arange(len(train.users)), train.lengths)
    events = train.own.nonzero().squeeze(1)
    batch = train.batch(rows[events], events, torch.ones_like(events))
    losses = []
    for _ in range(21):
        torch.manual_seed(0)  # the same negatives each time
        loss = module.loss(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0]


def test_fewer_than_no_layers_are_refused() -> None:
    with pytest.raises(ValueError, match="n_layers must be >= 0, got -1"):
        LightGCN(1, 1, 0, None, n_layers=-1)
