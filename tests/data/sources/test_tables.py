"""Parquet, CSV and TSV say the same; columns are mapped; what is wrong is named."""

import math
from datetime import date, datetime, timedelta, timezone
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    INTERACTION_COLUMNS,
    ITEM,
    ITEM_COLUMNS,
    POSITION,
    RATING,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.sources.tables import Tables
from crossrec.errors import UserError

IDS = st.text(st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=8)
TEXTS = st.none() | st.text(
    st.characters(codec="utf-8", exclude_characters="\x00\r"), min_size=1, max_size=12
)
EVENT = st.fixed_dictionaries(
    {
        USER: IDS,
        ITEM: IDS,
        RATING: st.none() | st.floats(-5, 5, width=16),
        TIMESTAMP: st.none() | st.integers(0, 4_000_000_000),
        POSITION: st.none() | st.integers(0, 10_000),
    }
)
FILM = st.fixed_dictionaries({ITEM: IDS, TITLE: TEXTS, "categories": TEXTS, "unused": TEXTS})
WRITERS = {
    "parquet": lambda frame, path: frame.write_parquet(path),
    "csv": lambda frame, path: frame.write_csv(path, quote_style="non_numeric"),
    "tsv": lambda frame, path: frame.write_csv(path, separator="\t"),
}


def put(folder: Path, ending: str, events: pl.DataFrame, items: pl.DataFrame | None = None) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    WRITERS[ending](events, folder / f"interactions.{ending}")
    if items is not None:
        WRITERS[ending](items, folder / f"items.{ending}")


def put_csv(folder: Path, content: str | bytes, name: str = "interactions.csv") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    raw = content.encode() if isinstance(content, str) else content
    (folder / name).write_bytes(raw)
    return folder


@settings(max_examples=40, deadline=None)
@given(events=st.lists(EVENT, min_size=1, max_size=12), films=st.lists(FILM, max_size=8))
def test_all_formats_give_the_same_tables(
    tmp_path_factory: pytest.TempPathFactory, events: list[dict], films: list[dict]
) -> None:
    folder = tmp_path_factory.mktemp("tables")
    types = {USER: pl.String, ITEM: pl.String, RATING: pl.Float64}
    frame = pl.DataFrame(events, schema=types | {TIMESTAMP: pl.Int64, POSITION: pl.Int64})
    items = pl.DataFrame(
        films, schema=dict.fromkeys((ITEM, TITLE, "categories", "unused"), pl.String)
    )
    read = []
    for ending in WRITERS:
        put(folder / ending, ending, frame, items)
        read.append(Tables(str(folder)).read(ending))
    for raw in read:
        table, catalog = raw.interactions.collect(), raw.items.collect()
        assert table.columns == list(INTERACTION_COLUMNS)
        assert table.select(frame.columns).rows() == frame.rows()
        assert catalog.columns == list(ITEM_COLUMNS)
        first = items.unique(ITEM, keep="first", maintain_order=True)
        known = catalog.head(first.height)
        assert known.select(ITEM, TITLE, "categories").rows() == first.drop("unused").rows()
        added = catalog.tail(catalog.height - first.height)
        assert added[ITEM].to_list() == sorted(set(frame[ITEM]) - set(first[ITEM]))
        assert (raw.n_lines, raw.n_malformed) == (len(events), 0)


@pytest.mark.parametrize(
    "written",
    [
        "1406073600",
        "1406073600000",
        "1406073600.75",
        "1406073600750",
        "1.4060736e9",
        "2014-07-23",
        "2014-07-23 00:00",
        "2014-07-23T00:00:00Z",
        "2014-07-23 00:00:00.500",
        "2014-07-23T02:00:00+02:00",
    ],
)
def test_timestamps_as_text(tmp_path: Path, written: str) -> None:
    place = put_csv(tmp_path / "d", f"user_id,item_id,timestamp\nu,i,{written}\nu,j,\n")
    events = Tables(str(tmp_path)).read(str(place)).interactions.collect()
    assert events[TIMESTAMP].to_list() == [1406073600, None]


@pytest.mark.parametrize(
    "values",
    [
        [1406073600, None],
        [1406073600_000, None],
        [1406073600_000_000, None],
        [1406073600_000_000_000, None],
        [1406073600.5, math.nan],
        [date(2014, 7, 23), None],
        [datetime(2014, 7, 23), None],
        [datetime(2014, 7, 23, 2, tzinfo=timezone(timedelta(hours=2))), None],
    ],
)
def test_timestamps_in_parquet(tmp_path: Path, values: list) -> None:
    put(tmp_path / "d", "parquet", pl.DataFrame({USER: "u", ITEM: "i", TIMESTAMP: values}))
    events = Tables(str(tmp_path)).read("d").interactions.collect()
    assert events[TIMESTAMP].to_list() == [1406073600, None]


def test_ids_that_are_numbers_are_the_same_in_every_format(tmp_path: Path) -> None:
    put_csv(tmp_path / "csv", "user_id,item_id\n1,10\n2,11\n")
    put(tmp_path / "int", "parquet", pl.DataFrame({USER: [1, 2], ITEM: [10, 11]}))
    put(tmp_path / "float", "parquet", pl.DataFrame({USER: [1.0, 2.0], ITEM: [10.0, 11.0]}))
    read = [
        Tables(str(tmp_path)).read(name).interactions.collect() for name in ("csv", "int", "float")
    ]
    assert read[0][USER].to_list() == ["1", "2"]
    assert read[0].equals(read[1])
    assert read[0].equals(read[2])


def test_columns_are_mapped(tmp_path: Path) -> None:
    put_csv(tmp_path / "shop", "customer;x,sku,stars\nu,i,4\n")
    put_csv(tmp_path / "shop", "sku,name\ni,A knife\n", "items.csv")
    columns = {USER: "customer;x", ITEM: "sku", RATING: "stars", TITLE: "name"}
    raw = Tables(str(tmp_path), columns).read("shop")
    assert raw.interactions.collect().row(0) == ("u", "i", 4.0, None, None, None)
    assert raw.items.collect().row(0) == ("i", "A knife", *[None] * 7)
    assert raw.name == "shop"


def test_missing_columns_say_what_there_is_and_how_to_map(tmp_path: Path) -> None:
    put_csv(tmp_path / "shop", "customer,item_id\nu,i\n")
    with pytest.raises(UserError, match=r"no column user_id; found customer, item_id.*reader\.col"):
        Tables(str(tmp_path)).read("shop")
    with pytest.raises(UserError, match=r"no column buyer \(user_id\), stars \(rating\)"):
        Tables(str(tmp_path), {USER: "buyer", RATING: "stars"}).read("shop")
    with pytest.raises(UserError, match=r"columns maps user, which is none of user_id, item_id"):
        Tables(str(tmp_path), {"user": "customer"})


def test_lists_of_categories_are_joined(tmp_path: Path) -> None:
    events = pl.DataFrame({USER: ["u"], ITEM: ["i"]})
    items = pl.DataFrame({ITEM: ["i", "j"], "categories": [["Home", "Bath"], []]})
    put(tmp_path / "d", "parquet", events, items)
    read = Tables(str(tmp_path)).read("d").items.collect()
    assert read["categories"].to_list() == ["Home > Bath", None]


def test_unusable_rows_are_counted(tmp_path: Path) -> None:
    rows = ["u,i,4,1406073600", "u,,4,1", "u,i,four,1", "u,i,,", "u,i,4,yesterday", ",i,4,1"]
    place = put_csv(tmp_path / "d", "user_id,item_id,rating,timestamp\n" + "\n".join(rows))
    with pytest.raises(
        UserError, match=r"interactions\.csv: 4 of 6 lines \(66\.67%\).*line 3: 'u,,4,1'"
    ):
        Tables("").read(str(place))
    raw = Tables("", max_malformed=0.7).read(str(place))
    assert (raw.n_lines, raw.n_malformed) == (6, 4)
    assert raw.interactions.collect()[RATING].to_list() == [4.0, None]


def test_rows_with_too_many_fields_are_counted(tmp_path: Path) -> None:
    content = 'user_id,item_id\nu,"i, j"\nu,i,4\nu,k\n'
    place = put_csv(tmp_path / "d", content)
    raw = Tables("", max_malformed=0.5).read(str(place))
    assert (raw.n_lines, raw.n_malformed) == (3, 1)
    assert raw.interactions.collect()[ITEM].to_list() == ["i, j", "k"]
    with pytest.raises(UserError, match=r"1 of 3 lines .*line 3: 'u,i,4'"):
        Tables("").read(str(place))


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("interactions.csv", b"", r"interactions\.csv is empty"),
        ("interactions.csv", b"user_id,item_id\n", "holds no interaction"),
        ("interactions.csv", "user_id,item_id\nu,é\n".encode("latin-1"), r"UTF-8 text.*0xe9"),
        ("interactions.csv", b"user_id,item\r_id\nu,i\n", r"line 1: expected the names of columns"),
        ("interactions.parquet", b"PAR1 cut off", "no whole Parquet file"),
        ("events.csv", b"user_id,item_id\nu,i\n", r"holds no interactions.*but events\.csv"),
    ],
)
def test_broken_tables(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    put_csv(tmp_path / "d", content, name)
    with pytest.raises(UserError, match=message):
        Tables(str(tmp_path)).read("d")


def test_texts_of_several_lines(tmp_path: Path) -> None:
    rows = 'u,i,"one, two\nthree, four\n\nu,j,5"\nu,j,"say ""yes""\n"\n\nu,,x\nu,k,\n'
    place = put_csv(tmp_path / "d", "user_id,item_id,review\n" + rows)
    raw = Tables("", max_malformed=0.3).read(str(place))
    assert (raw.n_lines, raw.n_malformed) == (4, 1)
    assert raw.interactions.collect()["review"].to_list() == [
        "one, two\nthree, four\n\nu,j,5",
        'say "yes"\n',
        None,
    ]


def test_a_stray_quote_takes_no_other_row_along(tmp_path: Path) -> None:
    """Read as a whole, this table has three rows, the second with four lines in its review."""
    rows = ["u,i,a", 'u,j,"b', "u,k,c", "u,l,d", "u,m,e", 'u,n,"""f"""', "u,o,g"]
    place = put_csv(tmp_path / "d", "user_id,item_id,review\n" + "\n".join(rows))
    raw = Tables("", max_malformed=0.3).read(str(place))
    assert (raw.n_lines, raw.n_malformed) == (7, 1)
    assert "".join(raw.interactions.collect()[ITEM]) == "iklmno"
    with pytest.raises(UserError, match=r"1 of 7 lines .* line 3: 'u,j,\"b'"):
        Tables("").read(str(place))


def test_blank_lines_are_no_rows(tmp_path: Path) -> None:
    place = put_csv(tmp_path / "d", "\ufeffuser_id,item_id\r\n\r\nu,i\r\n\r\n\r\n")
    raw = Tables("").read(str(place))
    assert (raw.n_lines, raw.interactions.collect().rows()[0][:2]) == (1, ("u", "i"))


def test_two_tables_of_one_name(tmp_path: Path) -> None:
    for name in ("interactions.csv", "interactions.tsv"):
        put_csv(tmp_path / "d", "user_id,item_id\nu,i\n", name)
    with pytest.raises(UserError, match=r"interactions\.csv and interactions\.tsv"):
        Tables(str(tmp_path)).read("d")


def test_a_column_that_is_named_twice(tmp_path: Path) -> None:
    for content in ("user_id,item_id,user_id\nu,i,v\n", "user_id,item_id,user_id\nu,i,v,w\n"):
        place = put_csv(tmp_path / "d", content)
        with pytest.raises(UserError, match=r"interactions\.csv, line 1: two columns .* user_id"):
            Tables("").read(str(place))
    place = put_csv(tmp_path / "d", "user_id,item_id,note,note\nu,i,v,w\n")  # not read
    assert Tables("").read(str(place)).n_lines == 1


def test_text_tables_are_put_down_in_a_folder(tmp_path: Path) -> None:
    rows = ["u,i,4,1406073600", "u,,4,1", "u,j,,2014-07-23"]
    place = put_csv(tmp_path / "d", "user_id,item_id,rating,timestamp\n" + "\n".join(rows))
    (tmp_path / "scratch").mkdir()
    held, lazy = (Tables("", None, 0.5).read(str(place), s) for s in (None, tmp_path / "scratch"))
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    assert lazy.interactions.collect().equals(held.interactions.collect())
    assert (lazy.n_lines, lazy.n_malformed) == (3, 1)


def test_folders_are_found_by_path_or_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = put_csv(tmp_path / "shops" / "toys", "user_id,item_id\nu,i\n")
    monkeypatch.chdir(tmp_path)
    for folder, domain in (("", str(place)), ("", "shops/toys"), (str(tmp_path / "shops"), "toys")):
        assert Tables(folder).read(domain).name == "toys"
    with pytest.raises(UserError, match=r"no folder .*/games or .*/shops/games.*marketplace"):
        Tables("shops").read("games")


def test_every_real_folder(real_data: Path) -> None:
    folders = sorted(path.parent for path in real_data.glob("*/*/interactions.parquet"))
    assert folders
    for folder in folders:
        raw = Tables(str(real_data)).read(f"{folder.parent.name}/{folder.name}")
        events = raw.interactions.collect()
        assert events.height == raw.n_lines == pl.read_parquet(raw.files[0]).height
        items = raw.items.collect()
        assert items[ITEM].n_unique() == items.height == pl.read_parquet(raw.files[1]).height
        assert (raw.name, raw.n_malformed) == (folder.name, 0)


def test_a_real_pair_with_ratings(real_data: Path) -> None:
    read = [
        Tables(str(real_data)).read(f"amazon_office_industrial/{name}").interactions.collect()
        for name in ("office", "industrial")
    ]
    stars = pl.concat(read)[RATING].value_counts().sort(RATING).rows()
    assert stars == [(1, 1_429), (2, 1_029), (3, 2_462), (4, 6_941), (5, 31_166)]
    assert len(set(read[0][USER]) & set(read[1][USER])) == 140
