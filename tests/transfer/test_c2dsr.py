"""C2DSR: graphs, alignment of the sequences, the infomax by hand, and that it learns."""

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch, Sequences
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Objective, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.sequences.c2dsr import C2DSR
from crossrec.transfer.sequences.followers import Followers, cross_edges, single_edges
from crossrec.transfer.sequences.two_domain_batch import Events, TwoDomains

NO_CONTENT = Content(None, None, None)
SIDES: tuple[Side, ...] = ("source", "target")
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, **chosen: float) -> C2DSR:
    model = C2DSR(**{"dim": 8, "dropout": 0.0, **chosen})
    build_pair(model, pair, NO_CONTENT, seed=0)
    return model


def batch_of(items: list[list[int]], n_target: int) -> Batch:
    codes = torch.tensor(items)
    own = (codes != PAD) & (codes < n_target)
    return Batch(torch.arange(len(items)), codes, codes.float(), own)


def whole(pair: DomainPair) -> dict[Side, Batch]:
    batches: dict[Side, Batch] = {}
    for side in SIDES:
        train = domain_of(pair, side).train
        batches[side] = train.last(torch.arange(len(train.users)), 50)
    return batches


def loss_of(model: C2DSR, pair: DomainPair, batches: Mapping[Side, Batch]) -> torch.Tensor:
    made: dict[Side, Objective] = {side: Softmax() for side in SIDES}
    for side, objective in made.items():
        objective.prepare(domain_of(pair, side))
    torch.manual_seed(0)
    return model.loss(batches, made)


def test_an_item_becomes_the_mean_of_what_followed_it() -> None:
    """0 -> 1 twice counts once, 0 -> 2, 2 -> 0; nothing follows 1."""
    graph = Followers((torch.tensor([0, 0, 0, 2]), torch.tensor([1, 2, 1, 0])), 3)
    table = torch.tensor([[1.0, 2.0], [3.0, 4.0], [5.0, 8.0]], requires_grad=True)
    spread = graph(table)
    assert spread.tolist() == [[4.0, 6.0], [0.0, 0.0], [1.0, 2.0]]
    spread.sum().backward()
    assert table.grad.tolist() == [[1.0, 1.0], [0.5, 0.5], [0.5, 0.5]]


def edges_of(sequences: list[list[int]]) -> set[tuple[int, int]]:
    return {pair for items in sequences for pair in pairwise(items)}


def sequences_of(train: Sequences) -> list[tuple[int, list[int]]]:
    users, bounds = train.users.tolist(), train.offsets.tolist()
    items = [train.items[a:b].tolist() for a, b in pairwise(bounds)]
    return list(zip(users, items, strict=True))


def test_edges_of_one_domain_are_neighbors_of_one_user_in_train(users_pair: DomainPair) -> None:
    before, after = single_edges(users_pair.source)
    expected = edges_of([items for _, items in sequences_of(users_pair.source.train)])
    assert set(zip(before.tolist(), after.tolist(), strict=True)) == expected


def test_edges_over_both_domains_leave_out_what_the_source_holds_out(
    users_pair: DomainPair,
) -> None:
    n_target = users_pair.target.n_items
    of_source = sequences_of(users_pair.source.train)
    of_target = sequences_of(users_pair.target.train)
    trained = {(user, item + n_target) for user, items in of_source for item in items}
    known = [
        [item for item in items if item < n_target or (user, item) in trained]
        for user, items in of_target
    ]
    assert sum(map(len, known)) == sum(len(items) for _, items in of_target) - 30 * 2
    shifted = [[item + n_target for item in items] for _, items in of_source]
    before, after = cross_edges(users_pair, TwoDomains(users_pair, 50).ids)
    assert set(zip(before.tolist(), after.tolist(), strict=True)) == edges_of(known + shifted)


def test_smoothing_by_hand(users_pair: DomainPair) -> None:
    model = built(users_pair, n_hops=2).eval()
    reader = model.cross
    table = reader.network.item_embedding
    one = reader.graph(table)
    expected = table + (table + one + reader.graph(one)) / 3
    assert torch.allclose(reader.items(), expected, atol=1e-7)


def test_a_domains_own_state_stands_where_its_events_are() -> None:
    """t s s t: before each event, and after the last, the target has seen 0 1 1 1 2 of its own."""
    target = torch.tensor([[True, False, False, True]])
    codes = torch.tensor([[4, 7, 8, 5]])
    events = Events(
        torch.zeros(1, dtype=torch.int64), codes, codes, codes.float(),
        {"target": target, "source": ~target}, {"target": target, "source": ~target},
    )  # fmt: skip
    assert events.alone("target").tolist() == [[4, 5]]
    assert events.alone("source").tolist() == [[7, 8]]
    own = torch.tensor([[[0.0], [1.0], [2.0]]])
    assert events.at_events("target", own).flatten().tolist() == [0, 1, 1, 1, 2]
    assert events.at_events("source", own).flatten().tolist() == [0, 0, 1, 2, 2]
    assert events.last(events.at_events("target", own)).item() == 2


def test_infomax_of_a_judge_that_knows_nothing(users_pair: DomainPair) -> None:
    """Two coins: 2 log 2, over users of both domains alone; nothing where there are none."""
    model = built(users_pair)
    n_target = users_pair.target.n_items
    with torch.no_grad():
        for parameter in model.judge.parameters():
            parameter.zero_()
    for items, expected in (
        ([[0, n_target], [1, PAD]], 2 * math.log(2)),
        ([[0, 1], [1, PAD]], 0.0),
    ):
        events = model.domains.read("target", batch_of(items, n_target))
        table = model.cross.items()
        cross = model.cross(events.users, events.rows, table)
        single = model.alone("target", events, model.own_items("target"))
        loss = model.infomax("target", events, single, cross, table)
        assert loss.item() == pytest.approx(expected)


def test_infomax_by_hand(users_pair: DomainPair) -> None:
    """One user, t s: a judge that multiplies the first numbers of both sides."""
    model = built(users_pair)
    n_target = users_pair.target.n_items
    with torch.no_grad():
        model.judge["target"].weight.zero_()[0, 0, 0] = 1.0
        model.judge["target"].bias.fill_(0.5)
    events = model.domains.read("target", batch_of([[0, n_target + 3]], n_target))
    table = model.cross.items()
    cross = model.cross(events.users, events.rows, table)
    single = model.alone("target", events, model.own_items("target"))
    torch.manual_seed(3)
    loss = model.infomax("target", events, single, cross, table)
    torch.manual_seed(3)
    drawn = torch.randint(n_target, (1, 2))[0, 0]
    replaced = replace(events, rows=torch.tensor([[int(drawn), n_target + 3]]))
    false = model.cross(replaced.users, replaced.rows, table)[0, 2, 0]
    given = single[0, 1, 0]  # after the target event
    real = cross[0, 2, 0]  # after the source event
    expected = -torch.log(torch.sigmoid(given * real + 0.5)) - torch.log(
        1 - torch.sigmoid(given * false + 0.5)
    )
    assert loss.item() == pytest.approx(expected.item(), rel=1e-4)


def test_lambda_weighs_prediction_and_infomax(users_pair: DomainPair) -> None:
    batches = whole(users_pair)
    alone, half = (
        loss_of(built(users_pair, lambda_=x), users_pair, batches).item() for x in (1.0, 0.5)
    )
    contrast = 2 * half - alone
    model = built(users_pair)
    events = model.domains.read_training(batches)[1]
    table = model.cross.items()
    cross = model.cross(events.users, events.rows, table)
    torch.manual_seed(0)
    expected = [
        model.infomax(
            side, events, model.alone(side, events, model.own_items(side)), cross, table
        ).item()
        for side in SIDES
    ]
    assert contrast == pytest.approx(sum(expected) / 2, rel=1e-3)


def test_alpha_zero_leaves_the_sources_output_alone(users_pair: DomainPair) -> None:
    model = built(users_pair, alpha=0.0)
    loss_of(model, users_pair, whole(users_pair)).backward()
    assert not model.output["source"].grad.any()
    assert model.output["target"].grad.any()


def test_users_of_the_source_alone_are_trained_on(users_pair: DomainPair) -> None:
    model = built(users_pair, lambda_=1.0)
    batches = whole(users_pair)
    alone = ~torch.isin(batches["source"].users, batches["target"].users)
    assert alone.sum() == 10
    row = int(alone.nonzero()[0])
    batches["source"] = batches["source"].part(slice(row, row + 1))
    batches["target"] = batches["target"].part(slice(0, 1))
    loss_of(model, users_pair, batches).backward()
    touched = model.single["source"].network.item_embedding.grad.abs().sum(dim=1) > 0
    assert touched[batches["source"].items[0]].all()


@settings(max_examples=20, deadline=None)
@given(data=st.data())
def test_a_state_knows_no_later_event(users_pair: DomainPair, data: st.DataObject) -> None:
    model = built(users_pair).eval()
    n_target = users_pair.target.n_items
    codes = st.lists(st.integers(0, n_target + users_pair.source.n_items - 1), max_size=8)
    past = data.draw(codes)
    places = data.draw(st.lists(st.sampled_from(SIDES), max_size=8))
    # How many events of either domain are to come, it may know.
    item = {
        "target": st.integers(0, n_target - 1),
        "source": st.integers(n_target, n_target + users_pair.source.n_items - 1),
    }
    states: dict[Side, list[torch.Tensor]] = {side: [] for side in SIDES}
    for _ in range(2):
        items = [*past, *(data.draw(item[place]) for place in places), 0]
        events = model.domains.read("target", batch_of([items], n_target))
        for side in SIDES:
            cross = model.cross(events.users, events.rows, model.cross.items())
            own = model.alone(side, events, model.own_items(side))
            states[side].append((cross + own)[0, : len(past) + 1])
    for before, after in states.values():
        assert torch.allclose(before, after, atol=1e-5)


def test_scores_come_from_the_states_that_are_trained(users_pair: DomainPair) -> None:
    model = built(users_pair).eval()
    n_target = users_pair.target.n_items
    batch = batch_of([[n_target + 2, 3, PAD], [1, n_target, 4]], n_target)
    with torch.no_grad():
        events = model.domains.read("target", batch)
        state = model.cross(events.users, events.rows, model.cross.items())
        state = state + model.alone("target", events, model.own_items("target"))
        output = model.output["target"]
        expected = output[:, :-1] @ state[0, 2] + output[:, -1]
        scores = model.scorer("target")(batch)
    assert torch.allclose(scores[0], expected, atol=1e-6)
    assert scores.shape == (2, n_target)


@pytest.mark.parametrize("make", [Softmax, BPR])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair,
    steps: Steps,
    content_of: Callable[[DomainPair], Content],
    make: Callable[[], Objective],
) -> None:
    model = C2DSR(dim=8)
    (taken,) = steps(model, users_pair, content_of(users_pair), make_objective=make)
    assert taken[-1] < 0.9 * taken[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"lambda_": 0.0}, r"transfer.lambda must be > 0 and <= 1, got 0"),
        ({"n_hops": -1}, r"transfer.n_hops must be >= 0, got -1"),
        ({"alpha": -0.1}, r"transfer.alpha must be >= 0 and < 1, got -0.1"),
    ],
)
def test_settings_out_of_range(wrong: Mapping[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        C2DSR(**wrong)
