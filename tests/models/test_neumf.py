"""NeuMF by hand, as one network over concatenated inputs, and that it learns."""

import pytest
import torch

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair
from crossrec.models.interface import users_at_once
from crossrec.models.neumf import NeuMF
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.recommender import RecommenderTraining


@pytest.fixture
def model() -> NeuMF:
    torch.manual_seed(0)
    made = NeuMF(n_users=3, n_items=4, n_context=2, content=None, dim=2, layers=[3, 2], dropout=0.5)
    for parameter in made.parameters():
        torch.nn.init.normal_(parameter)
    return made.eval()


def vectors(model: NeuMF, users: list[int]) -> tuple[torch.Tensor, torch.Tensor]:
    embedded = model.embed_items()
    no_history = torch.empty(len(users), 0, dtype=torch.int64)
    user = model.user_vectors(torch.tensor(users), no_history, embedded)[:, 0]
    return user, model.item_vectors(embedded)


def test_score_by_hand() -> None:
    model = NeuMF(1, 1, 0, None, dim=2, layers=[2, 1]).eval()
    values = {
        "user_factors": [[1.0, 2.0]],
        "item_factors": [[3.0, -1.0]],
        "factor_weights": [1.0, 0.5],
        "user_inputs": [[1.0, 0.0]],
        "item_inputs": [[0.0, 1.0]],
        "user_layer.weight": [[1.0, 0.0], [0.0, 1.0]],
        "item_layer.weight": [[0.0, 1.0], [0.0, -1.0]],
        "item_layer.bias": [0.5, 0.0],
        "hidden.2.weight": [[2.0, 5.0]],
        "hidden.2.bias": [-1.0],
        "output.weight": [[0.25]],
    }
    model.load_state_dict({name: torch.tensor(value) for name, value in values.items()})
    # Factors: 1 * 3 * 1 + 2 * -1 * 0.5 = 2. First layer: [1, 0] + [1, -1] + [0.5, 0] = [2.5, -1],
    # ReLU [2.5, 0]; second: 2 * 2.5 + 5 * 0 - 1 = 4; output 0.25 * 4 = 1.
    user, item = vectors(model, [0])
    assert model.score(user, item).tolist() == [3.0]


def test_halves_of_the_first_layer_are_one_layer_over_both_inputs(model: NeuMF) -> None:
    user, item = vectors(model, [1])
    first = torch.cat([model.user_layer.weight, model.item_layer.weight], dim=1)
    inputs = torch.cat([model.user_inputs[1].expand(4, -1), model.item_inputs[:4]], dim=1)
    hidden = model.hidden(inputs @ first.T + model.item_layer.bias)
    product = model.user_factors[1] * model.item_factors[:4]
    whole = torch.cat([model.factor_weights, model.output.weight[0]])
    expected = torch.cat([product, hidden], dim=1) @ whole
    assert torch.allclose(model.score(user, item), expected, atol=1e-5)


def test_ranking_and_training_see_the_same_scores(model: NeuMF) -> None:
    user, item = vectors(model, [2, 0, 1])
    block = model.score_block(user, item)(slice(1, 3))
    candidates = torch.tensor([[0, 3], [1, 1]])
    events = torch.tensor([0, 1]), torch.tensor([2, 2]), torch.tensor([3.0, 4.0])
    cases = model.cases(user[1:], item, events)
    assert cases.factors is None
    assert torch.allclose(cases.score(candidates), block.gather(1, candidates), atol=1e-5)
    assert torch.allclose(cases.score(candidates[:, 1]), block[[0, 1], [3, 1]], atol=1e-5)


def test_users_are_scored_a_few_at_a_time() -> None:
    """5,000 items: three users at once on a processor, and a catalog of any size one at least."""
    processor, accelerator = torch.device("cpu"), torch.device("cuda")
    assert users_at_once(5000, processor) == 3
    assert users_at_once(5000, accelerator) == 209
    assert users_at_once(10**7, processor) == users_at_once(10**7, accelerator) == 1
    torch.manual_seed(0)
    model = NeuMF(n_users=7, n_items=5000, n_context=0, content=None, dim=2, layers=[3, 2]).eval()
    user, item = vectors(model, list(range(7)))
    block = model.score_block(user, item)(slice(0, 7))
    assert torch.allclose(block, model.score(user[:, None], item), atol=1e-6)


def test_shapes_and_a_stranger(model: NeuMF) -> None:
    embedded = model.embed_items()
    items = torch.tensor([[0, 5, PAD], [1, PAD, PAD]])
    users = model.user_vectors(torch.tensor([2, PAD]), items, embedded)
    assert embedded.shape == (6, 4)
    assert model.item_vectors(embedded).shape == (4, 2 + 3)
    assert users.shape == (2, 4, 2 + 3)
    assert torch.equal(users[:, 0], users[:, 3])
    assert torch.equal(users[1], torch.zeros(4, 5))


def test_tables_have_a_row_for_each_code(model: NeuMF) -> None:
    parameters = dict(model.named_parameters())
    assert [len(parameters[name]) for name in model.item_tables] == [6, 6]
    assert [len(parameters[name]) for name in model.user_tables] == [3, 3]


def test_dropout_is_of_training_alone(model: NeuMF) -> None:
    user, item = vectors(model, [0])
    assert torch.equal(model.score(user, item), model.score(user, item))
    model.train()
    assert not torch.equal(model.score(user, item), model.score(user, item))


def test_every_weight_learns(model: NeuMF) -> None:
    user, item = vectors(model, [0, 1, 2])
    model.score(user[:, None], item).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


@pytest.mark.parametrize("objective", [Softmax(), BPR(), Logistic(), Rating()])
def test_twenty_steps_lower_the_loss(small_pair: DomainPair, objective: Objective) -> None:
    target = small_pair.target
    module = RecommenderTraining(
        build_model(NeuMF, target, None, seed=0), target, objective, 0.05, 0.0
    )
    optimizer = module.configure_optimizers()
    train = target.train
    rows = torch.repeat_interleave(torch.arange(len(train.users)), train.lengths)
    events = train.own.nonzero().squeeze(1)
    batch = train.batch(rows[events], events, torch.ones_like(events))
    losses = []
    for _ in range(21):
        torch.manual_seed(0)  # the same negatives and dropout each time
        loss = module.loss(batch)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[-1] < 0.95 * losses[0]


def test_a_network_without_layers_is_refused() -> None:
    with pytest.raises(ValueError, match="layers must name at least one width"):
        NeuMF(1, 1, 0, None, layers=[])
