"""Reasons: which item of a history speaks for a recommendation, and what both share."""

import polars as pl
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import BRAND, CATEGORIES, ITEM, PAD, TITLE
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import HeldOut, Sequences
from crossrec.stages.reasons import Explainer


def sequences(histories: list[list[int]], n_items: int) -> Sequences:
    """One a user."""
    items = torch.tensor([item for history in histories for item in history], dtype=torch.int64)
    return Sequences(
        users=torch.arange(len(histories)),
        offsets=torch.tensor([0, *map(len, histories)]).cumsum(0),
        items=items,
        ratings=torch.full((len(items),), torch.nan),
        own=items < n_items,
    )


def explainer(
    histories: list[list[int]],
    train: list[list[int]] | None = None,
    vectors: list[list[float]] | None = None,
    **columns: list[str | None],
) -> Explainer:
    """Four own items, o0 to o3, and two of the context, c4 and c5."""
    known = sequences(histories, 4)
    empty = torch.zeros(1, dtype=torch.int64)
    nobody = HeldOut(
        sequences([], 4), empty, empty[:0], torch.zeros(0), empty, empty[:0], empty[:0]
    )
    ids = pl.DataFrame({ITEM: ["o0", "o1", "o2", "o3", "c4", "c5"]})
    named = {
        name: pl.Series(columns.get(name, [None] * 6), dtype=pl.String)
        for name in (TITLE, BRAND, CATEGORIES)
    }
    items = ids.with_columns(domain=pl.Series(["own"] * 4 + ["context"] * 2), **named)
    domain = Domain(
        "own",
        pl.Series([f"u{user}" for user in range(len(histories))]),
        items[:4].select(ITEM, TITLE),
        2,
        sequences(train if train is not None else histories, 4),
        nobody,
        nobody,
        known,
    )
    return Explainer(domain, items, torch.tensor(vectors) if vectors else None)


AXES = [[1.0, 0.0], [2.0, 2.0], [0.0, 1.0], [0.0, 0.0], [5.0, 0.1], [-1.0, 0.0]]


def test_the_nearest_in_content_speaks() -> None:
    found = explainer([[2, 4], [5], [], [3]], vectors=AXES).explain(
        torch.tensor([[0, 1], [0, 0], [1, 3], [1, 2]])
    )
    # o0 is nearest to c4; o1 at (1, 1) is as far from o2 as from c4, but for the 0.1.
    assert found.because[0].tolist() == [4, 4]
    assert found.because[1].tolist() == [PAD, PAD]  # the opposite is no reason
    assert found.because[2].tolist() == [PAD, PAD]  # no history
    assert found.because[3].tolist() == [PAD, PAD]  # no text
    assert found.lines[0] == 'Because of "c4": its text is the nearest in your history'
    named = explainer([[2, 4]], vectors=AXES).named(torch.tensor([2, 4, PAD]))
    assert named.rows() == [("o2", "own"), ("c4", "context"), (None, None)]


def test_of_equals_the_latest_speaks() -> None:
    twins = [[1.0, 0.0], [1.0, 0.0], [1.0, 0.0], *AXES[3:]]
    assert explainer([[2, 1]], vectors=twins).explain(torch.tensor([[0]])).because.item() == 1
    assert explainer([[1, 2]], vectors=twins).explain(torch.tensor([[0]])).because.item() == 2


def test_without_content_those_speak_whom_users_have_together() -> None:
    train = [[0, 1], [0, 1], [0, 4], [2, 1]]
    found = explainer([[1, 4], [2], [4, 3], []], train).explain(
        torch.tensor([[0, 2], [0, 1], [0, 3], [0, 3]])
    )
    assert found.because.tolist() == [[1, 1], [PAD, 2], [4, PAD], [PAD, PAD]]
    assert found.lines.to_list() == [
        'Because of "o1": others who have it have this, too',
        'Because of "o1": others who have it have this, too',
        "Nothing in your history is like it; users who have it: 3",
        'Because of "o2": others who have it have this, too',
        'Because of "c4": others who have it have this, too',
        "Nothing in your history is like it, and nobody has it yet",
        "Nothing in your history is like it; users who have it: 3",
        "Nothing in your history is like it, and nobody has it yet",
    ]


def test_repeats_in_a_history_count_once() -> None:
    train = [[0, 1, 1, 1], [0, 2], [0, 2]]
    assert explainer([[1, 2]], train).explain(torch.tensor([[0]])).because.item() == 2


def test_what_both_say_rarest_first() -> None:
    titles = ["Copper Kettle &amp; lid", "COPPER pan, kettle", "the Pan", None, "Copper saw", "Oak"]
    one = explainer(
        [[1, 5]],
        vectors=[[1.0, 0.0]] * 2 + AXES[2:],
        **{TITLE: titles, BRAND: ["Acme", "acme", *["Other"] * 4]},
        **{CATEGORIES: ["Home > Tea", "Home > Tea", None, "Home", None, "Home > Tea"]},
    )
    found = one.explain(torch.tensor([[0, 3]]))
    # acme and kettle are of two items; Tea and copper of three; Home of four.
    assert found.lines.to_list() == [
        'Because of "COPPER pan, kettle": both say Acme, Kettle, Copper',
        "Nothing in your history is like it, and nobody has it yet",
    ]
    unnamed = explainer([[3]], vectors=[[1.0, 0.0]] * 6, **{TITLE: titles})
    assert unnamed.explain(torch.tensor([[0]])).lines[0].startswith('Because of "o3": ')


@settings(max_examples=15, deadline=None)
@given(st.booleans(), st.integers(0, 1000))
def test_a_reason_is_always_of_the_users_own_past(
    small_pair: DomainPair, with_content: bool, seed: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    for domain in (small_pair.target, small_pair.source):
        n = domain.n_items + domain.n_context
        vectors = torch.randn(n, 4, generator=generator) if with_content else None
        columns = {name: [None] * n for name in (TITLE, BRAND, CATEGORIES)}
        items = pl.DataFrame(
            {ITEM: [f"i{code}" for code in range(n)], **columns, "domain": ["d"] * n},
            schema_overrides=dict.fromkeys(columns, pl.String),
        )
        n_users = len(domain.known.users)
        lists = torch.randint(domain.n_items, (n_users, 3), generator=generator)
        found = Explainer(domain, items, vectors).explain(lists)
        assert len(found.lines) == 3 * n_users
        assert not found.lines.has_nulls()
        for row in range(n_users):
            events = slice(*domain.known.offsets[row : row + 2].tolist())
            assert set(found.because[row].tolist()) <= {PAD, *domain.known.items[events].tolist()}


@pytest.mark.parametrize("vectors", [None, AXES])
def test_nobody_has_any_history(vectors: list[list[float]] | None) -> None:
    found = explainer([[], []], [], vectors).explain(torch.tensor([[0, 1], [2, 3]]))
    assert (found.because == PAD).all()
    assert found.lines.str.starts_with("Nothing in your history").all()
