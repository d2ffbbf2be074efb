from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossrec.encoders.language_model import open_tokenizer
from crossrec.encoders.token_batches import TokenBatches, plan_batches
from crossrec.encoders.token_targets import NO_TARGET, MaskedTokens, NextToken, mask_tokens


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=60),
    st.integers(1, 40),
    st.integers(0, 2**32 - 1),
)
def test_an_epoch_has_every_text_once_within_the_token_budget(
    lengths: list[int], batch_tokens: int, seed: int
) -> None:
    plan = plan_batches(lengths, 200, batch_tokens, seed)
    assert len(plan) == 200
    assert plan == plan_batches(lengths, 200, batch_tokens, seed)
    for rows in plan:
        assert len(rows) == 1 or len(rows) * max(lengths[row] for row in rows) <= batch_tokens
    seen: Counter[int] = Counter()
    for rows in plan:
        seen.update(rows)
        if max(seen.values()) == min(seen[row] for row in range(len(lengths))):
            break
    assert set(seen) == set(range(len(lengths)))
    assert len(set(seen.values())) == 1


def test_padding_is_rare() -> None:
    lengths = torch.randint(5, 60, (3000,), generator=torch.Generator().manual_seed(0)).tolist()
    plan = plan_batches(lengths, 150, 512, seed=0)
    used = sum(lengths[row] for rows in plan for row in rows)
    padded = sum(len(rows) * max(lengths[row] for row in rows) for rows in plan)
    assert used / padded > 0.95


def test_each_epoch_has_its_own_order() -> None:
    plan = plan_batches([3] * 50, 100, batch_tokens=3, seed=0)
    assert sorted(plan[:50]) == sorted(plan[50:])
    assert plan[:50] != plan[50:]


def test_the_next_token_is_the_target() -> None:
    ids = torch.tensor([[5, 6, 7], [8, 9, 0]])
    attention = torch.tensor([[1, 1, 1], [1, 1, 0]])
    read, targets = NextToken()(ids, attention, [0, 1], torch.Generator())
    assert read.equal(ids)
    assert targets.tolist() == [[6, 7, NO_TARGET], [9, NO_TARGET, NO_TARGET]]


def masked(share: float, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    ids = torch.full((500, 12), 7)
    ordinary = torch.zeros(500, 12, dtype=torch.bool)
    ordinary[:, 1:11] = True
    generator = torch.Generator().manual_seed(seed)
    return (ids, *mask_tokens(ids, ordinary, share, 4, 1000, generator))


@pytest.mark.parametrize(("share", "count"), [(0.15, 2), (0.3, 3), (0.01, 1), (1.0, 10)])
def test_each_text_has_exactly_its_share_of_targets(share: float, count: int) -> None:
    ids, changed, targets = masked(share)
    chosen = targets != NO_TARGET
    assert chosen.sum(dim=1).eq(count).all()
    assert not chosen[:, [0, 11]].any()
    assert targets[chosen].eq(7).all()
    assert changed[~chosen].equal(ids[~chosen])


def test_four_in_five_targets_are_masked_one_random_one_kept() -> None:
    _, changed, targets = masked(1.0)
    seen = changed[targets != NO_TARGET]
    assert 0.78 < (seen == 4).float().mean() < 0.82
    assert 0.08 < (seen == 7).float().mean() < 0.12


def test_masks_follow_the_seed() -> None:
    assert masked(0.3, seed=1)[1].equal(masked(0.3, seed=1)[1])
    assert not masked(0.3, seed=1)[1].equal(masked(0.3, seed=2)[1])


def test_a_text_without_ordinary_tokens_has_no_target() -> None:
    ids = torch.tensor([[2, 3]])
    ordinary = torch.zeros(1, 2, dtype=torch.bool)
    changed, targets = mask_tokens(ids, ordinary, 0.5, 4, 10, torch.Generator().manual_seed(0))
    assert changed.equal(ids)
    assert targets.eq(NO_TARGET).all()


def test_a_batch_depends_on_its_number_alone(tiny_bert: Path) -> None:
    tokenizer = open_tokenizer(tiny_bert)
    tokens = [[2, 5, 6, 3], [2, 7, 3], [2, 8, 9, 10, 3]]
    batches = TokenBatches(tokens, [[0, 2], [1], [0, 2]], MaskedTokens(tokenizer, 0.5), seed=3)
    assert len(batches) == 3
    last = batches[2]
    first = batches[0]
    again = batches[2]
    for name in ("ids", "attention", "targets"):
        assert getattr(again, name).equal(getattr(last, name))
    assert not first[2].equal(last[2])  # the same texts in a later epoch: other masks
    ids, attention, targets, positions, lengths = first
    assert positions is lengths is None
    assert ids.shape == attention.shape == targets.shape == (2, 5)
    assert targets[attention == 0].eq(NO_TARGET).all()
    assert targets[:, 0].eq(NO_TARGET).all()
