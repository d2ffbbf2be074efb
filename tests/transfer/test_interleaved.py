"""One sequence of both domains: what is predicted, from what, once each, and that it learns."""

from collections.abc import Callable, Mapping

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from crossrec import losses
from crossrec.data.columns import ITEM, PAD, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.datamodule import Windows
from crossrec.data.pair import DomainPair, Side, align
from crossrec.data.sequences import Batch, BatchSampler
from crossrec.data.splits import TEST, TRAIN, VALID
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.sequences.interleaved import Interleaved
from crossrec.transfer.sequences.two_domain_batch import TwoDomains

NO_CONTENT = Content(None, None, None)
SIDES: tuple[Side, ...] = ("source", "target")
Steps = Callable[..., list[list[float]]]


def table(name: str, items: str, events: list[tuple[str, str, int, str]]) -> tuple:
    """A domain of (user, item, time, part) events, rated by their time."""
    frame = pl.DataFrame(
        [(user, item, float(time), time, None, part) for user, item, time, part in events],
        schema={
            USER: pl.String,
            ITEM: pl.String,
            RATING: pl.Float32,
            TIMESTAMP: pl.Int64,
            POSITION: pl.Int64,
            SPLIT: pl.String,
        },
        orient="row",
    )
    return name, frame, pl.DataFrame({ITEM: items.split()})


@pytest.fixture(scope="module")
def small() -> DomainPair:
    """User a in both domains, b in the source alone; item x in both catalogs."""
    source = [
        ("a", "s0", 5, TRAIN),
        ("a", "x", 20, TRAIN),
        ("a", "s2", 25, VALID),
        ("a", "s3", 55, TRAIN),
        ("b", "s3", 1, TRAIN),
        ("b", "s0", 2, TRAIN),
    ]
    target = [("a", "t0", 10, TRAIN), ("a", "t1", 30, TRAIN), ("a", "x", 50, VALID)]
    target.append(("a", "t2", 60, TEST))
    return align(
        table("source", "s0 x s2 s3", source),
        table("target", "t0 t1 t2 x", target),
        "cut",
        TIMESTAMP,
    )


def whole(pair: DomainPair) -> dict[Side, Batch]:
    """All training sequences of both sides, whole."""
    batches: dict[Side, Batch] = {}
    for side in SIDES:
        train = domain_of(pair, side).train
        batches[side] = train.last(torch.arange(len(train.users)), 50)
    return batches


def built(pair: DomainPair, content: Content = NO_CONTENT, **settings: float) -> Interleaved:
    chosen = {"dim": 8, "n_layers": 1, "n_heads": 2, "dropout": 0.0, **settings}
    model = Interleaved(**chosen)
    build_pair(model, pair, content, seed=0)
    return model


def objectives(pair: DomainPair, make: Callable[[], Objective]) -> dict[Side, Objective]:
    made: dict[Side, Objective] = {side: make() for side in SIDES}
    for side, objective in made.items():
        objective.prepare(domain_of(pair, side))
    return made


def test_what_is_read_and_what_is_predicted_by_hand(small: DomainPair) -> None:
    """The target's sequence of a is s0 t0 x s2 t1; s2 is held out by the source."""
    domains = TwoDomains(small, 50)
    assert domains.ids.n_items == 7  # t0 t1 t2 x, then s0 s2 s3
    a = domains.read("target", whole(small)["target"])
    assert a.rows.tolist() == [[4, 0, 3, 5, 1]]
    assert a.codes.tolist() == [[0, 0, 1, 2, 1]]
    assert a.of["target"].tolist() == [[False, True, False, False, True]]
    assert a.labels["target"].tolist() == [[False, True, False, False, True]]
    assert a.labels["source"].tolist() == [[True, False, True, False, False]]
    both = domains.read("source", whole(small)["source"])  # a: s0 x s3, b: s3 s0
    assert both.rows.tolist() == [[4, 3, 6], [6, 4, PAD]]
    assert both.labels["source"].tolist() == [[False, False, True], [True, True, False]]
    assert not both.labels["target"].any()


def test_cases_by_hand(small: DomainPair) -> None:
    """What the objectives get: five source labels, two target labels, each from its past."""
    model = built(small, alpha=0.25)
    got: dict[Side, Cases] = {}

    def keep(side: Side, value: float) -> Callable[[Cases], Tensor]:
        def loss(cases: Cases) -> Tensor:
            got[side] = cases
            return cases.score(cases.items).sum() * 0 + value

        return loss

    loss = model.loss(whole(small), {"source": keep("source", 8.0), "target": keep("target", 4.0)})
    assert loss.item() == 0.25 * 8 + 0.75 * 4
    assert got["target"].items.tolist() == [0, 1]
    assert got["target"].ratings.tolist() == [10.0, 30.0]
    assert got["target"].n_items == 4
    of_source = zip(got["source"].users.tolist(), got["source"].items.tolist(), strict=True)
    assert sorted(of_source) == [(0, 0), (0, 1), (0, 3), (1, 0), (1, 3)]
    embedded = model.network.embed_items()
    past = torch.tensor([[4, 0, 3, 5]])  # s0 t0 x s2
    state = model.network.user_vectors(past[:, 0], past, embedded)[0, -1]
    scores = got["target"].score(torch.tensor([[0, 1, 2, 3], [0, 1, 2, 3]]))[1]
    assert torch.allclose(scores, embedded[:4] @ state, atol=1e-6)


@pytest.mark.parametrize("max_history", [3, 50])
def test_each_source_event_is_predicted_once_an_epoch(
    users_pair: DomainPair, max_history: int
) -> None:
    """Also where windows are shorter than sequences, so that some hold no target event."""
    domains = TwoDomains(users_pair, max_history)
    n_source = users_pair.source.n_items
    counted = torch.zeros(users_pair.source.n_users * n_source, dtype=torch.int64)
    predicted = 0
    for side in SIDES:
        train = domain_of(users_pair, side).train
        sampler = BatchSampler(train, max_history, 200, seed=0)
        for numbers in sampler:
            events = domains.read(side, Windows(train, sampler)[torch.from_numpy(numbers)])
            mask = events.labels["source"]
            keys = events.users[:, None] * n_source + events.codes
            counted += torch.bincount(keys[mask], minlength=len(counted))
            predicted += int(events.labels["target"].sum())
    users, items, _ = users_pair.source.train_events()
    expected = torch.bincount(users * n_source + items, minlength=len(counted))
    assert torch.equal(counted, expected)
    assert predicted == len(users_pair.target.train_events()[0])


def test_users_of_the_source_alone_are_trained_on(users_pair: DomainPair) -> None:
    of_target = set(users_pair.target.train.users.tolist())
    read = TwoDomains(users_pair, 50).read_training(whole(users_pair))[0]
    alone = [user for user in read.users.tolist() if user not in of_target]
    assert len(alone) == 10
    model = built(users_pair)
    batches = whole(users_pair)
    model.loss(batches, objectives(users_pair, Softmax)).backward()
    together = model.network.item_embedding.grad.clone()
    model.zero_grad()
    in_both = [u in of_target for u in batches["source"].users.tolist()]
    source, rows = batches["source"], torch.tensor(in_both)
    batches["source"] = Batch(
        source.users[rows], source.items[rows], source.ratings[rows], source.own[rows]
    )
    model.loss(batches, objectives(users_pair, Softmax)).backward()
    assert not torch.allclose(together, model.network.item_embedding.grad)


def test_a_source_batch_may_hold_nothing_to_predict(users_pair: DomainPair) -> None:
    """Everything that a user of both did in the source may be predicted in the target's batches."""
    model = built(users_pair)
    batches = whole(users_pair)
    in_target = torch.isin(batches["source"].users, batches["target"].users)
    first = int(in_target.nonzero()[0])
    batches["source"] = batches["source"].part(slice(first, first + 1))
    read = model.domains.read_training(batches)
    assert not read[0].labels["source"].any()
    assert model.loss(batches, objectives(users_pair, Softmax)).isfinite()


def test_alpha_zero_trains_on_target_labels_alone(users_pair: DomainPair) -> None:
    model = built(users_pair, alpha=0.0)
    batches = whole(users_pair)
    model.loss(batches, objectives(users_pair, Softmax)).backward()
    got = {name: p.grad.clone() for name, p in model.named_parameters()}
    model.zero_grad()
    target = batches["target"]
    embedded = model.network.embed_items()  # nothing shared: rows are the target's own codes
    shown = target.items.clone()
    events = model.domains.read("target", target)
    for row, labels in enumerate(events.labels["source"] | events.labels["target"]):
        shown[row, int(labels.nonzero().max()) :] = PAD  # the last that is predicted is not read
    state = model.network.user_vectors(target.users, shown, embedded)[:, :-1]
    item = model.network.item_vectors(embedded)
    losses.softmax(state[target.own], item, target.items[target.own]).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(got[name], parameter.grad, atol=1e-6), name


def test_an_item_of_both_has_one_row(items_pair: DomainPair) -> None:
    model = built(items_pair)
    assert len(model.network.item_embedding) == 24 + 18 - 12
    code_target, code_source = items_pair.shared_items[3].tolist()
    with torch.no_grad():
        model.network.item_embedding[code_target] = 7.0
    history = torch.zeros(1, 0)
    empty = Batch(torch.zeros(1, dtype=torch.int64), history.long(), history, history.bool())
    with torch.no_grad():
        target, source = (model.scorer(side)(empty) for side in ("target", "source"))
    assert target.shape == (1, items_pair.target.n_items)
    assert target[0, code_target] == source[0, code_source]


@settings(max_examples=30, deadline=None)
@given(data=st.data())
def test_a_state_knows_no_later_event(users_pair: DomainPair, data: st.DataObject) -> None:
    model = built(users_pair, n_layers=2)
    n_codes = users_pair.target.n_items + users_pair.source.n_items
    codes = st.lists(st.integers(0, n_codes - 1), min_size=1, max_size=9)
    past = data.draw(codes)
    n_later = data.draw(st.integers(1, 9))  # how many there are, it may know
    later = st.lists(st.integers(0, n_codes - 1), min_size=n_later, max_size=n_later)
    states = []
    for future in (data.draw(later), data.draw(later)):
        items = torch.tensor([[*past, *future]])
        batch = Batch(torch.zeros(1, dtype=torch.int64), items, items.float(), items < 24)
        events = model.domains.read("target", batch)
        states.append(
            model.network.user_vectors(events.users, events.rows, model.network.embed_items())
        )
    before, after = (state[0, : len(past) + 1] for state in states)
    assert torch.allclose(before, after, atol=1e-5)


def test_scores_of_either_side_by_hand(users_pair: DomainPair) -> None:
    """Source item j is code j to the source and n_items + j to the target: one state for both."""
    model = built(users_pair).eval()
    n_target = users_pair.target.n_items
    codes = torch.tensor([[2, 5, PAD], [1, PAD, PAD]])
    users = torch.tensor([3, 4])
    of_source = Batch(users, codes, codes.float(), codes != PAD)
    of_target = Batch(
        users, torch.where(codes == PAD, PAD, codes + n_target), codes.float(), codes < PAD
    )
    with torch.no_grad():
        embedded = model.network.embed_items()
        rows = n_target + torch.tensor([[2, 5]])
        state = model.network.user_vectors(users[:1], rows, embedded)[0, -1]
        target = model.scorer("target")(of_target)
        source = model.scorer("source")(of_source)
    assert torch.allclose(target[0], embedded[:n_target] @ state, atol=1e-6)
    assert torch.allclose(source[0], embedded[n_target:] @ state, atol=1e-6)
    assert target.shape == (2, n_target)
    assert source.shape == (2, users_pair.source.n_items)


def test_content_of_an_item_of_both_is_the_targets(
    items_pair: DomainPair, content_of: Callable[[DomainPair], Content]
) -> None:
    content = content_of(items_pair)
    joint = TwoDomains(items_pair, 50).content(content)
    assert joint is not None
    assert content.source is not None
    assert torch.equal(joint[: items_pair.target.n_items], content.target)
    alone = sorted(set(range(items_pair.source.n_items)) - set(range(12)))
    assert torch.equal(joint[items_pair.target.n_items :], content.source[alone])


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair, steps: Steps, make: Callable[[], Objective]
) -> None:
    (taken,) = steps(Interleaved(dim=8, n_layers=1), users_pair, make_objective=make)
    assert taken[-1] < 0.9 * taken[0]


@pytest.mark.parametrize("pair", ["items_pair", "apart_pair"])
def test_without_a_user_in_both_it_is_joint_training(
    pair: str,
    steps: Steps,
    content_of: Callable[[DomainPair], Content],
    request: pytest.FixtureRequest,
) -> None:
    chosen = request.getfixturevalue(pair)
    (taken,) = steps(Interleaved(dim=8, n_layers=1), chosen, content_of(chosen))
    assert taken[-1] < 0.9 * taken[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"alpha": 1.0}, r"transfer.alpha must be >= 0 and < 1, got 1"),
        ({"dim": 9}, r"transfer.dim must be divisible by transfer.n_heads, got 9 and 2"),
        ({"max_history": 1}, r"transfer.max_history must be >= 2, got 1"),
    ],
)
def test_settings_out_of_range(wrong: Mapping[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        Interleaved(**wrong)
