"""ABXI: adapters start as nothing, states are aligned and causal, and it learns."""

from collections.abc import Callable, Mapping

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Objective, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import domain_of
from crossrec.transfer.sequences.abxi import ABXI, LowRank, SwiGLU

NO_CONTENT = Content(None, None, None)
SIDES: tuple[Side, ...] = ("source", "target")
Steps = Callable[..., list[list[float]]]


def built(pair: DomainPair, **chosen: float) -> ABXI:
    model = ABXI(**{"dim": 8, "rank": 2, "dropout": 0.0, **chosen})
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


def loss_of(model: ABXI, pair: DomainPair, batches: Mapping[Side, Batch]) -> torch.Tensor:
    made: dict[Side, Objective] = {side: Softmax() for side in SIDES}
    for side, objective in made.items():
        objective.prepare(domain_of(pair, side))
    return model.loss(batches, made)


def states_of(model: ABXI, batch: Batch, side: Side) -> torch.Tensor:
    """(B, L + 1, d) before each event and after the last."""
    events = model.domains.read("target", batch)
    table = model.embed_items()
    cross = model.attend(events.rows, table)
    everywhere = torch.ones(cross.shape[:2]).nonzero(as_tuple=True)
    return model.states(side, events, cross, table, everywhere).view_as(cross)


def stir(model: ABXI) -> None:
    """Adapters that do something."""
    torch.manual_seed(1)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, LowRank):
                module.up.normal_()


def test_a_low_rank_map_by_hand_and_at_its_start() -> None:
    adapter = LowRank(3, 1)
    state = torch.tensor([[1.0, 2.0, 3.0]])
    assert not adapter(state).any()
    with torch.no_grad():
        adapter.down.copy_(torch.tensor([[1.0], [0.0], [2.0]]))
        adapter.up.copy_(torch.tensor([[1.0, -1.0, 0.5]]))
    assert adapter(state).tolist() == [[7.0, -7.0, 3.5]]


def test_a_gate_by_hand() -> None:
    layers = SwiGLU(3)
    with torch.no_grad():
        for layer, value in ((layers.gate, 0.5), (layers.value, 1.0), (layers.out, 0.25)):
            layer.weight.fill_(value)
    gate = 3.0 / (1 + torch.exp(torch.tensor(-3.0)))  # SiLU of 0.5 * (1 + 2 + 3)
    expected = 8 * 0.25 * gate * 6.0
    assert torch.allclose(layers(torch.tensor([1.0, 2.0, 3.0])), expected.expand(3))


def test_sequences_differ_by_their_adapters_alone(users_pair: DomainPair) -> None:
    """One encoder: before training, the same events are the same state in each sequence."""
    model = built(users_pair)
    table, codes = model.embed_items(), torch.tensor([[3, 1, 4]])
    attended = model.attend(codes, table)
    cross, target = (model.adapt(key, attended) for key in ("cross", "target"))
    assert torch.equal(cross, target)
    stir(model)
    assert not torch.allclose(model.adapt("target", attended), cross)


def test_a_state_by_hand(users_pair: DomainPair) -> None:
    """Read t s: the target is predicted from both events and from the state after t alone."""
    model = built(users_pair)
    stir(model)
    n_target = users_pair.target.n_items
    table = model.embed_items()
    both, alone = torch.tensor([[2, n_target + 5]]), torch.tensor([[2]])
    cross = model.adapt("cross", model.attend(both, table)[:, -1])
    own = model.adapt("target", model.attend(alone, table)[:, -1])
    expected = model.invariant_norm["target"](
        cross + model.projector["cross"](cross) + model.to_domain["target"](cross)
    ) + model.own_norm["target"](own + model.projector["target"](own))
    state = states_of(model, batch_of([[2, n_target + 5]], n_target), "target")
    assert torch.allclose(state[:, -1], expected, atol=1e-5)


@settings(max_examples=25, deadline=None)
@given(data=st.data())
def test_a_state_knows_no_later_event(users_pair: DomainPair, data: st.DataObject) -> None:
    model = built(users_pair)
    stir(model)
    n_target = users_pair.target.n_items
    codes = st.lists(st.integers(0, n_target + users_pair.source.n_items - 1), max_size=8)
    past, places = data.draw(codes), data.draw(st.lists(st.sampled_from(SIDES), max_size=8))
    # How many events of either domain are to come, it may know.
    item = {
        "target": st.integers(0, n_target - 1),
        "source": st.integers(n_target, n_target + users_pair.source.n_items - 1),
    }
    futures = [[*(data.draw(item[place]) for place in places), 0] for _ in range(2)]
    for side in SIDES:
        before, after = (
            states_of(model, batch_of([[*past, *future]], n_target), side)[0, : len(past) + 1]
            for future in futures
        )
        assert torch.allclose(before, after, atol=1e-4)


def test_padding_changes_no_state(users_pair: DomainPair) -> None:
    model = built(users_pair)
    n_target = users_pair.target.n_items
    bare = states_of(model, batch_of([[n_target, 1]], n_target), "target")
    padded = states_of(model, batch_of([[n_target, 1, PAD], [1, 2, 3]], n_target), "target")
    assert torch.allclose(bare[0], padded[0, :3], atol=1e-5)


def test_alpha_zero_leaves_what_is_the_sources_alone(users_pair: DomainPair) -> None:
    model = built(users_pair, alpha=0.0)
    loss_of(model, users_pair, whole(users_pair)).backward()
    moved = {name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()}
    assert "to_domain.target.up" in moved
    assert "own_norm.target.weight" in moved
    assert not {name for name in moved if ".source." in name}


def test_users_of_the_source_alone_are_trained_on(users_pair: DomainPair) -> None:
    model = built(users_pair)
    batches = whole(users_pair)
    alone = ~torch.isin(batches["source"].users, batches["target"].users)
    assert alone.sum() == 10
    row = int(alone.nonzero()[0])
    n_target = users_pair.target.n_items
    mine = batches["source"].part(slice(row, row + 1))
    events = model.domains.read("source", mine)
    assert events.labels["source"].all()
    table = model.embed_items()
    cross = model.attend(events.rows, table)
    where = events.before_labels("source")
    model.states("source", events, cross, table, where).square().sum().backward()
    assert model.item_embedding.grad[n_target:].any()


def test_scores_come_from_the_states_that_are_trained(users_pair: DomainPair) -> None:
    model = built(users_pair)
    n_target = users_pair.target.n_items
    batch = batch_of([[n_target + 2, 3, PAD], [1, n_target, 4]], n_target)
    with torch.no_grad():
        expected = model.embed_items()[:n_target] @ states_of(model, batch, "target")[0, 2]
        scores = model.scorer("target")(batch)
    assert torch.allclose(scores[0], expected, atol=1e-5)
    assert scores.shape == (2, n_target)


@pytest.mark.parametrize("make", [Softmax, BPR])
def test_twenty_steps_lower_the_loss(
    users_pair: DomainPair,
    steps: Steps,
    content_of: Callable[[DomainPair], Content],
    make: Callable[[], Objective],
) -> None:
    model = ABXI(dim=8, rank=2, dropout=0.1)
    (taken,) = steps(model, users_pair, content_of(users_pair), make_objective=make)
    assert taken[-1] < 0.9 * taken[0]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"rank": 0}, r"transfer.rank must be >= 1 and <= transfer.dim, got 0"),
        ({"alpha": 1.5}, r"transfer.alpha must be >= 0 and < 1, got 1.5"),
        ({"dim": 7}, r"transfer.dim must be divisible by transfer.n_heads, got 7 and 2"),
    ],
)
def test_settings_out_of_range(wrong: Mapping[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        ABXI(**wrong)
