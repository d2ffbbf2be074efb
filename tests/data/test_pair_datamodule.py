"""Batches of two domains at once: the first leads, the other follows without end."""

import numpy as np
import pytest

from crossrec.data.pair import DomainPair
from crossrec.data.pair_datamodule import PairDataModule, PairSampler
from crossrec.data.sequences import BatchSampler


def samplers(pair: DomainPair, sizes: tuple[int, int]) -> dict[str, BatchSampler]:
    domains = {"target": pair.target, "source": pair.source}
    return {
        side: BatchSampler(domain.train, 1, size, seed=0)
        for (side, domain), size in zip(domains.items(), sizes, strict=True)
    }


def epoch(sampler: PairSampler, number: int) -> list[tuple[list[int], ...]]:
    sampler.set_epoch(number)
    return [tuple(part.tolist() for part in step) for step in sampler]


@pytest.mark.parametrize("sizes", [(7, 7), (50, 7), (7, 90)])
def test_an_epoch_is_a_pass_over_the_first(small_pair: DomainPair, sizes: tuple[int, int]) -> None:
    sampler = PairSampler(samplers(small_pair, sizes))
    taken = epoch(sampler, 0)
    of_target = [window for target, _ in taken for window in target]
    assert sorted(of_target) == list(range(len(small_pair.target.train_events()[0])))
    assert len(taken) == len(sampler)


@pytest.mark.parametrize("sizes", [(7, 7), (50, 7), (7, 90)])
def test_the_other_side_goes_on_from_epoch_to_epoch(
    small_pair: DomainPair, sizes: tuple[int, int]
) -> None:
    sampler = PairSampler(samplers(small_pair, sizes))
    n_events = len(small_pair.source.train_events()[0])
    windows: list[int] = []
    number = 0
    while len(windows) < 2 * n_events:
        windows += [window for _, source in epoch(sampler, number) for window in source]
        number += 1
    for start in (0, n_events):
        assert sorted(windows[start : start + n_events]) == list(range(n_events))
    assert windows[:n_events] != windows[n_events : 2 * n_events]


def test_an_epoch_depends_on_its_number_alone(small_pair: DomainPair) -> None:
    one, other = (PairSampler(samplers(small_pair, (11, 5))) for _ in range(2))
    in_order = [epoch(one, number) for number in range(4)]
    assert epoch(other, 3) == in_order[3]


def test_batches_hold_the_events_of_each_side(small_pair: DomainPair) -> None:
    domains = {"target": small_pair.target, "source": small_pair.source}
    data = PairDataModule(domains, small_pair.target, 1, events_per_batch=16, seed=0)
    for batch in data.train_dataloader():
        for side, domain in domains.items():
            users, items, _ = domain.train_events()
            pairs = set(zip(users.tolist(), items.tolist(), strict=True))
            mine = batch[side]
            assert mine.items.shape[1] == 1
            assert {
                (user, item)
                for user, item in zip(mine.users.tolist(), mine.items[:, 0].tolist(), strict=True)
            } <= pairs
    (histories, rows) = next(iter(data.val_dataloader()))
    assert np.array_equal(histories.users, small_pair.target.valid.users[rows])
