"""Large tables trained row by row: the weights of AdamW, at the cost of the rows of a batch."""

from copy import deepcopy

import lightning as L
import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from crossrec.data.pair import DomainPair
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.tables import inner_products, rows, whole
from crossrec.training import recommender
from crossrec.training.fitting import build_model, fit_source
from crossrec.training.objectives import BPR
from crossrec.training.row_wise import RowWiseAdamW

N, DIM = 50, 4


def batches(n: int) -> list[tuple[Tensor, Tensor]]:
    torch.manual_seed(0)
    return [(torch.randint(N, (6, 2)), torch.randn(6, DIM)) for _ in range(n)]


def loss(table: nn.Parameter, codes: Tensor, user: Tensor) -> Tensor:
    scores = inner_products(user, table, codes)
    return -(scores[:, 0] - scores[:, 1]).sigmoid().log().mean() + rows(table, codes).mean()


@pytest.mark.parametrize("decay", [0.0, 0.5])
def test_ends_where_adamw_ends(decay: float) -> None:
    start = torch.randn(N, DIM)
    lazy, eager = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = RowWiseAdamW([lazy], [lazy], 1e-2, decay)
    reference = torch.optim.AdamW([eager], lr=1e-2, weight_decay=decay)
    for codes, user in batches(600):
        for table, steps in ((lazy, optimizer), (eager, reference)):
            steps.zero_grad()
            loss(table, codes, user).backward()
            steps.step()
    assert not torch.allclose(lazy, eager, atol=1e-4)  # some rows have not been read for a while
    assert torch.allclose(whole(lazy), eager, atol=2e-5)
    assert not torch.allclose(eager, start, atol=0.1)


def test_a_row_without_a_gradient_for_long_is_only_decayed() -> None:
    table = nn.Parameter(torch.ones(2, 1))
    optimizer = RowWiseAdamW([table], [table], 0.1, 0.1)
    for _ in range(50):
        optimizer.zero_grad()
        rows(table, torch.tensor([0])).sum().backward()
        optimizer.step()
    assert table[1].item() == 1.0
    optimizer.read_all()
    assert table[1].item() == pytest.approx(0.99**50, rel=1e-6)


def test_it_goes_on_from_its_state() -> None:
    def steps(
        table: nn.Parameter, optimizer: RowWiseAdamW, drawn: list[tuple[Tensor, Tensor]]
    ) -> None:
        for codes, user in drawn:
            optimizer.zero_grad()
            loss(table, codes, user).backward()
            optimizer.step()

    drawn = batches(40)
    table = nn.Parameter(torch.randn(N, DIM))
    optimizer = RowWiseAdamW([table], [table], 1e-2, 0.1)
    steps(table, optimizer, drawn[:20])
    again = nn.Parameter(table.detach().clone())
    resumed = RowWiseAdamW([again], [again], 1e-2, 0.1)
    resumed.load_state_dict(deepcopy(optimizer.state_dict()))
    steps(table, optimizer, drawn[20:])
    steps(again, resumed, drawn[20:])
    assert torch.equal(whole(again), whole(table))


def test_a_dense_gradient_is_a_step_of_adamw() -> None:
    start = torch.randn(N, DIM)
    lazy, eager = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    optimizer = RowWiseAdamW([lazy], [lazy], 1e-2, 0.1)
    reference = torch.optim.AdamW([eager], lr=1e-2, weight_decay=0.1)
    weight = torch.randn(N, DIM) * (torch.arange(N) % 3 > 0)[:, None]  # a third has no gradient
    for _ in range(30):
        for table, steps in ((lazy, optimizer), (eager, reference)):
            steps.zero_grad()
            (weight * whole(table)).square().sum().backward()
            steps.step()
    assert torch.allclose(whole(lazy), eager, atol=2e-5)


@pytest.mark.parametrize("averaging", [0, 0.9])
def test_a_training_through_lightning_ends_with_the_same_weights(
    small_pair: DomainPair, monkeypatch: pytest.MonkeyPatch, averaging: float
) -> None:
    weights = []
    for from_rows in (1, 10**9):
        monkeypatch.setattr(recommender, "FROM_ROWS", from_rows)
        model = build_model(MatrixFactorization, small_pair.source, None, 0)
        settings = {
            "events_per_batch": 8,
            "learning_rate": 1e-2,
            "weight_decay": 0.1,
            "averaging": averaging,
            "patience": 3,
        }
        account = fit_source(model, small_pair.source, BPR(), three_epochs, settings, 0)
        assert account["steps"] > 10
        assert not any(hasattr(p, "row_wise") for p in model.parameters())
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))
    apart = (weights[0] - weights[1]).abs()
    assert apart.max() < 1e-3  # a tenth of a step, where gradients are as small as eps
    assert apart.median() < 1e-6


def three_epochs(callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=3,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


class Largest(TorchDispatchMode):
    """The most numbers that any operation gives back new, whatever it reads."""

    def __init__(self) -> None:
        super().__init__()
        self.size = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        out = func(*args, **(kwargs or {}))
        new = isinstance(out, Tensor) and not out.is_sparse and out._base is None
        if new and not any(out is a for a in args):
            self.size = max(self.size, out.numel())
        return out


def test_a_step_makes_nothing_of_the_size_of_the_table() -> None:
    table = nn.Parameter(torch.randn(20_000, DIM))
    optimizer = RowWiseAdamW([table], [table], 1e-2, 0.1)
    with Largest() as most:
        for codes, user in batches(3):
            optimizer.zero_grad()
            loss(table, codes, user).backward()
            optimizer.step()
    assert 0 < most.size <= 1024  # the sums; a batch has 12 rows of 4
