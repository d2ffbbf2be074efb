"""A folder of Parquet parts says what one file says, is not held in memory, and fails clearly."""

import random
import shutil
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, RATING, TIMESTAMP, TITLE, USER
from crossrec.data.sources.tables import Tables
from crossrec.errors import UserError

EVENTS = pl.DataFrame(
    {
        USER: ["u", "v", "u", "w", "v"],
        ITEM: ["i", "i", "j", "k", "j"],
        RATING: [5.0, None, 3.0, 1.0, 2.0],
        TIMESTAMP: [10, 20, None, 40, 50],
        "review": ["Good", None, "So so", "Bad", None],
    }
)
ITEMS = pl.DataFrame(
    {
        ITEM: ["i", "j", "i", "x"],
        TITLE: [None, "Lamp", "Pan", "Rug"],
        "brand": ["A", None, "B", "C"],
    }
)


def put(path: Path, frame: pl.DataFrame) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    frame.write_parquet(path)
    return path


def in_order(table: pl.LazyFrame) -> list[tuple[object, ...]]:
    return table.sort(pl.all()).collect().rows()


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 4), st.integers(1, 3), st.randoms(use_true_random=False))
def test_parts_say_what_one_file_says_in_any_order(
    tmp_path_factory: pytest.TempPathFactory, n_events: int, n_items: int, chance: random.Random
) -> None:
    folder = tmp_path_factory.mktemp("parts")
    put(folder / "whole" / "interactions.parquet", EVENTS)
    put(folder / "whole" / "items.parquet", ITEMS.sort(ITEM, TITLE, nulls_last=True))
    for name, frame, n_parts in (("interactions", EVENTS, n_events), ("items", ITEMS, n_items)):
        rows = list(range(frame.height))
        chance.shuffle(rows)
        for part in range(n_parts):
            deep = "more" if chance.random() < 0.5 else ""
            put(folder / "parts" / name / deep / f"p{part}.parquet", frame[rows[part::n_parts]])
    whole, parts = (Tables(folder).read(name) for name in ("whole", "parts"))
    assert in_order(parts.interactions) == in_order(whole.interactions)
    assert in_order(parts.items) == in_order(whole.items)
    assert (parts.name, parts.n_lines, parts.n_malformed) == ("parts", 5, 0)
    assert len(parts.files) == n_events + n_items
    streamed = parts.interactions.with_row_index().collect(engine="streaming")
    assert streamed.equals(parts.interactions.with_row_index().collect())


@pytest.mark.parametrize("folder", ["interactions", "interactions.parquet"])
def test_parts_and_files_are_scanned_not_held(tmp_path: Path, folder: str) -> None:
    put(tmp_path / "parts" / folder / "part-0.parquet", EVENTS)
    put(tmp_path / "whole" / "interactions.parquet", EVENTS)
    for name in ("parts", "whole"):
        raw = Tables(tmp_path).read(name)
        plan = raw.interactions.explain()
        assert "Parquet SCAN" in plan
        assert "DF [" not in plan
        assert raw.interactions.collect()[USER].to_list() == ["u", "v", "u", "w", "v"]


def test_columns_in_the_names_of_folders(tmp_path: Path) -> None:
    home = tmp_path / "a=1" / "shop[1]" / "interactions"  # neither is of the layout
    rest = EVENTS.drop(RATING, TIMESTAMP)
    first = put(home / "rating=4" / "day=2014-07-23" / "part-0.parquet", rest[:2])
    second = put(home / "rating=4" / "day=2014-07-24" / "part-0.parquet", rest[2:3])
    unrated = home / "rating=__HIVE_DEFAULT_PARTITION__" / "day=2014-07-24%2012%3A00"
    third = put(unrated / "part-0.parquet", rest[3:])
    raw = Tables(tmp_path / "a=1", {TIMESTAMP: "day"}).read("shop[1]")
    assert raw.files == (first, second, third)
    events = raw.interactions.collect()
    assert events[RATING].to_list() == [4.0, 4.0, 4.0, None, None]
    midnight = 1406073600
    assert (events[TIMESTAMP] - midnight).to_list() == [0, 0, 86_400, 129_600, 129_600]
    assert events[USER].to_list() == EVENTS[USER].to_list()


def test_ids_in_the_names_of_folders_keep_their_zeros(tmp_path: Path) -> None:
    for user in ("007", "7"):
        put(tmp_path / "d" / "interactions" / f"user_id={user}" / "0.parquet", EVENTS[[0], [ITEM]])
    assert Tables(tmp_path).read("d").interactions.collect()[USER].to_list() == ["007", "7"]


def test_notes_of_the_writer_are_no_parts(tmp_path: Path) -> None:
    home = tmp_path / "d" / "interactions"
    part = put(home / "part-0.parquet", EVENTS)
    for name in ("_SUCCESS", "_metadata", ".part-0.parquet.crc", "notes.txt", "_x.parquet"):
        (home / name).write_text("no Parquet")
    put(home / "_temporary" / "part-1.parquet", EVENTS)
    assert Tables(tmp_path).read("d").files == (part,)


def test_unusable_rows_are_counted_and_found(tmp_path: Path) -> None:
    home = tmp_path / "d" / "interactions"
    put(home / "year=1" / "part-0.parquet", EVENTS)
    wrong = EVENTS.with_columns(pl.when(pl.col(ITEM) != "k").then(ITEM).alias(ITEM))
    put(home / "year=2" / "part-0.parquet", wrong)
    with pytest.raises(
        UserError, match=r"interactions: 1 of 10 rows \(10\.00%\).*row 4 of year=2/part-0\.parquet"
    ):
        Tables(tmp_path).read("d")
    raw = Tables(tmp_path, max_malformed=0.1).read("d")
    assert (raw.n_lines, raw.n_malformed) == (10, 1)
    assert raw.interactions.collect().height == 9


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (EVENTS.drop(RATING), "differ in their columns or types: .*rating"),
        (EVENTS.with_columns(pl.col(TIMESTAMP).cast(pl.Float64)), "differ in.*timestamp"),
        (None, "parts that are broken"),
    ],
)
def test_parts_that_are_not_of_one_table(
    tmp_path: Path, frame: pl.DataFrame | None, message: str
) -> None:
    put(tmp_path / "d" / "interactions" / "0.parquet", EVENTS)
    other = tmp_path / "d" / "interactions" / "1.parquet"
    if frame is None:
        other.write_bytes(b"PAR1 cut off")
    else:
        put(other, frame)
    with pytest.raises(UserError, match=rf"d/interactions .*{message}") as error:
        Tables(tmp_path).read("d")
    assert "\n" not in str(error.value)


def test_a_folder_without_parts_and_two_tables_of_one_name(tmp_path: Path) -> None:
    (tmp_path / "d" / "interactions").mkdir(parents=True)
    with pytest.raises(UserError, match=r"d/interactions holds no \.parquet file"):
        Tables(tmp_path).read("d")
    put(tmp_path / "d" / "interactions.parquet", EVENTS)
    with pytest.raises(UserError, match=r"interactions\.parquet and interactions: remove"):
        Tables(tmp_path).read("d")


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_damaged_file_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("damaged")
    path = put(folder / "d" / "interactions.parquet", EVENTS)
    content = bytearray(path.read_bytes())
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] ^= 1 << data.draw(st.integers(0, 7))
    path.write_bytes(content[: data.draw(st.integers(len(content) // 2, len(content)))])
    refused = ""
    try:
        raw = Tables(folder, max_malformed=1).read("d")
        assert raw.interactions.collect().height == raw.n_lines - raw.n_malformed
    except UserError as error:
        refused = str(error)
    assert "\n" not in refused
    shutil.rmtree(folder)
