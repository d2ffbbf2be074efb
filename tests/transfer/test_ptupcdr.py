"""PTUPCDR: bridges by hand, a constant bridge is EMCDR's matrix, and what it may learn from."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.emcdr import EMCDR
from crossrec.transfer.preferences.ptupcdr import PTUPCDR, MetaNetwork

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, **arguments: int) -> PTUPCDR:
    model = PTUPCDR(**{"dim": 4, "hidden": 3, **arguments})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def prepared(pair: DomainPair, objective: Objective) -> Objective:
    objective.prepare(pair.target)
    return objective


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss_of_every_phase(
    users_pair: DomainPair,
    steps: Callable[..., list[list[float]]],
    make: Callable[[], Objective],
) -> None:
    taken = steps(PTUPCDR(dim=8, hidden=6), users_pair, make_objective=make)
    assert len(taken) == 3
    assert all(losses[-1] < 0.99 * losses[0] for losses in taken)


def test_a_constant_bridge_is_emcdr_with_a_linear_map(users_pair: DomainPair) -> None:
    emcdr = EMCDR(dim=4)
    build_pair(emcdr, users_pair, NO_CONTENT, seed=0)
    model = built(users_pair)
    everybody = Batch(torch.arange(50), *(torch.zeros(50, 1) for _ in range(3)))
    with torch.no_grad():
        for name, value in emcdr.named_parameters():
            if not name.startswith("mapping."):
                model.get_parameter(name).copy_(value.normal_())
        model.mapping.write.weight.zero_()
        model.mapping.write.bias.copy_(emcdr.mapping.weight.T.flatten())
        codes = emcdr.links.cold[:, 1]
        assert torch.allclose(model.map(codes), emcdr.map(codes), atol=1e-5)
        ours, theirs = (each.scorer("target")(everybody) for each in (model, emcdr))
        assert torch.allclose(ours, theirs, atol=1e-5)
        assert not torch.allclose(ours[codes], torch.zeros(len(codes), 1), atol=0.1)


def test_the_bridges_start_near_the_least_squares(users_pair: DomainPair) -> None:
    model = built(users_pair)
    with torch.no_grad():
        model.target.users.normal_()
    model.enter(model.phases[-1])
    model.mapping.write.weight.data.zero_()
    codes = torch.tensor([41, 42])
    expected = model.source.users[codes] @ model.least_squares()
    assert torch.allclose(model.map(codes), expected, atol=1e-6)


def test_history_is_the_latest_of_train_in_the_source(users_pair: DomainPair) -> None:
    model, past = built(users_pair, history=3), users_pair.source.train
    assert model.history_items.shape == (50, 3)
    for row, user in enumerate(past.users.tolist()):
        own = past.items[past.offsets[row] : past.offsets[row + 1]]
        assert model.history_items[user].tolist() == own[-3:].tolist()
    assert (model.history_items[:10] == PAD).all()  # the target's own users
    longest = built(users_pair, history=100).history_items
    assert longest.shape[1] == int(past.lengths.max())


def test_a_bridge_by_hand() -> None:
    """Two items with attention 3 : 1, one relu unit that reads their first number."""
    network = MetaNetwork(width=2, hidden=1)
    with torch.no_grad():
        network.attention[0].weight.copy_(torch.eye(2))
        network.attention[0].bias.zero_()
        network.attention[2].weight.copy_(torch.tensor([[0.0, 1.0]]))
        network.read.weight.copy_(torch.tensor([[2.0, 0.0]]))
        network.read.bias.fill_(1.0)
        network.write.weight.copy_(torch.tensor([[1.0], [0.0], [0.0], [2.0]]))
        network.write.bias.copy_(torch.tensor([0.0, 5.0, 0.0, 0.0]))
        log3 = float(torch.tensor(3.0).log())
        items = torch.tensor([[[4.0, log3], [8.0, 0.0], [100.0, 100.0]]])
        bridge = network(items, torch.tensor([[True, True, False]]))
    # The characteristic begins with (3 * 4 + 1 * 8) / 4 = 5, and the unit is 2 * 5 + 1 = 11.
    assert torch.allclose(bridge, torch.tensor([[[11.0, 5.0], [0.0, 22.0]]]))


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 6), st.integers(0, 4), st.integers(0, 10**6))
def test_padding_and_order_say_nothing(length: int, padding: int, seed: int) -> None:
    torch.manual_seed(seed)
    network, items = MetaNetwork(width=3, hidden=4), torch.randn(1, length, 3)
    longer = torch.cat([items[:, torch.randperm(length)], torch.randn(1, padding, 3)], dim=1)
    real = torch.arange(length + padding)[None] < length
    whole = torch.ones(1, length, dtype=torch.bool)
    assert torch.allclose(network(longer, real), network(items, whole), atol=1e-5)


def test_a_user_without_history_has_the_constant_bridge(users_pair: DomainPair) -> None:
    model = built(users_pair)
    bridge = model.mapping(torch.zeros(1, 3, 5), torch.zeros(1, 3, dtype=torch.bool))
    assert torch.isfinite(bridge).all()
    unit = model.mapping.read.bias.relu()
    expected = model.mapping.write.weight @ unit + model.mapping.write.bias
    assert torch.allclose(bridge.flatten(), expected, atol=1e-6)


def test_the_bridge_learns_from_users_of_both_domains_alone(users_pair: DomainPair) -> None:
    """Users 0 to 9 have no past in the source: their events change no loss, and alone make none."""
    model = built(users_pair)
    losses = {"target": prepared(users_pair, Softmax())}

    def batch(users: list[int]) -> Batch:
        items = torch.tensor(users)[:, None] % 18
        return Batch(torch.tensor(users), items, torch.ones(len(users), 1), items >= 0)

    both, mixed, strangers = (
        model.loss({"target": batch(users)}, losses) for users in ([10, 11], [10, 3, 11, 4], [3, 4])
    )
    assert torch.equal(both, mixed)
    assert strangers.item() == 0
    strangers.backward()
    assert all((p.grad == 0).all() for p in model.mapping.parameters())


def test_the_loss_is_of_the_targets_events(users_pair: DomainPair) -> None:
    """Squared error of two events by hand, the users' bridges being the unit matrix."""
    model = built(users_pair, dim=1)
    objective = prepared(users_pair, Rating())
    with torch.no_grad():
        model.mapping.write.weight.zero_()
        model.mapping.write.bias.copy_(torch.eye(2).flatten())
        model.source.users[10:12] = torch.tensor([[1.0, 0.0], [-1.0, 0.5]])
        model.target.items[:2] = torch.tensor([[0.5, 0.0], [0.25, 0.1]])
    items = torch.tensor([[0], [1]])
    ratings = torch.tensor([[objective.mean + 1.0], [objective.mean]])
    batch = Batch(torch.tensor([10, 11]), items, ratings, items >= 0)
    expected = ((0.5 - 1) ** 2 + (-0.25 + 0.5 + 0.1) ** 2) / 2
    assert model.loss({"target": batch}, {"target": objective}).item() == pytest.approx(expected)


@pytest.mark.parametrize("name", ["dim", "hidden", "history"])
def test_arguments_out_of_range(name: str) -> None:
    with pytest.raises(UserError, match=f"transfer.{name} must be >= 1, got 0"):
        PTUPCDR(**{name: 0})
