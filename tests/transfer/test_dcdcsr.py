"""DCDCSR: a benchmark worked by hand, axes laid over one another, and a map that is learned."""

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.pair import DomainPair
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.training.objectives import BPR, Logistic, Objective, Rating, Softmax
from crossrec.training.pair_training import build_pair
from crossrec.transfer.pair_model import Phase
from crossrec.transfer.preferences.dcdcsr import DCDCSR, aligned, benchmark

NO_CONTENT = Content(None, None, None)
Steps = Callable[..., list[list[float]]]


@pytest.mark.parametrize("make", [Softmax, BPR, Logistic, Rating])
@pytest.mark.parametrize("which", ["users_pair", "items_pair"])
def test_twenty_steps_lower_the_loss_of_each_phase(
    request: pytest.FixtureRequest, steps: Steps, make: Callable[[], Objective], which: str
) -> None:
    pair = request.getfixturevalue(which)
    phases = steps(DCDCSR(dim=8), pair, make_objective=make, learning_rate=0.05)
    *learned, refitted = phases
    assert len(learned) == 3
    for losses in learned:
        assert losses[-1] < 0.9 * losses[0]
    assert refitted[-1] < refitted[0]


def test_benchmark_by_hand() -> None:
    """Rows 0, 1 are shared and lie alike in both domains, row 2 is the target's alone.

    Row 0 has 3 events there and 1 here: it stays where both agree. Row 1's other value is told
    apart by its weights. Row 2 is nearest to source row 1 alone (k = 1).
    """
    source = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    target = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 5.0]])
    shared = torch.tensor([[0, 0], [1, 1]])
    got = benchmark(
        source, target, torch.tensor([3.0, 2.0]), torch.tensor([1.0, 2.0, 6.0]), shared, 1
    )
    assert torch.allclose(got[:2], target[:2], atol=1e-6)
    assert torch.allclose(got[2], torch.tensor([0.0, (2 * 1 + 6 * 5) / 8]), atol=1e-6)


def test_the_weights_are_the_events() -> None:
    """Twice the vector here: c = (w (1 * 2) + w (1 * 2)) / (w 1 + w 1) = 2 by alignment, so that
    both agree; then row 1 is moved and must come out between, by 3 to 1."""
    source = torch.eye(2)
    target = 2 * torch.eye(2)
    counts = torch.tensor([3.0, 1e6]), torch.tensor([1.0, 1e6])
    moved = target.clone()
    moved[0, 0] = 6.0  # known by one event: it weighs next to nothing in the alignment
    got = benchmark(source, moved, *counts, torch.tensor([[0, 0], [1, 1]]), 1)
    assert got[0, 0].item() == pytest.approx((3 * 2 + 1 * 6) / 4, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), scale=st.floats(0.1, 10))
def test_turned_axes_are_turned_back(seed: int, scale: float) -> None:
    generator = torch.Generator().manual_seed(seed)
    target = torch.randn(12, 4, generator=generator)
    turned, _ = torch.linalg.qr(torch.randn(4, 4, generator=generator))
    source = target @ turned / scale
    turn, found = aligned(source, target, torch.rand(12, generator=generator) + 0.1)
    assert torch.allclose(turn @ turn.T, torch.eye(4), atol=1e-4)
    assert found.item() == pytest.approx(scale, rel=1e-3)
    assert torch.allclose(source @ turn * found, target, atol=1e-3)


def test_whoever_knows_nothing_says_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    source, target = torch.randn(5, 3, generator=generator), torch.randn(6, 3, generator=generator)
    shared = torch.tensor([[0, 0], [1, 1], [2, 2], [3, 3]])
    source_counts, target_counts = torch.ones(5), torch.ones(6)
    source_counts[0], target_counts[1] = 0, 0
    got = benchmark(source, target, source_counts, target_counts, shared, 2)
    assert torch.equal(got[0], target[0])
    weight = torch.tensor([0.0, 0.0, 0.5, 0.5])
    turn, scale = aligned(source[:4], target[:4], weight)
    assert torch.allclose(got[1], source[1] @ turn * scale, atol=1e-6)
    silent = benchmark(source, target, torch.zeros(5), target_counts, shared, 2)
    assert torch.equal(silent, target)


@pytest.mark.parametrize("which", ["users_pair", "items_pair"])
def test_with_the_identity_for_a_network_it_is_matrix_factorization(
    request: pytest.FixtureRequest, which: str
) -> None:
    pair: DomainPair = request.getfixturevalue(which)
    model = DCDCSR(dim=4, hidden=())
    build_pair(model, pair, NO_CONTENT, seed=0)
    histories = pair.target.train.last(torch.arange(6), 1)
    with torch.no_grad():
        model.target["bias_of_items"][5] = 0.25
        mapped = model.scorer("target")(histories)
        model.get_parameter("network.0.weight").copy_(torch.eye(4))
        model.get_parameter("network.0.bias").zero_()
        same = model.scorer("target")(histories)
        user, item = model.target["of_users"][histories.users], model.target["of_items"]
        assert torch.allclose(same, user @ item.T + model.target["bias_of_items"].T, atol=1e-7)
        assert not torch.allclose(mapped, same, atol=1e-4)


def test_who_is_cold_in_the_target_is_mapped_from_the_source(users_pair: DomainPair) -> None:
    model = DCDCSR(dim=4)
    build_pair(model, users_pair, NO_CONTENT, seed=0)
    cold, warm = users_pair.shared_users[:2].tolist()
    model.target_counts[cold] = 0
    factors = model.target["of_users"]
    before = factors.detach().clone()
    model.enter(model.phases[2])
    assert torch.equal(factors[cold], model.benchmark[cold])
    assert not torch.equal(factors[cold], before[cold])
    assert torch.equal(factors[warm], before[warm])


class Watched(DCDCSR):
    """Remembers all parameters as each phase found them."""

    def enter(self, phase: Phase) -> None:
        super().enter(phase)
        now = {name: value.detach().clone() for name, value in self.named_parameters()}
        self.found = [*getattr(self, "found", []), now]


@pytest.mark.parametrize(("which", "by"), [("users_pair", "users"), ("items_pair", "items")])
def test_what_moves_in_each_phase(
    request: pytest.FixtureRequest, steps: Steps, which: str, by: str
) -> None:
    model = Watched(dim=4)
    steps(model, request.getfixturevalue(which))
    ends = [*model.found[1:], dict(model.named_parameters())]
    moved = [
        {name for name in start if not torch.equal(start[name], end[name])}
        for start, end in zip(model.found, ends, strict=True)
    ]
    other = "items" if by == "users" else "users"
    assert {name.split(".")[0] for name in moved[0]} == {"source"}
    assert {name.split(".")[0] for name in moved[1]} == {"target"}
    assert {name.split(".")[0] for name in moved[2]} == {"network"}
    assert f"target.of_{other}" in moved[3]
    assert moved[3] <= {f"target.of_{other}", "target.bias_of_users", "target.bias_of_items"}


@pytest.mark.parametrize(
    ("k", "hidden", "said"),
    [
        (0, (128,), r"transfer.k must be >= 1, got 0"),
        (1, (64, 0), r"transfer.hidden must be widths >= 1, got \[64, 0\]"),
    ],
)
def test_settings_out_of_range(k: int, hidden: Sequence[int], said: str) -> None:
    with pytest.raises(UserError, match=said):
        DCDCSR(k=k, hidden=hidden)
