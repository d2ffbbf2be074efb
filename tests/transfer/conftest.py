"""Pairs of every kind of overlap, and twenty steps of a method on them."""

from collections.abc import Callable

import lightning as L
import numpy as np
import polars as pl
import pytest
import torch

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.pair import DomainPair, align
from crossrec.data.pair_datamodule import PairDataModule
from crossrec.data.splits import leave_one_out
from crossrec.encoders.content import Content
from crossrec.training.objectives import Objective, Softmax
from crossrec.training.pair_training import PairTraining, build_pair
from crossrec.transfer.pair_model import PairModel, domain_of

N_ITEMS = {"home": 24, "tech": 18}
Make = Callable[[], Objective]
Steps = Callable[..., list[list[float]]]


def make_pair(shared_users: int, shared_items: int) -> DomainPair:
    """Forty users a domain who like the items that are theirs modulo three."""
    generator = np.random.default_rng(1)

    def table(domain: str, first_user: int) -> tuple[str, pl.DataFrame, pl.DataFrame]:
        n = N_ITEMS[domain]
        names = [f"both{i:02}" if i < shared_items else f"{domain}{i:02}" for i in range(n)]
        rows = [
            (f"u{user:02}", names[item], float(generator.integers(1, 6)), int(time), None)
            for user in range(first_user, first_user + 40)
            for item, time in zip(
                generator.permutation(n // 3)[:6] * 3 + user % 3,
                np.sort(generator.choice(1000, 6, replace=False)),
                strict=True,
            )
        ]
        events = pl.DataFrame(
            rows,
            schema={
                USER: pl.String,
                ITEM: pl.String,
                RATING: pl.Float32,
                TIMESTAMP: pl.Int64,
                POSITION: pl.Int64,
            },
            orient="row",
        )
        items = pl.DataFrame({ITEM: names}).with_columns(
            pl.lit(None).cast(pl.String).alias(column) for column in ITEM_COLUMNS[1:]
        )
        return domain, leave_one_out(events, seed=0), items

    return align(table("home", 40 - shared_users), table("tech", 0), "keep", None)


@pytest.fixture(scope="session")
def users_pair() -> DomainPair:
    """Thirty of forty users in both domains, no item."""
    return make_pair(shared_users=30, shared_items=0)


@pytest.fixture(scope="session")
def items_pair() -> DomainPair:
    """Twelve items in both domains, no user."""
    return make_pair(shared_users=0, shared_items=12)


@pytest.fixture(scope="session")
def apart_pair() -> DomainPair:
    """Nothing in both domains."""
    return make_pair(shared_users=0, shared_items=0)


NO_CONTENT = Content(None, None, None)  # what there is without an encoder


@pytest.fixture(scope="session")
def content_of() -> Callable[[DomainPair], Content]:
    """Random content vectors of both catalogs of a pair, six numbers an item."""

    def make(pair: DomainPair) -> Content:
        generator = torch.Generator().manual_seed(0)
        source, target = (
            torch.randn(n, 6, generator=generator)
            for n in (pair.source.n_items, pair.target.n_items)
        )
        return Content(source, target, "random")

    return make


@pytest.fixture
def steps() -> Steps:
    """Build a method and take steps of each phase on the same batch; the losses, phase by phase.

    Arguments: the method, the pair, and content, make_objective, n, learning_rate.
    """

    def run(
        model: PairModel,
        pair: DomainPair,
        content: Content | None = None,
        make_objective: Make = Softmax,
        n: int = 20,
        learning_rate: float = 0.01,
    ) -> list[list[float]]:
        build_pair(model, pair, content or NO_CONTENT, seed=0)
        taken = []
        for phase in model.phases:
            model.enter(phase)
            module = PairTraining(model, pair, phase, make_objective, learning_rate, 0.0)
            optimizer = module.configure_optimizers()
            domains = {side: domain_of(pair, side) for side in phase.reads}
            data = PairDataModule(domains, pair.target, model.max_history, 10_000, seed=0)
            batches = next(iter(data.train_dataloader()))
            losses = []
            model.train()
            for step in range(n + 1):
                L.seed_everything(0, verbose=False)  # the same negatives and dropout each time
                loss = module.model.loss(batches, module.objectives)
                losses.append(float(loss.detach()))
                if step < n:
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
            taken.append(losses)
        return taken

    return run
