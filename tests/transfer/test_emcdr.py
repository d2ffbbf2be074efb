"""EMCDR: who is mapped and who is not, the map by hand, and what each phase may move."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.preferences.emcdr import EMCDR

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, **arguments: object) -> EMCDR:
    model = EMCDR(**{"dim": 4, **arguments})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def ask(users: list[int]) -> Batch:
    none = torch.zeros(len(users), 1)
    return Batch(torch.tensor(users), none.long(), none, none.bool())


@torch.no_grad()
def scores(model: EMCDR, users: list[int]) -> Tensor:
    return model.scorer("target")(ask(users))


@pytest.mark.parametrize("kind", ["users", "items"])
@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss_of_every_phase(
    request: pytest.FixtureRequest, steps: Steps, make: Callable[[], Objective], kind: str
) -> None:
    pair = request.getfixturevalue(f"{kind}_pair")
    taken = steps(EMCDR(dim=8, mapping="mlp", hidden=[8]), pair, make_objective=make)
    assert len(taken) == 3
    assert all(losses[-1] < 0.99 * losses[0] for losses in taken)


def test_a_phase_moves_what_it_trains_alone(users_pair: DomainPair, steps: Steps) -> None:
    model, short = EMCDR(dim=4), EMCDR(dim=4)
    short.phases = short.phases[:2]
    steps(model, users_pair, n=3)
    steps(short, users_pair, n=3)
    for name, value in short.named_parameters():
        same = torch.equal(value, model.get_parameter(name))
        assert same != name.startswith("mapping."), name


def test_who_has_a_label_and_who_is_cold(users_pair: DomainPair, items_pair: DomainPair) -> None:
    links = built(users_pair).links
    assert links.by == "users"
    assert links.labeled.tolist() == [[u, u] for u in range(10, 40)]
    assert links.cold.tolist() == [[u, u] for u in range(40, 50)]
    links = built(items_pair).links
    here, there = (d.item_counts() > 0 for d in (items_pair.target, items_pair.source))
    expected = {
        name: [
            [t, s] for t, s in items_pair.shared_items.tolist() if there[s] and here[t] == labeled
        ]
        for name, labeled in (("labeled", True), ("cold", False))
    }
    assert links.by == "items"
    assert links.labeled.tolist() == expected["labeled"]
    assert links.cold.tolist() == expected["cold"]


def test_score_of_a_warm_and_of_a_cold_user_by_hand(users_pair: DomainPair) -> None:
    model = built(users_pair, dim=1)
    warm, cold, item = 3, 45, 5
    with torch.no_grad():
        model.target.users[warm] = torch.tensor([2.0, 0.5])
        model.target.items[item] = torch.tensor([3.0, 0.25])
        model.source.users[cold] = torch.tensor([1.0, -1.0])
        model.mapping.weight.copy_(torch.tensor([[4.0, 1.0], [2.0, 0.0]]))  # f: (4 - 1, 2)
    given = scores(model, [warm, cold])[:, item]
    assert given.tolist() == [2 * 3 + 0.5 + 0.25, 3 * 3 + 2 + 0.25]


def test_a_cold_item_gets_what_f_says(items_pair: DomainPair) -> None:
    model = built(items_pair, dim=1)
    target, source = items_pair.shared_items[4].tolist()
    model.links.cold = torch.tensor([[target, source]])
    with torch.no_grad():
        model.target.users[3] = torch.tensor([2.0, 0.5])
        model.source.items[source] = torch.tensor([1.0, -1.0])
        model.mapping.weight.copy_(torch.tensor([[4.0, 1.0], [2.0, 0.0]]))
    assert scores(model, [3])[0, target].item() == 2 * 3 + 0.5 + 2


def test_mapped_says_whether_those_with_a_point_of_their_own_keep_it(
    users_pair: DomainPair,
) -> None:
    cold, shared = built(users_pair), built(users_pair, mapped="shared")
    stranger, both, gone = [0], [20], [45]  # in the target alone, in both, in the source alone
    with torch.no_grad():
        shared.load_state_dict(cold.state_dict())
    assert torch.equal(scores(cold, stranger + gone), scores(shared, stranger + gone))
    for model, point in (
        (cold, cold.target.users[20]),
        (shared, shared.map(torch.tensor([20]))[0]),
    ):
        item = model.target.items
        expected = item[:, :4] @ point[:4] + point[4] + item[:, 4]
        assert torch.allclose(scores(model, both)[0], expected, atol=1e-6)


def test_a_linear_map_starts_at_the_least_squares(users_pair: DomainPair) -> None:
    """Points of the target that are a matrix times those of the source: the map finds it."""
    model = built(users_pair)
    truth = torch.randn(5, 5)
    with torch.no_grad():
        model.source.users.normal_()
        model.target.users.copy_(model.source.users @ truth)
        model.enter(model.phases[-1])
    batches = {"target": ask([10, 11])}
    x = model.source.users[10:40].detach()
    gram = x.T @ x
    ridge = 0.1 * gram.diagonal().mean()
    shrunk = torch.linalg.inv(gram + ridge * torch.eye(5)) @ gram @ truth
    assert torch.allclose(model.mapping.weight, shrunk.T, atol=1e-4)
    with torch.no_grad():
        model.mapping.weight.copy_(truth.T)
    assert model.loss(batches, {}).item() == pytest.approx(0, abs=1e-8)


def test_the_target_is_validated_with_the_least_squares_map(users_pair: DomainPair) -> None:
    model = built(users_pair)
    model.enter(model.phases[1])
    before = scores(model, [20, 45])
    expected = model.source.users[45] @ model.least_squares()
    item = model.target.items
    by_hand = item[:, :4] @ expected[:4] + expected[4] + item[:, 4]
    assert torch.allclose(before[1], by_hand, atol=1e-6)
    with torch.no_grad():
        model.mapping.weight.zero_()
    assert torch.equal(before, scores(model, [20, 45]))


def test_loss_of_the_map_by_hand(users_pair: DomainPair) -> None:
    model = built(users_pair, dim=1)
    with torch.no_grad():
        model.source.users.zero_()
        model.target.users.zero_()
        model.source.users[12] = torch.tensor([1.0, 2.0])
        model.target.users[12] = torch.tensor([4.0, 0.0])
        model.source.users[45] = 100.0  # no label: not in the loss
        model.mapping.weight.copy_(torch.eye(2))
    everybody = ask([0] * 30)
    assert model.loss({"target": everybody}, {}).item() == pytest.approx((9 + 4) / 30)


def test_a_sample_of_the_shared_has_the_loss_of_all_on_average(users_pair: DomainPair) -> None:
    model = built(users_pair)
    torch.manual_seed(0)
    with torch.no_grad():
        model.target.users.normal_()
        of_all = model.supervised(30)
        of_few = torch.stack([model.supervised(5) for _ in range(2000)])
    assert of_few.std() > 0
    assert of_few.mean().item() == pytest.approx(of_all.item(), rel=0.03)


def test_nobody_in_both(apart_pair: DomainPair) -> None:
    with pytest.raises(UserError, match="items with training events in both, and there are none"):
        built(apart_pair)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"dim": 0}, "transfer.dim must be >= 1, got 0"),
        ({"mapping": "cubic"}, "transfer.mapping must be linear or mlp, got cubic"),
        ({"mapping": "mlp", "hidden": []}, r"transfer.hidden must be a list of sizes >= 1, got \["),
        ({"mapped": "all"}, "transfer.mapped must be cold or shared, got all"),
    ],
)
def test_arguments_out_of_range(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        EMCDR(**arguments)
