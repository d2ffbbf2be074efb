"""A split as a file: what is written, that it comes back, and that nothing else passes for it."""

from functools import partial
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from crossrec.data import splits
from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.errors import UserError

Row = tuple[str, str, float | None, int | None, int | None]
SCHEMA = {
    USER: pl.String,
    ITEM: pl.String,
    RATING: pl.Float32,
    TIMESTAMP: pl.Int64,
    POSITION: pl.Int64,
}
ROWS: list[Row] = [
    ("bob", "007", 5.0, 30, None),
    ("ann", "é,\t", 1.0, 20, None),
    ("ann", "é,\t", 4.0, 20, None),  # the same at the same time with another rating
    ("ann", "007", None, 10, None),
    ("ann", "x", 2.0, 40, None),
]


def table(rows: list[Row]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=SCHEMA, orient="row")


DATA = table(ROWS)
DONE = splits.leave_one_out(DATA, seed=0)


@st.composite
def interactions(draw: st.DrawFn) -> pl.DataFrame:
    """Many repeats, ties and unknown values."""
    values = st.tuples(
        st.sampled_from(["a", "b", "\u00df", "01", "1"]),
        st.sampled_from(["x", "y", "z"]),
        st.sampled_from([None, 1.0, 2.0]),
        st.sampled_from([None, 0, 7]),
        st.sampled_from([None, 3]),
    )
    return table(draw(st.lists(values, min_size=1, max_size=25)))


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    splits.export_split(DONE, tmp_path / "split.parquet", "leave_one_out")
    return tmp_path / "split.parquet"


def test_what_is_written(exported: Path) -> None:
    assert pl.read_parquet(exported).rows() == [
        ("ann", "007", 10, None, "train"),
        ("ann", "x", 40, None, "test"),
        ("ann", "é,\t", 20, None, "train"),  # rated 1
        ("ann", "é,\t", 20, None, "valid"),  # rated 4
        ("bob", "007", 30, None, "test"),
    ]
    metadata = pl.read_parquet_metadata(exported)
    assert metadata["crossrec.split"] == "leave_one_out"
    assert metadata["crossrec.fingerprint"] == splits.split_fingerprint(DONE)


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(interactions(), st.integers(0, 99), st.sampled_from(["leave_one_out", "ratio"]))
def test_round_trip_whatever_the_row_order(
    tmp_path: Path, frame: pl.DataFrame, seed: int, name: str
) -> None:
    # Cleaned tables come in this order; of equal events the row decides.
    frame = frame.sort(USER, TIMESTAMP, POSITION, ITEM, RATING)
    done = getattr(splits, name)(frame, seed)
    splits.export_split(done, tmp_path / "a.parquet", name)
    assert_frame_equal(splits.from_file(frame, 1, tmp_path / "a.parquet"), done)
    shuffled = done.sample(fraction=1.0, shuffle=True, seed=seed)
    halves = pl.concat([shuffled[:3], shuffled[3:]], rechunk=False)
    splits.export_split(halves, tmp_path / "b.parquet", name)
    assert (tmp_path / "a.parquet").read_bytes() == (tmp_path / "b.parquet").read_bytes()
    again = splits.from_file(shuffled.drop(SPLIT), 2, tmp_path / "b.parquet")
    assert_frame_equal(again, done, check_row_order=False)


@pytest.mark.parametrize("ending", [".csv", ".tsv"])
def test_text_files_and_any_order_of_their_rows(tmp_path: Path, ending: str) -> None:
    file = tmp_path / f"split{ending}"
    published = DONE.select(SPLIT, ITEM, USER, TIMESTAMP).reverse()
    # The rows of the repeated event stay in the order of their ratings.
    published = published[[0, 1, 3, 2, 4]].with_columns(position=pl.lit(None, pl.Int64))
    published.write_csv(file, separator="," if ending == ".csv" else "\t")
    assert_frame_equal(splits.from_file(DATA, 0, file), DONE)


def test_pairs_are_enough_where_none_is_repeated(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    unique = DATA.unique([USER, ITEM], keep="first", maintain_order=True)
    done = splits.leave_one_out(unique, seed=0)
    done.select(USER, ITEM, SPLIT).write_csv(file)
    assert_frame_equal(splits.from_file(unique, 0, file), done)


def test_repeats_in_two_parts_need_their_time(tmp_path: Path) -> None:
    file = tmp_path / "split.csv"
    DONE.select(USER, ITEM, SPLIT).write_csv(file)
    with pytest.raises(UserError, match=r"1 rows repeat.*'ann'.*add the column timestamp and"):
        splits.from_file(DATA, 0, file)


def test_events_and_rows_that_have_no_counterpart_are_counted(exported: Path) -> None:
    other = pl.concat([DATA[1:], table([("zoe", "b", 1.0, 1, None), ("zoe", "a", 1.0, 1, None)])])
    with pytest.raises(UserError) as refusal:
        splits.from_file(other.reverse(), 0, exported)
    assert str(refusal.value).startswith(
        f"{exported} is the split of other data: of 6 events 2 are not in the file (the first: "
        "user_id 'zoe', item_id 'a', timestamp 1, position None), of 5 rows of the file 1 are no "
        "event of the data (the first: user_id 'bob', item_id '007', timestamp 30, position None)."
    )
    assert "same cleaning" in str(refusal.value)


def test_an_event_counts_as_often_as_it_is_there(exported: Path) -> None:
    with pytest.raises(UserError, match=r"of 6 events 1 are not in the file .*'bob'.* rows .* 0 "):
        splits.from_file(pl.concat([DATA, DATA[:1]]), 0, exported)
    with pytest.raises(UserError, match=r"of 4 events 0 .*, of 5 rows of the file 1 are no event"):
        splits.from_file(DATA.filter(pl.col(RATING).ne_missing(4.0)), 0, exported)


def test_other_ratings_are_noticed(exported: Path) -> None:
    with pytest.raises(UserError, match="not their ratings"):
        splits.from_file(DATA.with_columns(pl.col(RATING) + 1), 0, exported)


def test_a_split_that_leaves_events_out(tmp_path: Path) -> None:
    file = tmp_path / "few.parquet"
    frame = table([(user, str(time), None, time, None) for user in "uv" for time in range(9)])
    few = splits.few_shot(frame, seed=0, k=2)
    splits.export_split(few, file, "few_shot")
    with pytest.raises(UserError, match=r"of 18 events 10 are not .*missing=drop"):
        splits.from_file(frame, 0, file)
    assert_frame_equal(splits.from_file(frame, 0, file, missing="drop"), few)
    with pytest.raises(UserError, match="1 are no event"):
        splits.from_file(frame[:-1], 0, file, missing="drop")


HEADER = "user_id,item_id,split,timestamp\n"


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.txt", "", "must be a .parquet, .csv or .tsv file"),
        ("a.csv", None, "there is none at /"),
        ("a.csv", "", "is empty"),
        ("a.csv", "user_id,item_id,part\nu,i,test\n", "no column split; found user_id, item_id"),
        ("a.csv", HEADER + "u,i,test,3\nu,j,dev,4\n", "1 rows cannot be used, the first is line 3"),
        ("a.csv", HEADER + "u,,test,3\n,j,test,4\n", "2 rows cannot be used, the first is line 2"),
        ("a.csv", HEADER + "u,i,test,3\nu,j,test,soon\n", "the first is line 3"),
        ("a.csv", HEADER + "u,i,test,3\nu,j,test,4,5\n", "the first is line 3"),
        ("a.csv", "user_id,item_id,split,split\nu,i,test,test\n", "two columns are called split"),
        ("a.parquet", "PAR1", "no whole Parquet file"),
    ],
)
def test_files_that_are_no_split(tmp_path: Path, name: str, text: str | None, message: str) -> None:
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(UserError, match=message):
        splits.from_file(DATA, 0, tmp_path / name)


def test_rows_of_a_parquet_file_that_cannot_be_used(tmp_path: Path) -> None:
    file = tmp_path / "split.parquet"
    DONE.with_columns(pl.Series(SPLIT, ["train", "valid", "holdout", "", None])).write_parquet(file)
    with pytest.raises(UserError, match="3 rows cannot be used, the first is row 3: each needs"):
        splits.from_file(DATA, 0, file)


def test_what_to_do_with_missing_events_is_one_of_two(exported: Path) -> None:
    with pytest.raises(UserError, match="missing must be refuse or drop"):
        partial(splits.from_file, missing="keep")(DATA, 0, exported)


def changed(column: str, value: object) -> pl.DataFrame:
    """DONE with another value in its first row."""
    first = pl.int_range(pl.len()) == 0
    new = pl.lit(value, dtype=DONE.schema[column])
    return DONE.with_columns(pl.when(first).then(new).otherwise(column).alias(column))


def test_a_fingerprint_follows_every_column_and_no_row_order() -> None:
    whole = splits.split_fingerprint(DONE)
    assert len(whole) == 12
    assert int(whole, 16) >= 0
    others = [
        changed(USER, "ann"),
        changed(ITEM, "07"),
        changed(RATING, None),
        changed(RATING, 0.0),
        changed(TIMESTAMP, 31),
        changed(TIMESTAMP, None),
        changed(POSITION, 0),
        changed(SPLIT, "valid"),
        DONE[1:],
        pl.concat([DONE, DONE[:1]]),
        DONE.clear(),
    ]
    assert len({whole, *map(splits.split_fingerprint, others)}) == len(others) + 1
    for seed in range(5):
        assert splits.split_fingerprint(DONE.sample(fraction=1, shuffle=True, seed=seed)) == whole


def test_a_fingerprint_of_two_domains_says_which_is_which() -> None:
    one, two = DONE[:2], DONE[2:]
    assert splits.split_fingerprint(one, two) != splits.split_fingerprint(two, one)
    assert splits.split_fingerprint(one, two) != splits.split_fingerprint(DONE)


def test_a_fingerprint_stays_as_it_is() -> None:
    assert splits.split_fingerprint(DONE) == "ef973add032f"
