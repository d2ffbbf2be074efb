"""Splits that know a user's past, by hand and for any interactions: exact parts, what is last."""

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crossrec.data import splits
from crossrec.data.columns import ITEM, POSITION, SPLIT, TIMESTAMP, USER
from crossrec.errors import UserError

Row = tuple[str, str, int | None, int | None]


def table(rows: list[Row]) -> pl.DataFrame:
    schema = {USER: pl.String, ITEM: pl.String, TIMESTAMP: pl.Int64, POSITION: pl.Int64}
    return pl.DataFrame(rows, schema=schema, orient="row")


def parts(frame: pl.DataFrame) -> dict[tuple[str, str], str]:
    return {(user, item): part for user, item, part in frame.select(USER, ITEM, SPLIT).iter_rows()}


def of_one_user(n_events: int) -> pl.DataFrame:
    return table([("u", str(event), event, None) for event in range(n_events)])


@st.composite
def interactions(draw: st.DrawFn) -> pl.DataFrame:
    """Distinct (user, item) pairs with few distinct times, so that ties are common."""
    pairs = draw(
        st.lists(
            st.tuples(st.integers(0, 4), st.integers(0, 9)), min_size=1, max_size=40, unique=True
        )
    )
    times = draw(st.lists(st.integers(0, 5), min_size=len(pairs), max_size=len(pairs)))
    return table(
        [(f"u{u}", f"i{i}", time, None) for (u, i), time in zip(pairs, times, strict=True)]
    )


def test_leave_one_out_by_hand() -> None:
    rows: list[Row] = [("u", "a", 5, None), ("u", "b", 1, None), ("u", "c", 9, None)]
    rows += [("v", "a", 2, None), ("v", "b", 1, None), ("w", "a", 7, None)]
    assert parts(splits.leave_one_out(table(rows), seed=0)) == {
        ("u", "b"): "train",
        ("u", "a"): "valid",
        ("u", "c"): "test",
        ("v", "b"): "valid",
        ("v", "a"): "test",
        ("w", "a"): "test",
    }


def test_leave_one_out_goes_by_position_where_times_are_equal_or_absent() -> None:
    rows: list[Row] = [("u", "a", 5, 2), ("u", "b", 5, 1), ("v", "a", None, 3), ("v", "b", None, 8)]
    found = parts(splits.leave_one_out(table(rows), seed=0))
    assert [found["u", "a"], found["u", "b"]] == ["test", "valid"]
    assert [found["v", "a"], found["v", "b"]] == ["valid", "test"]


def test_leave_one_out_breaks_ties_by_seed_and_not_by_item_id() -> None:
    rows = table([(f"u{user}", item, 1, None) for user in range(300) for item in "abc"])
    first = splits.leave_one_out(rows, seed=0).filter(pl.col(SPLIT) == "test")
    other = splits.leave_one_out(rows, seed=1).filter(pl.col(SPLIT) == "test")
    counts = first[ITEM].value_counts()["count"].to_list()
    assert len(counts) == 3
    assert min(counts) > 70  # of 100 expected
    assert first[ITEM].to_list() != other[ITEM].to_list()


@pytest.mark.parametrize(
    ("n_events", "expected"),
    [(1, (1, 0, 0)), (2, (1, 0, 1)), (3, (1, 1, 1)), (10, (8, 1, 1)), (25, (21, 2, 2))],
)
def test_ratio_rounds_as_recbole_does(n_events: int, expected: tuple[int, int, int]) -> None:
    counts = splits.ratio(of_one_user(n_events), seed=0)[SPLIT].to_list()
    assert tuple(counts.count(part) for part in ("train", "valid", "test")) == expected


def test_ratio_is_not_fooled_by_floating_point() -> None:
    # 0.29 * 100 is 28.999999999999996.
    frame = splits.ratio(of_one_user(100), seed=0, ratios=(0.42, 0.29, 0.29))
    assert frame[SPLIT].to_list().count("test") == 29


def test_ratio_without_validation() -> None:
    frame = splits.ratio(of_one_user(10), seed=0, ratios=(0.8, 0.0, 0.2))
    assert frame[SPLIT].value_counts().sort(SPLIT).rows() == [("test", 2), ("train", 8)]


def test_ratio_draws_every_place_alike_and_by_seed() -> None:
    rows = table([(f"u{u}", f"i{i}", i, None) for u in range(400) for i in range(10)])
    test = splits.ratio(rows, seed=3).filter(pl.col(SPLIT) == "test")
    counts = test[ITEM].value_counts()["count"].to_list()
    assert sum(counts) == 400
    assert all(abs(count - 40) < 25 for count in counts)  # 4 standard deviations of 6
    assert not splits.ratio(rows, seed=4).filter(pl.col(SPLIT) == "test").equals(test)


@pytest.mark.parametrize("ratios", [(0.8, 0.2), (0.8, 0.1, 0.2), (1.1, -0.1, 0.0), (0.0, 0.5, 0.5)])
def test_ratio_refuses_bad_ratios(ratios: tuple[float, ...]) -> None:
    with pytest.raises(UserError, match="sum to 1"):
        splits.ratio(of_one_user(3), seed=0, ratios=ratios)


def test_temporal_by_hand_keeps_an_instant_together() -> None:
    times = [1, 2, 3, 4, 5, 6, 7, 8, 9, 9]
    rows = table([(f"u{place}", "a", time, None) for place, time in enumerate(times)])
    frame = splits.temporal(rows, seed=0, valid_share=0.2, test_share=0.1)
    assert frame[SPLIT].to_list() == ["train"] * 7 + ["valid"] + ["test"] * 2


@pytest.mark.parametrize(
    ("rows", "arguments", "message"),
    [
        ([("u", "a", 1, None), ("u", "b", None, None)], {}, "1 of 2 have none"),
        ([("u", str(i), 7, None) for i in range(9)], {}, "share one timestamp"),
        ([("u", "a", 1, None), ("u", "b", 2, None)], {}, "at least 3"),
        ([("u", "a", 1, None)], {"valid_share": 0.5, "test_share": 0.5}, "less than 1"),
    ],
)
def test_temporal_refusals(rows: list[Row], arguments: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        splits.temporal(table(rows), seed=0, **arguments)


@settings(max_examples=60, deadline=None)
@given(interactions(), st.integers(0, 10**6))
def test_temporal_parts_do_not_overlap_in_time(frame: pl.DataFrame, seed: int) -> None:
    try:
        done = splits.temporal(frame, seed, valid_share=0.2, test_share=0.2)
    except UserError:
        return
    spans = {part: done.filter(pl.col(SPLIT) == part)[TIMESTAMP] for part in ("train", "valid")}
    assert spans["train"].max() < spans["valid"].min()
    assert spans["valid"].max() < done.filter(pl.col(SPLIT) == "test")[TIMESTAMP].min()


@settings(max_examples=60, deadline=None)
@given(interactions(), st.integers(0, 10**6), st.sampled_from([splits.leave_one_out, splits.ratio]))
def test_parts_are_exact_and_depend_on_no_other_row(
    frame: pl.DataFrame, seed: int, split: object
) -> None:
    done = split(frame, seed=seed)
    assert_frame_equal(done.drop(SPLIT), frame)  # nothing lost, nothing moved
    assert set(done[SPLIT]) <= {"train", "valid", "test"}
    shuffled = frame.sample(fraction=1.0, shuffle=True, seed=seed)
    assert parts(split(shuffled, seed=seed)) == parts(done)
    one_user = frame.filter(pl.col(USER) == frame[USER][0])
    assert parts(split(one_user, seed=seed)).items() <= parts(done).items()


@settings(max_examples=60, deadline=None)
@given(interactions(), st.integers(0, 10**6))
def test_leave_one_out_holds_out_the_last_of_each_user(frame: pl.DataFrame, seed: int) -> None:
    for (_,), mine in splits.leave_one_out(frame, seed).group_by([USER]):
        by_part = {part: mine.filter(pl.col(SPLIT) == part)[TIMESTAMP] for part in set(mine[SPLIT])}
        assert len(by_part["test"]) == 1
        assert len(by_part.get("valid", [])) == (len(mine) > 1)
        assert by_part["test"][0] == mine[TIMESTAMP].max()
        if len(mine) > 2:
            assert by_part["train"].max() <= by_part["valid"][0]


def test_few_shot_by_hand() -> None:
    frame = table([("u", str(time), time, None) for time in range(6)] + [("v", "0", 4, None)])
    assert parts(splits.few_shot(frame, seed=0, k=2)) == {
        ("u", "2"): "train",
        ("u", "3"): "train",
        ("u", "4"): "valid",
        ("u", "5"): "test",
        ("v", "0"): "test",
    }
    assert set(parts(splits.few_shot(frame, seed=0, k=0)).values()) == {"valid", "test"}


def test_few_shot_refuses_a_negative_number() -> None:
    with pytest.raises(UserError, match="k must be a whole number >= 0, got -1"):
        splits.few_shot(of_one_user(3), seed=0, k=-1)


@settings(max_examples=60, deadline=None)
@given(interactions(), st.integers(0, 10**6), st.integers(0, 6))
def test_few_shot_is_leave_one_out_less_the_early_train_events(
    frame: pl.DataFrame, seed: int, k: int
) -> None:
    whole, few = splits.leave_one_out(frame, seed), splits.few_shot(frame, seed, k)
    mine = parts(few).items()
    assert mine <= parts(whole).items()
    assert {p for p in parts(whole).items() if p[1] != "train"} <= mine
    assert mine <= parts(splits.few_shot(frame, seed, k + 1)).items()
    n_train = (whole[SPLIT] == "train").to_numpy()
    of_user = whole.filter(n_train).group_by(USER).len()["len"].to_list()
    assert sum(part == "train" for _, part in mine) == sum(min(k, n) for n in of_user)
    assert [row for row in frame.rows() if row in few.drop(SPLIT).rows()] == few.drop(SPLIT).rows()
