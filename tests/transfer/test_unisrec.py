"""UniSRec: the adapter and the contrastive loss by hand, who is read and trained, and it learns."""

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import last_state
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import PairTraining, build_pair
from crossrec.transfer.content.adapter import Adapter
from crossrec.transfer.content.sequence_encoder import (
    SequenceEncoder,
    contrast,
    drop_events,
    keep_events,
)
from crossrec.transfer.content.unisrec import UniSRec

Steps = Callable[..., list[list[float]]]
ContentOf = Callable[[DomainPair], Content]


def small(**changed: object) -> UniSRec:
    settings = {"dim": 8, "n_layers": 1, "n_heads": 2, "n_experts": 2, "max_history": 12}
    return UniSRec(**(settings | changed))


def built(pair: DomainPair, content_of: ContentOf, **changed: object) -> UniSRec:
    model = small(**changed)
    build_pair(model, pair, content_of(pair), seed=0)
    return model.eval()


def histories(pair: DomainPair) -> Batch:
    """Of five target users who stand in the source, too, where users are shared."""
    return pair.target.valid.history.last(torch.arange(10, 15), 12)


def test_whitening_by_hand() -> None:
    adapter = Adapter(2, 2, n_experts=1, dropout=0.0)
    with torch.no_grad():
        adapter.shift.copy_(torch.tensor([[1.0, 2.0]]))
        adapter.weight.copy_(torch.tensor([[[1.0, 0.0], [2.0, 1.0]]]))
    # (3 - 1, 1 - 2) = (2, -1); 2 * (1, 0) - 1 * (2, 1) = (0, -1)
    assert adapter(torch.tensor([3.0, 1.0])).tolist() == [0.0, -1.0]


@pytest.mark.parametrize("training", [True, False])
def test_one_expert_is_a_linear_map(training: bool) -> None:
    """With one expert the gate is 1, whatever its noise."""
    torch.manual_seed(0)
    adapter = Adapter(5, 3, n_experts=1, dropout=0.0).double().train(training)
    with torch.no_grad():
        for parameter in adapter.parameters():
            parameter.normal_()
    x = torch.randn(7, 5, dtype=torch.float64)
    linear = (x - adapter.shift[0]) @ adapter.weight[0]
    assert torch.allclose(adapter(x), linear, rtol=0, atol=1e-12)


def test_experts_are_mixed_by_their_gates() -> None:
    adapter = Adapter(1, 1, n_experts=2, dropout=0.0).eval()
    with torch.no_grad():
        adapter.weight.copy_(torch.tensor([[[1.0]], [[5.0]]]))
        adapter.gate.copy_(torch.tensor([[0.0, 1.0]]))
    # x = log 3: gates 1/4 and 3/4, so 4 x.
    x = torch.tensor([3.0]).log()
    assert adapter(x).item() == pytest.approx(4 * x.item())
    assert adapter.train()(x).item() != pytest.approx(4 * x.item())


def test_contrast_by_hand() -> None:
    e = torch.eye(2)
    anchor, positive = torch.stack([e[0], e[0], e[1]]), torch.stack([e[0], e[1], e[1]])
    # Scores are 2 where vectors agree, 0 else. Rows 1 and 2 are about the same item.
    loss = contrast(anchor, positive, torch.tensor([7, 9, 9]), temperature=0.5)
    z, two = torch.tensor(0.0), torch.tensor(2.0)
    rows = [
        torch.logsumexp(torch.stack([two, z, z]), 0) - 2,  # itself, and two others
        torch.logsumexp(torch.stack([two, z]), 0) - 0,  # row 2 is left out
        torch.logsumexp(torch.stack([z, two]), 0) - 2,  # row 1 is left out
    ]
    assert loss.item() == pytest.approx(torch.stack(rows).mean().item())


def test_a_hard_negative_is_one_more_candidate_of_its_row() -> None:
    e = torch.eye(2)
    loss = contrast(e, e, torch.tensor([0, 1]), 1.0, hard=e[[0, 0]])
    rows = [2 * torch.tensor(1.0).exp() + 1, torch.tensor(1.0).exp() + 2]
    assert loss.item() == pytest.approx(torch.stack(rows).log().mean().item() - 1)


def test_events_that_are_dropped_leave_no_gap() -> None:
    items = torch.tensor([[5, 6, 7, PAD], [8, 9, PAD, PAD]])
    batch = Batch(torch.tensor([1, 2]), items, items.float(), items != PAD)
    less = keep_events(batch, items % 2 == 1)
    assert less.items.tolist() == [[5, 7, PAD, PAD], [9, PAD, PAD, PAD]]
    assert less.own.tolist() == [[True, True, False, False], [True, False, False, False]]
    assert less.ratings[0, :2].tolist() == [5.0, 7.0]


@settings(max_examples=30)
@given(drop=st.floats(0, 0.999), seed=st.integers(0, 100))
def test_some_events_are_left_of_every_history(drop: float, seed: int) -> None:
    torch.manual_seed(seed)
    lengths, rows = torch.tensor([1, 3, 6, 6]), torch.tensor([True, True, True, False])
    items = torch.arange(6).repeat(4, 1).masked_fill(torch.arange(6) >= lengths[:, None], PAD)
    batch = Batch(torch.arange(4), items, items.float(), items != PAD)
    less = drop_events(batch, drop, rows)
    left = (less.items != PAD).sum(1)
    assert (left >= 1).all()
    assert torch.equal(less.items[3], items[3])
    for row, n in enumerate(left.tolist()):
        assert less.items[row, :n].tolist() == sorted(set(less.items[row, :n].tolist()))
    if drop == 0:
        assert torch.equal(less.items, items)


def test_the_share_of_dropped_events() -> None:
    torch.manual_seed(0)
    items = torch.zeros(200, 50, dtype=torch.int64)
    batch = Batch(torch.arange(200), items, items.float(), items == 0)
    less = drop_events(batch, 0.2, torch.ones(200, dtype=torch.bool))
    assert (less.items == PAD).float().mean().item() == pytest.approx(0.2, abs=0.02)


def test_a_second_view_without_drop_is_the_first(
    users_pair: DomainPair, content_of: ContentOf
) -> None:
    batch = users_pair.source.train.last(torch.arange(6), 4)
    for drop, alike in ((0.0, True), (0.5, False)):
        model = built(users_pair, content_of, drop=drop)
        states = model.encoder(model.vectors("source")[batch.items.clamp(min=0)])
        first = last_state(states, batch.items)
        assert torch.allclose(model.second_view(batch), first, atol=1e-5) == alike


def test_a_state_knows_only_what_came_before() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(8, 2, 2, 0.0, 5).eval()
    events = torch.randn(1, 5, 8)
    later = events.clone()
    later[:, 3:] = 0
    assert torch.allclose(encoder(events)[:, :4], encoder(later)[:, :4], atol=1e-6)
    assert not torch.allclose(encoder(events)[:, 4:], encoder(later)[:, 4:], atol=1e-3)


@pytest.mark.parametrize("name", ["users_pair", "items_pair", "apart_pair"])
@pytest.mark.parametrize("mode", ["inductive", "transductive"])
def test_twenty_steps_lower_the_loss_of_each_phase(
    name: str, mode: str, request: pytest.FixtureRequest, steps: Steps, content_of: ContentOf
) -> None:
    pair = request.getfixturevalue(name)
    pretraining, finetuning = steps(
        small(mode=mode, dropout=0.0, freeze_encoder=False), pair, content_of(pair)
    )
    assert pretraining[-1] < 0.9 * pretraining[0]
    assert finetuning[-1] < 0.9 * finetuning[0]


@pytest.mark.parametrize("make", [BPR, Logistic, Rating])
def test_it_is_tuned_by_any_objective(
    users_pair: DomainPair, steps: Steps, content_of: ContentOf, make: Callable[[], Objective]
) -> None:
    # A small temperature makes large scores, far from any rating.
    model = small(temperature=1.0, mode="transductive")
    _, finetuning = steps(model, users_pair, content_of(users_pair), make)
    assert finetuning[-1] < finetuning[0]


def test_what_moves_in_which_phase(users_pair: DomainPair, content_of: ContentOf) -> None:
    def moving(model: UniSRec, phase: int) -> set[str]:
        PairTraining(model, users_pair, model.phases[phase], Softmax, 0.1, 0.0)
        return {n.split(".")[0] for n, p in model.named_parameters() if p.requires_grad}

    model = built(users_pair, content_of, mode="transductive")
    assert moving(model, 0) == {"adapter", "encoder"}
    assert moving(model, 1) == {"adapter", "ids"}
    free = built(users_pair, content_of, mode="transductive", freeze_encoder=False)
    assert moving(free, 1) == {"adapter", "encoder", "ids"}


def test_pretraining_reads_the_source_alone(users_pair: DomainPair, content_of: ContentOf) -> None:
    pretraining, finetuning = small().phases
    assert (pretraining.reads, pretraining.validates) == (("source",), "source")
    assert (finetuning.reads, finetuning.validates) == (("target",), "target")


@torch.no_grad()
def test_source_events_speak_only_if_they_are_read(
    users_pair: DomainPair, content_of: ContentOf
) -> None:
    batch = histories(users_pair)
    source = batch.items >= users_pair.target.n_items
    assert source.any()
    other = batch.items.masked_fill(source, users_pair.target.n_items)
    for reads, alike in ((True, False), (False, True)):
        scores = built(users_pair, content_of, reads_source=reads).scorer("target")
        changed = scores(replace(batch, items=other))
        assert torch.allclose(scores(batch), changed) == alike


@torch.no_grad()
def test_an_item_is_its_text_unless_its_id_has_a_vector(
    users_pair: DomainPair, content_of: ContentOf
) -> None:
    content = content_of(users_pair)
    assert content.target is not None
    content.target[3] = content.target[2]
    for mode, alike in (("inductive", True), ("transductive", False)):
        model = small(mode=mode)
        build_pair(model, users_pair, content, seed=0)
        scores = model.eval().scorer("target")(histories(users_pair))
        assert torch.equal(scores[:, 2], scores[:, 3]) == alike


@torch.no_grad()
def test_scores_are_cosines_over_the_temperature(
    users_pair: DomainPair, content_of: ContentOf
) -> None:
    model = built(users_pair, content_of, temperature=0.5)
    batch = histories(users_pair)
    table = model.adapter(model.content)
    states = model.encoder(table[batch.items.clamp(min=0)])
    n_events = (batch.items != PAD).sum(1)
    expected = 2 * torch.cosine_similarity(states[0, n_events[0]], table[:18], dim=-1)
    assert torch.allclose(model.scorer("target")(batch)[0], expected, atol=1e-5)
    of_source = users_pair.source.valid.history.last(torch.arange(5), 12)
    assert model.scorer("source")(of_source).shape == (5, 24)


def test_training_and_scoring_agree(users_pair: DomainPair, content_of: ContentOf) -> None:
    """The loss of one event after a history is that of the scores of that history."""
    model = built(users_pair, content_of)
    batch = users_pair.target.train.last(torch.tensor([4]), 12)
    last = batch.own.clone()
    last[:, :-1] = False
    assert last.any()
    loss = model.loss({"target": replace(batch, own=last)}, {"target": Softmax()})
    before = Batch(batch.users, batch.items[:, :-1], batch.ratings[:, :-1], batch.own[:, :-1])
    scores = model.scorer("target")(before)
    expected = torch.nn.functional.cross_entropy(scores, batch.items[:, -1])
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_without_text_there_is_nothing_to_read(users_pair: DomainPair) -> None:
    with pytest.raises(UserError, match=r"transfer=unisrec .* choose an encoder \(encoder=minilm"):
        build_pair(small(), users_pair, Content(None, None, None), seed=0)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"dim": 7}, "transfer.dim must be divisible by transfer.n_heads, got 7, 2"),
        ({"temperature": 0.0}, "transfer.temperature must be > 0, got 0"),
        ({"n_experts": 0}, "transfer.n_experts must be >= 1, got 0"),
        ({"contrast": -1.0}, "transfer.contrast must be >= 0, got -1"),
        ({"drop": 1.0}, "transfer.drop must be >= 0 and < 1, got 1"),
        ({"mode": "both"}, "transfer.mode must be inductive or transductive, got 'both'"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        small(**changed)
