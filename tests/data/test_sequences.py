"""Slices of flat sequences, and batches that cover every training event once."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import PAD
from crossrec.data.datamodule import Windows
from crossrec.data.sequences import BatchSampler, HeldOut, Sequences


def sequences(lengths: list[int], own: list[bool] | None = None) -> Sequences:
    """Sequence s has the items 100 s, 100 s + 1, ...; all own unless said otherwise."""
    offsets = torch.tensor([0, *np.cumsum(lengths)])
    items = torch.tensor([100 * s + i for s, n in enumerate(lengths) for i in range(n)]).long()
    return Sequences(
        users=torch.arange(len(lengths)),
        offsets=offsets,
        items=items,
        ratings=torch.full((len(items),), 3.0),
        own=torch.ones(len(items), dtype=torch.bool) if own is None else torch.tensor(own),
    )


def test_last_events_are_padded_on_the_right() -> None:
    batch = sequences([4, 1, 0]).last(torch.tensor([0, 1, 2]), max_history=3)
    assert batch.items.tolist() == [[1, 2, 3], [100, PAD, PAD], [PAD, PAD, PAD]]
    assert batch.own.tolist() == [[True] * 3, [True, False, False], [False] * 3]


def test_a_batch_of_empty_histories_has_no_columns() -> None:
    batch = sequences([0, 0]).last(torch.tensor([0, 1]), max_history=3)
    assert batch.items.shape == (2, 0)


@settings(max_examples=50, deadline=None)
@given(
    lengths=st.lists(st.integers(0, 9), min_size=1, max_size=12),
    max_history=st.sampled_from([1, 2, 3, 50]),
    budget=st.integers(1, 20),
    epoch=st.integers(0, 3),
)
def test_an_epoch_visits_every_own_event_once(
    lengths: list[int], max_history: int, budget: int, epoch: int
) -> None:
    data = sequences(lengths)
    sampler = BatchSampler(data, max_history, budget, seed=7)
    sampler.set_epoch(epoch)
    seen = []
    for chosen in sampler:
        rows, starts, sizes = (
            torch.from_numpy(a[chosen]) for a in (sampler.rows, sampler.starts, sampler.lengths)
        )
        batch = data.batch(rows, starts, sizes)
        assert batch.items.numel() <= max(budget, max_history)
        seen += batch.items[batch.own].tolist()
    # Windows may overlap only in events before the oldest window's start: there are none.
    assert sorted(seen) == sorted(data.items.tolist())


def test_windows_without_an_own_event_are_left_out() -> None:
    data = sequences([2, 2], own=[False, False, True, False])
    sampler = BatchSampler(data, 2, 100, seed=0)
    assert sampler.rows.tolist() == [1]


def test_order_depends_on_seed_and_epoch_alone() -> None:
    data = sequences([1] * 40)

    def order(seed: int, epoch: int) -> list[int]:
        sampler = BatchSampler(data, 1, 1, seed)
        sampler.set_epoch(epoch)
        return [int(window) for batch in sampler for window in batch]

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


@pytest.mark.parametrize("world_size", [1, 2, 3, 5])
def test_ranks_share_every_batch(world_size: int) -> None:
    """What they take is all of it, once, and the mean over ranks of their means that of all."""
    data = sequences([3, 1, 4, 1, 5, 9, 2, 6])
    sampler = BatchSampler(data, 4, 12, 0)
    whole = Windows(data, sampler)
    parts = [Windows(data, sampler, rank, world_size) for rank in range(world_size)]
    assert any(len(numbers) < 5 for numbers in sampler)
    for numbers in sampler:
        batch = whole[torch.from_numpy(numbers)]
        mine = [part[torch.from_numpy(numbers)] for part in parts]
        counted = [one.items[one.own].float() for one in mine if one.share]
        assert sorted(torch.cat(counted).tolist()) == sorted(batch.items[batch.own].tolist())
        means = [one.share * one.items[one.own].float().mean() for one in mine]
        assert sum(means) / world_size == pytest.approx(batch.items[batch.own].float().mean())
        assert {one.n_whole or len(one.users) for one in mine} == {len(numbers)}
        assert mine[-1].to("cpu").share == mine[-1].share


@pytest.fixture
def held_out() -> HeldOut:
    return HeldOut(
        history=sequences([2, 1, 1]),
        truth_offsets=torch.tensor([0, 1, 3, 4]),
        truth_items=torch.tensor([5, 6, 7, 8]),
        truth_ratings=torch.tensor([1.0, 2.0, 3.0, 4.0]),
        seen_offsets=torch.tensor([0, 2, 2, 3]),
        seen_items=torch.tensor([0, 1, 2]),
        n_train=torch.tensor([2, 0, 1]),
    )


def test_queries_of_chosen_rows(held_out: HeldOut) -> None:
    queries = held_out.queries(torch.tensor([2, 1]))
    assert queries.users.tolist() == [2, 1]
    assert queries.truth_items.tolist() == [8, 6, 7]
    assert queries.truth_offsets.tolist() == [0, 1, 3]
    assert queries.seen_items.tolist() == [2]
    assert queries.seen_offsets.tolist() == [0, 1, 1]


def test_truths_of_chosen_rows(held_out: HeldOut) -> None:
    position, item, rating = held_out.truths(torch.tensor([1, 0]))
    assert position.tolist() == [0, 0, 1]
    assert item.tolist() == [6, 7, 5]
    assert rating.tolist() == [2.0, 3.0, 1.0]
