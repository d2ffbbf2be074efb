"""TMCDR: the loss after a step, by hand and by finite differences, and the two groups."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.tmcdr import TMCDR

NO_CONTENT = Content(None, None, None)


def built(pair: DomainPair, **arguments: object) -> TMCDR:
    model = TMCDR(**{"dim": 4, **arguments})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def batch_of(users: list[int], ratings: list[float] | None = None) -> Batch:
    """One event a user, of item user modulo 18."""
    items = torch.tensor(users)[:, None] % 18
    values = torch.tensor(ratings)[:, None] if ratings else torch.ones(len(users), 1)
    return Batch(torch.tensor(users), items, values, items >= 0)


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
@pytest.mark.parametrize("mapping", ["linear", "mlp"])
def test_twenty_steps_lower_the_loss_of_every_phase(
    users_pair: DomainPair,
    steps: Callable[..., list[list[float]]],
    make: Callable[[], Objective],
    mapping: str,
) -> None:
    model = TMCDR(dim=8, mapping=mapping, hidden=[8])
    taken = steps(model, users_pair, make_objective=make)
    assert len(taken) == 3
    assert all(losses[-1] < 0.995 * losses[0] for losses in taken)


def test_a_step_by_hand(users_pair: DomainPair) -> None:
    """Squared errors of one support and one query event.

    A user (p, 0) is mapped to (w p, c p), and an item (1, 0) scores w p + c p. Support: p = 2, one
    above the mean: loss (2 w + 2 c - 1)^2, at w = 1, c = 0 with slope 4 in both, so that a step of
    0.1 ends at w' = 0.6, c' = -0.4. Query: p = 3, two above the mean: error 3 w' + 3 c' - 2 = -1.4.
    With dw'/dw = 1 - 0.8 and dc'/dw = -0.8 the slope in w is 2 * -1.4 * 3 * (0.2 - 0.8) = 5.04.
    """
    model = built(users_pair, dim=1, inner_rate=0.1)
    objective = Rating()
    objective.prepare(users_pair.target)
    with torch.no_grad():
        model.source.users.zero_()
        model.target.items.zero_()
        model.source.users[10, 0], model.source.users[11, 0] = 2.0, 3.0
        model.target.items[10:12, 0] = 1.0
        model.mapping.weight.copy_(torch.tensor([[1.0, 0.0], [0.0, 0.0]]))
    support, query = batch_of([10], [objective.mean + 1]), batch_of([11], [objective.mean + 2])
    loss = model.after_a_step(support, query, objective)
    assert loss.item() == pytest.approx(1.96, rel=1e-5)
    loss.backward()
    assert model.mapping.weight.grad[0, 0].item() == pytest.approx(5.04, rel=1e-5)


@pytest.mark.parametrize("make", [Softmax, Rating])
@pytest.mark.parametrize("mapping", ["linear", "mlp"])
def test_gradient_is_that_of_finite_differences(
    users_pair: DomainPair, make: Callable[[], Objective], mapping: str
) -> None:
    model = built(users_pair, dim=3, mapping=mapping, hidden=[2], inner_rate=0.5).double()
    objective = make()
    objective.prepare(users_pair.target)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_()
    support, query = batch_of([10, 11, 12]), batch_of([13, 14])

    def loss() -> Tensor:
        torch.manual_seed(0)  # the same negatives
        return model.after_a_step(support, query, objective)

    loss().backward()
    weight = next(model.mapping.parameters())
    for row, column in ((0, 0), (1, 2)):
        values = []
        for change in (1e-5, -2e-5):
            with torch.no_grad():
                weight[row, column] += change
            values.append(loss().item())
        with torch.no_grad():
            weight[row, column] += 1e-5
        slope = (values[0] - values[1]) / 2e-5
        assert weight.grad[row, column].item() == pytest.approx(slope, rel=1e-4)


def test_without_a_step_it_is_the_querys_loss(users_pair: DomainPair) -> None:
    model = built(users_pair, inner_rate=0)
    objective = Softmax()
    objective.prepare(users_pair.target)
    support, query = batch_of([10, 11, 12]), batch_of([13, 14])
    plain = objective(model.cases(query, model.map))
    assert torch.equal(model.after_a_step(support, query, objective), plain)


def test_the_groups_are_disjoint_and_hold_all_users_of_both_domains(
    users_pair: DomainPair,
) -> None:
    model = built(users_pair)
    seen: list[set[int]] = []

    def objective(cases: Cases) -> Tensor:
        seen.append(set(cases.users.tolist()))
        return cases.score(cases.items).square().mean()

    users = [3, 10, 10, 11, 12, 13, 14, 11, 4]
    drawn = set()
    for _ in range(20):
        seen.clear()
        model.loss({"target": batch_of(users)}, {"target": objective})
        support, query = seen
        assert support.isdisjoint(query)
        assert support | query == {10, 11, 12, 13, 14}
        assert len(support) == 2
        drawn.add(frozenset(support))
    assert len(drawn) > 3


@pytest.mark.parametrize("users", [[3, 4], [3, 10, 10]])
def test_fewer_than_two_users_of_both_domains_teach_nothing(
    users_pair: DomainPair, users: list[int]
) -> None:
    model = built(users_pair)
    loss = model.loss({"target": batch_of(users)}, {})
    loss.backward()
    assert loss.item() == 0
    assert all((p.grad == 0).all() for p in model.mapping.parameters())


def test_a_cold_user_is_where_the_map_says(users_pair: DomainPair) -> None:
    model = built(users_pair, mapping="mlp", hidden=[3])
    with torch.no_grad():
        point = model.mapping(model.source.users[45])
        item = model.target.items
        expected = item[:, :4] @ point[:4] + point[4] + item[:, 4]
        assert torch.allclose(model.scorer("target")(batch_of([45]))[0], expected, atol=1e-6)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"inner_rate": -1.0}, "transfer.inner_rate must be >= 0, got -1.0"),
        ({"mapping": "cubic"}, "transfer.mapping must be linear or mlp, got cubic"),
        ({"mapping": "mlp", "hidden": [0]}, "transfer.hidden must be a list of sizes >= 1"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        TMCDR(**arguments)
