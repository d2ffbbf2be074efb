"""Cold users and items: exact counts, no event on the wrong side, nesting, and what is refused."""

from collections.abc import Callable

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crossrec.data import splits
from crossrec.data.columns import IN_SOURCE, ITEM, POSITION, SPLIT, TIMESTAMP, USER
from crossrec.data.splits import cold
from crossrec.errors import UserError


def table(pairs: list[tuple[int, int]]) -> pl.DataFrame:
    """Events of (user, item) pairs; users below 100 have source events."""
    return pl.DataFrame(
        {
            USER: [f"u{user}" for user, _ in pairs],
            ITEM: [f"i{item}" for _, item in pairs],
            TIMESTAMP: list(range(len(pairs))),
            POSITION: pl.Series([None] * len(pairs), dtype=pl.Int64),
            IN_SOURCE: [user < 100 for user, _ in pairs],
        }
    )


def events(n_users: int, n_alone: int = 0) -> pl.DataFrame:
    """Three events each of users with source events and of users without."""
    users = [*range(n_users), *range(100, 100 + n_alone)]
    return table([(user, (user + place) % 7) for user in users for place in range(3)])


def ids(frame: pl.DataFrame, column: str, part: str) -> set[str]:
    return set(frame.filter(pl.col(SPLIT) == part)[column])


@st.composite
def interactions(draw: st.DrawFn) -> pl.DataFrame:
    pairs = st.tuples(st.integers(80, 119), st.integers(0, 30))
    return table(draw(st.lists(pairs, min_size=1, max_size=80)))


@pytest.mark.parametrize(
    ("n_users", "beta", "n_test", "n_valid"),
    # floor(beta * n) in test, floor(0.1 * remaining) in valid
    [(50, 0.2, 10, 4), (50, 0.5, 25, 2), (50, 0.8, 40, 1), (23, 0.2, 4, 1), (100, 0.29, 29, 7)],
)
def test_cold_users_counts(n_users: int, beta: float, n_test: int, n_valid: int) -> None:
    done = splits.cold_users(events(n_users, n_alone=9), seed=0, beta=beta)
    assert len(ids(done, USER, "test")) == n_test
    assert len(ids(done, USER, "valid")) == n_valid
    assert len(ids(done, USER, "train")) == n_users + 9 - n_test - n_valid


def test_cold_users_have_source_events_and_lose_all_their_target_events() -> None:
    done = splits.cold_users(events(60, n_alone=40), seed=0, beta=0.5)
    by_user = done.group_by(USER).agg(pl.col(SPLIT).n_unique(), pl.col(IN_SOURCE).all())
    assert by_user[SPLIT].to_list() == [1] * 100
    held_out = ids(done, USER, "test") | ids(done, USER, "valid")
    assert set(by_user.filter(~pl.col(IN_SOURCE))[USER]).isdisjoint(held_out)


def test_cold_users_are_nested_over_beta_and_follow_the_seed() -> None:
    cold = [
        ids(splits.cold_users(events(90), seed=1, beta=beta), USER, "test")
        for beta in (0.1, 0.2, 0.5, 0.8)
    ]
    assert cold[0] < cold[1] < cold[2] < cold[3]
    assert ids(splits.cold_users(events(90), seed=2, beta=0.2), USER, "test") != cold[1]


def test_cold_users_are_drawn_alike() -> None:
    # Ten users, half of them cold: each is so in 200 of 400 seeds, give or take 10 a deviation.
    drawn = pl.concat(
        pl.Series(sorted(ids(splits.cold_users(events(10), seed, 0.5, 0.0), USER, "test")))
        for seed in range(400)
    )
    counts = drawn.value_counts()["count"].to_list()
    assert len(counts) == 10
    assert 155 < min(counts) <= max(counts) < 245


def test_equal_draws_go_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "draw", lambda ids, seed: np.zeros(len(ids), dtype=np.uint64))
    for seed in range(5):
        shuffled = events(10).sample(fraction=1, shuffle=True, seed=seed)
        assert ids(splits.cold_users(shuffled, 0, 0.2, 0.0), USER, "test") == {"u0", "u1"}


def test_a_user_who_has_gone_leaves_the_others_where_they_were() -> None:
    frame = events(50)
    cold = ids(splits.cold_users(frame, seed=0, beta=0.2), USER, "test")
    gone = min(ids(splits.cold_users(frame, seed=0, beta=0.2), USER, "train"))
    # floor(0.205 * 49) is the same 10 users.
    fewer = frame.filter(pl.col(USER) != gone)
    assert ids(splits.cold_users(fewer, seed=0, beta=0.205), USER, "test") == cold


def test_cold_users_without_validation() -> None:
    done = splits.cold_users(events(10), seed=0, beta=0.2, valid_share=0.0)
    assert set(done[SPLIT]) == {"train", "test"}


@pytest.mark.parametrize(
    ("frame", "arguments", "message"),
    [
        (events(10).drop(IN_SOURCE), {}, "in_source.*source_function"),
        (events(0, n_alone=5), {}, "share none"),
        (events(4), {}, r"beta=0.2 of 4 users .* is none; raise it to 0.25"),
        (events(10), {}, r"valid_share=0.1 of 8 remaining users .* is none"),
        (events(10), {"beta": 0.0}, "beta"),
        (events(10), {"beta": 1.0}, "beta"),
        (events(10), {"beta": float("nan")}, "beta"),
        (events(10), {"valid_share": -0.1}, "valid_share"),
    ],
)
def test_cold_users_refusals(
    frame: pl.DataFrame, arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(UserError, match=message):
        splits.cold_users(frame, seed=0, **arguments)


def test_cold_items_counts_and_no_train_event() -> None:
    frame = table([(user, item) for user in range(9) for item in range(25) if (user + item) % 3])
    done = splits.cold_items(frame, seed=0, test_share=0.2, valid_share=0.1)
    parts = {part: ids(done, ITEM, part) for part in ("train", "valid", "test")}
    assert {part: len(items) for part, items in parts.items()} == {
        "train": 18,
        "valid": 2,
        "test": 5,
    }
    assert set.union(*parts.values()) == set(frame[ITEM])  # 18 + 2 + 5: they do not overlap


def test_cold_items_are_nested_over_the_share() -> None:
    frame = table([(item % 9, item) for item in range(90)])
    cold = [
        ids(splits.cold_items(frame, seed=1, test_share=share), ITEM, "test")
        for share in (0.1, 0.3, 0.6)
    ]
    assert cold[0] < cold[1] < cold[2]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"test_share": 0.0}, "above 0"),
        ({"test_share": 0.6, "valid_share": 0.4}, "less than 1"),
        ({"valid_share": -0.1}, "valid_share at least 0"),
        ({"test_share": 0.01}, r"test_share=0.01 of 25 items is none; raise it to 0.04"),
    ],
)
def test_cold_items_refusals(arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        splits.cold_items(table([(0, item) for item in range(25)]), seed=0, **arguments)


@settings(max_examples=60, deadline=None)
@given(
    interactions(),
    st.integers(0, 10**6),
    st.sampled_from([(splits.cold_users, USER), (splits.cold_items, ITEM)]),
)
def test_what_is_cold_in_one_event_is_cold_in_all(
    frame: pl.DataFrame, seed: int, case: tuple[Callable[..., pl.DataFrame], str]
) -> None:
    split, column = case
    try:
        done = split(frame, seed)
    except UserError:  # too few for one to be drawn
        return
    assert_frame_equal(done.drop(SPLIT), frame)
    assert done.group_by(column).agg(pl.col(SPLIT).n_unique())[SPLIT].max() == 1
