"""SSCDR: distances, the two losses and the neighbors by hand, and what each overlap links."""

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.sscdr import SSCDR, UnitBall

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, **arguments: object) -> SSCDR:
    model = SSCDR(**{"dim": 4, "hidden": [3], **arguments})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def source_events(pair: DomainPair) -> Batch:
    users, items, ratings = pair.source.train_events()
    return Batch(users, items[:, None], ratings[:, None], items[:, None] >= 0)


class Copy(torch.nn.Module):
    """A map that changes nothing."""

    def forward(self, points: Tensor) -> Tensor:
        return points


@pytest.mark.parametrize("kind", ["users", "items"])
@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss_of_every_phase(
    request: pytest.FixtureRequest,
    steps: Callable[..., list[list[float]]],
    make: Callable[[], Objective],
    kind: str,
) -> None:
    pair = request.getfixturevalue(f"{kind}_pair")
    taken = steps(SSCDR(dim=8, hidden=[8], lambda_=1.0), pair, make_objective=make)
    assert len(taken) == 3
    assert all(losses[-1] < losses[0] - 0.01 * abs(losses[0]) for losses in taken)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 10**6), st.floats(0.05, 2))
def test_score_is_the_negative_squared_distance_in_the_ball(seed: int, temperature: float) -> None:
    torch.manual_seed(seed)
    ball = UnitBall(3, 5, 2, temperature)
    with torch.no_grad():
        ball.intercept.fill_(0.7)
        users, items = (ball.points(torch.randn(n, 2) * 2) for n in (3, 5))
        assert (users.norm(dim=1) <= 1 + 1e-6).all()
        given = ball.user_vectors(users) @ ball.item_vectors(items).T
        expected = 0.7 - torch.cdist(users, items).square() / temperature
    assert torch.allclose(given, expected, atol=1e-4)


def test_what_is_inside_stays_and_what_is_outside_goes_to_the_surface() -> None:
    ball = UnitBall(1, 1, 2, 1.0)
    rows = torch.tensor([[0.3, -0.4], [3.0, 4.0], [0.0, 0.0]])
    expected = torch.tensor([[0.3, -0.4], [0.6, 0.8], [0.0, 0.0]])
    assert torch.allclose(ball.points(rows), expected)


def test_a_triplet_by_hand(users_pair: DomainPair) -> None:
    """User 10 at (1, 0): what they had maps to (0.5, 0), all else to (0, 1).

    Near 0.25, far 2: with margin 2 the hinge is 0.25; with margin 1 there is none.
    """
    users, items, ratings = users_pair.source.train_events()
    own = users == 10
    batch = Batch(users[own], items[own, None], ratings[own, None], own[own, None])
    for margin, expected in ((2.0, 0.25), (1.0, 0.0)):
        model = built(users_pair, dim=2, margin=margin)
        model.mapping = Copy()
        with torch.no_grad():
            model.target.users[10] = torch.tensor([1.0, 0.0])
            model.source.items.copy_(torch.tensor([0.0, 1.0]))
            model.source.items[items[own]] = torch.tensor([0.5, 0.0])
            assert model.unsupervised(batch).item() == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["users", "items"])
def test_nothing_that_was_interacted_with_is_a_negative(
    request: pytest.FixtureRequest, kind: str
) -> None:
    """Every negative lies where the anchor is, and so costs the margin and near: if a positive
    were one, it would lie with the positives and cost the margin alone."""
    pair: DomainPair = request.getfixturevalue(f"{kind}_pair")
    model = built(pair, dim=2, margin=0.5)
    model.mapping = Copy()
    anchor = model.links.labeled[0]
    users, items, ratings = pair.source.train_events()
    ours, theirs = (users, items) if kind == "users" else (items, users)
    own = ours == anchor[1]
    batch = Batch(users[own], items[own, None], ratings[own, None], own[own, None])
    table, partners = (
        (model.target.users, model.source.items)
        if kind == "users"
        else (model.target.items, model.source.users)
    )
    with torch.no_grad():
        table[anchor[0]] = torch.tensor([0.0, 0.0])
        partners.zero_()
        partners[theirs[own]] = torch.tensor([0.5, 0.0])
        drawn = {round(model.unsupervised(batch).item(), 5) for _ in range(50)}
    assert drawn <= {0.75, 0.0}  # zero where no draw counts
    assert 0.75 in drawn


def test_those_without_a_label_are_no_anchors(users_pair: DomainPair) -> None:
    users, items, ratings = users_pair.source.train_events()
    cold = users >= 40
    batch = Batch(users[cold], items[cold, None], ratings[cold, None], cold[cold, None])
    loss = built(users_pair).unsupervised(batch)
    assert loss.item() == 0
    loss.backward()


def test_lambda_weighs_the_unsupervised_loss(users_pair: DomainPair) -> None:
    batches = {"source": source_events(users_pair)}
    losses = {}
    for lambda_ in (0.0, 1.0, 3.0):
        model = built(users_pair, lambda_=lambda_)
        torch.manual_seed(0)
        losses[lambda_] = model.loss(batches, {}).item()
    assert losses[0.0] == pytest.approx(built(users_pair).supervised(1000).item())
    difference = losses[1.0] - losses[0.0]
    assert difference > 0
    assert losses[3.0] - losses[0.0] == pytest.approx(3 * difference, rel=1e-4)


@pytest.mark.parametrize("kind", ["users", "items"])
def test_neighbors_by_hand(request: pytest.FixtureRequest, kind: str) -> None:
    pair: DomainPair = request.getfixturevalue(f"{kind}_pair")
    users, items, _ = pair.source.train_events()
    ours, theirs = (users, items) if kind == "users" else (items, users)
    near, far = built(pair), built(pair, hops=0)
    codes = torch.unique(ours)[[5, 2, 7]]
    own, others = near.source.users, near.source.items
    if kind == "items":
        own, others = others, own
    with torch.no_grad():
        given, without = near.infer(codes), far.infer(codes)
        for place, code in enumerate(codes.tolist()):
            mean = others[theirs[ours == code]].mean(dim=0)
            expected = near.mapping((own[code] + mean) / 2)
            assert torch.allclose(given[place], expected, atol=1e-6)
            assert torch.allclose(without[place], near.mapping(own[code]), atol=1e-6)


def test_a_cold_user_is_scored_where_the_map_says(users_pair: DomainPair) -> None:
    model = built(users_pair)
    with torch.no_grad():
        point = model.target.points(model.infer(torch.tensor([45])))
        distance = torch.cdist(point, model.target.items).square() / model.temperature
        batch = Batch(torch.tensor([45]), *(torch.zeros(1, 1) for _ in range(3)))
        given = model.scorer("target")(batch)
    assert torch.allclose(given, model.target.intercept - distance, atol=1e-5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"hidden": []}, "transfer.hidden must be a list of sizes >= 1"),
        ({"lambda_": -1}, "transfer.lambda and transfer.margin must be >= 0, got -1 and 0.3"),
        ({"margin": -1}, "transfer.lambda and transfer.margin must be >= 0, got 0.1 and -1"),
        ({"temperature": 0}, "transfer.temperature must be > 0, got 0"),
        ({"hops": 2}, "transfer.hops must be 0 or 1, got 2"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        SSCDR(**arguments)
