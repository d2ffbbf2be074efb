"""MIND as it is published: impressions become clicks, histories come before, parts are one."""

import json
import zipfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    CATEGORIES,
    INTERACTION_COLUMNS,
    ITEM,
    KEYWORDS,
    POSITION,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.sources.mind import MIND
from crossrec.errors import UserError

NOON = 1573473600  # 11/11/2019 12:00:00 PM
PRINCE = {
    "Label": "Prince Philip, Duke of Edinburgh",
    "Type": "P",
    "WikidataId": "Q80976",
    "Confidence": 1.0,
    "OccurrenceOffsets": [48],
    "SurfaceForms": ["Prince Philip"],
}
ROYALS = {**PRINCE, "Label": "Pokémon", "OccurrenceOffsets": []}
NEWS = [
    (
        *("N55528", "lifestyle", "lifestyleroyals", 'The "Brands" Queen Elizabeth &amp; Co'),
        *("Shop the <b>notebooks</b>.", "https://assets.msn.com/labs/mind/AAGH0ET.html"),
        *(json.dumps([PRINCE, ROYALS]), json.dumps([ROYALS, {**PRINCE, "Label": "Shop"}])),
    ),
    ("N19639", "sports", "football_nfl", "Patriots", "", "https://assets.msn.com/x", "[]", ""),
]
TRAIN = [
    "1\tU13740\t11/11/2019 12:00:00 PM\tN1 N2 N1\tN55528-1 N35729-0 N19639-1",
    "2\tU13740\t11/11/2019 9:05:58 AM\tN1 N2 N1\tN35729-0 N4-1",
    "3\tU91836\t11/12/2019 1:00:00 PM\t\tN55528-0 N19639-0",
]
DEV = [
    "1\tU91836\t11/15/2019 12:00:01 AM\tN19639\tN55528-1",
    "2\tU13740\t11/11/2019 12:00:00 PM\tN1 N2 N1\tN55528-1 N35729-0 N19639-1",  # repeated
]


def write(place: Path, behaviors: Sequence[str], news: Sequence[Sequence[str]] = NEWS) -> Path:
    place.mkdir(parents=True, exist_ok=True)
    (place / "behaviors.tsv").write_text("".join(f"{row}\n" for row in behaviors))
    (place / "news.tsv").write_text("".join("\t".join(row) + "\n" for row in news))
    return place


def write_small(folder: Path) -> None:
    write(folder / "MINDsmall_train", TRAIN, NEWS[:1])
    write(folder / "MINDsmall_dev", DEV, NEWS)


def events(reader: MIND, release: str, scratch: Path | None = None) -> list[tuple[object, ...]]:
    table = reader.read(release, scratch).interactions.collect()
    assert tuple(table.columns) == INTERACTION_COLUMNS
    return table.rows()


def test_train_and_dev_are_one_release(tmp_path: Path) -> None:
    write_small(tmp_path)
    raw = MIND(tmp_path).read("MINDsmall")
    first, other = "MINDsmall_U13740", "MINDsmall_U91836"
    assert raw.interactions.collect().rows() == [
        (first, "MINDsmall_N1", None, None, -3, None),
        (first, "MINDsmall_N2", None, None, -2, None),
        (first, "MINDsmall_N1", None, None, -1, None),
        (first, "MINDsmall_N55528", None, NOON, NOON, None),
        (first, "MINDsmall_N19639", None, NOON, NOON, None),
        (first, "MINDsmall_N4", None, NOON - 10442, NOON - 10442, None),
        (other, "MINDsmall_N55528", None, 1573776001, 1573776001, None),
    ]
    assert (raw.n_lines, raw.n_malformed, raw.name) == (5, 0, "MINDsmall")
    assert [path.relative_to(tmp_path).as_posix() for path in raw.files] == [
        f"MINDsmall_{part}/{name}.tsv"
        for part in ("train", "dev")
        for name in ("behaviors", "news")
    ]


def test_articles(tmp_path: Path) -> None:
    write_small(tmp_path)
    items = MIND(tmp_path).read("MINDsmall").items.collect()
    nothing = (None, None, None)
    assert items.rows()[:2] == [
        (
            *("MINDsmall_N55528", 'The "Brands" Queen Elizabeth & Co', "Shop the notebooks ."),
            *("lifestyle > lifestyleroyals", None),
            *("Prince Philip, Duke of Edinburgh; Pokémon; Shop", *nothing),
        ),
        ("MINDsmall_N19639", "Patriots", None, "sports > football_nfl", None, None, *nothing),
    ]
    assert items[ITEM].to_list()[2:] == ["MINDsmall_N1", "MINDsmall_N2", "MINDsmall_N4"]


def test_without_history_all_events_have_a_time_and_no_position(tmp_path: Path) -> None:
    write_small(tmp_path)
    rows = events(MIND(tmp_path, history=False), "MINDsmall")
    assert [row[3:5] for row in rows] == [
        *((NOON, None), (NOON, None), (NOON - 10442, None), (1573776001, None))
    ]


def test_a_history_is_that_of_the_first_impression(tmp_path: Path) -> None:
    """Later ones tell of clicks that are there as clicks, with their time."""
    rows = [
        "7\tU1\t11/13/2019 1:00:00 PM\tN1 N2 N3\tN4-1",
        "8\tU1\t11/11/2019 1:00:00 PM\tN1 N2\tN3-1",
        "9\tU1\t11/11/2019 1:00:00 PM\tN1\tN2-1",
        "1\tU2\t11/11/2019 1:00:00 PM\t\tN3-1",
        "2\tU2\t11/11/2019 2:00:00 PM\tN3\tN4-1",
    ]
    for name, order in (("a", rows), ("b", rows[::-1])):
        write(tmp_path / name, order)
    found = {name: events(MIND(tmp_path), name) for name in "ab"}
    assert sorted(row[1] for row in found["a"] if row[3] is None) == ["mind_N1"]
    assert sorted(map(str, found["a"])) == sorted(map(str, found["b"]))


def test_positions_put_all_events_of_a_user_in_order(tmp_path: Path) -> None:
    write_small(tmp_path)
    table = MIND(tmp_path).read("MINDsmall").interactions.collect()
    assert table[POSITION].null_count() == 0
    of_user = table.filter(pl.col(USER) == "MINDsmall_U13740").sort(POSITION)
    assert of_user[ITEM].str.strip_prefix("MINDsmall_").to_list()[:4] == ["N1", "N2", "N1", "N4"]
    assert set(of_user[ITEM].to_list()[4:]) == {"MINDsmall_N55528", "MINDsmall_N19639"}
    assert of_user[TIMESTAMP].drop_nulls().is_sorted()


def test_a_part_by_itself_has_the_ids_of_its_release(tmp_path: Path) -> None:
    write_small(tmp_path)
    assert events(MIND(tmp_path), "MINDsmall_dev") == [
        ("MINDsmall_U13740", "MINDsmall_N1", None, None, -3, None),
        ("MINDsmall_U13740", "MINDsmall_N2", None, None, -2, None),
        ("MINDsmall_U13740", "MINDsmall_N1", None, None, -1, None),
        ("MINDsmall_U91836", "MINDsmall_N19639", None, None, -1, None),
        ("MINDsmall_U91836", "MINDsmall_N55528", None, 1573776001, 1573776001, None),
        ("MINDsmall_U13740", "MINDsmall_N55528", None, NOON, NOON, None),
        ("MINDsmall_U13740", "MINDsmall_N19639", None, NOON, NOON, None),
    ]


def test_official_releases_share_no_ids_and_ones_own_do(tmp_path: Path) -> None:
    for name in ("MINDdemo", "MINDlarge", "world", "sports"):
        write(tmp_path / name, TRAIN)
    users = {
        name: {row[0] for row in events(MIND(tmp_path), name)}
        for name in ("MINDdemo", "MINDlarge", "world", "sports")
    }
    assert users["MINDlarge"] == {"MINDlarge_U13740"}
    assert not users["MINDdemo"] & users["MINDlarge"]
    assert users["world"] == users["sports"] == {"mind_U13740"}


@pytest.mark.parametrize("inside", ["", "MINDsmall_train/"])
def test_official_zips_beside_the_folder(tmp_path: Path, inside: str) -> None:
    source = write(tmp_path / "elsewhere", TRAIN)
    for part in ("train", "dev"):
        with zipfile.ZipFile(tmp_path / f"MINDsmall_{part}.zip", "w") as archive:
            for name in ("behaviors.tsv", "news.tsv"):
                archive.write(source / name, inside + name)
            archive.writestr(f"{inside}entity_embedding.vec", "Q41\t0.1\n")
            archive.writestr(f"__MACOSX/{inside}._news.tsv", "not read")
    raw = MIND(tmp_path).read("MINDsmall")
    assert raw.n_lines == 6
    assert {path.name for path in (tmp_path / "MINDsmall_dev").iterdir()} == {
        *("behaviors.tsv", "news.tsv")
    }


@pytest.mark.parametrize(
    ("held", "found"),
    [
        (["news.tsv"], "no behaviors"),
        (["behaviors.tsv", "a/news.tsv", "b/news.tsv"], "2 news"),
    ],
)
def test_a_zip_of_something_else(tmp_path: Path, held: list[str], found: str) -> None:
    with zipfile.ZipFile(tmp_path / "MINDsmall_train.zip", "w") as archive:
        for name in held:
            archive.writestr(name, "x")
    with pytest.raises(UserError, match=rf"MINDsmall_train\.zip holds {found}"):
        MIND(tmp_path).read("MINDsmall")


def test_what_is_missing_is_named(tmp_path: Path) -> None:
    write(tmp_path / "MINDsmall_train", TRAIN)
    write(tmp_path / "MINDsmall_dev", DEV)
    (tmp_path / "MINDsmall_dev" / "news.tsv").unlink()
    with pytest.raises(UserError) as error:
        MIND(tmp_path).read("MINDsmall")
    for part in (
        "MINDsmall_dev/news.tsv missing",
        "MINDsmall_dev.zip",
        "msnews.github.io",
        "market",
    ):
        assert part in str(error.value)
    assert "behaviors" not in str(error.value)
    assert "license" in str(error.value)
    with pytest.raises(UserError, match=r"nothing_train/behaviors\.tsv.*nothing_dev/news\.tsv"):
        MIND(tmp_path).read("nothing")


def test_the_test_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"labels are secret.*ask for MINDlarge,"):
        MIND(tmp_path).read("MINDlarge_test")
    write(tmp_path / "mine", ["1\tU1\t11/11/2019 9:05:58 AM\tN1 N2\tN3 N4"])
    with pytest.raises(UserError, match=r"behaviors\.tsv, line 1: .*test set has no such labels"):
        MIND(tmp_path).read("mine")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("behaviors.tsv", "U1\t11/11/2019 9:05:58 AM\tN1\tN3-1\n", "expected 5 fields.* found 4"),
        ("behaviors.tsv", "\t".join(NEWS[0]) + "\n", "expected 5 fields.* found 8"),
        ("news.tsv", TRAIN[0] + "\n", "expected 8 fields.* found 5"),
        ("news.tsv", "N1,news,newsus\n", "found 1: 'N1,news"),
        ("news.tsv", "", "is empty"),
    ],
)
def test_a_file_that_is_something_else(
    tmp_path: Path, name: str, content: str, message: str
) -> None:
    place = write(tmp_path / "mine", TRAIN)
    (place / name).write_text(content)
    with pytest.raises(UserError, match=rf"mine/{name}.*{message}"):
        MIND(tmp_path).read("mine")


MALFORMED = [
    "1\tU1\t13/11/2019 9:05:58 AM\tN1\tN3-1",  # a month that there is not
    "1\tU1\t2019-11-11 09:05:58\tN1\tN3-1",
    "1\tU1\t11/11/2019 9:05:58 AM\tN1\tN3-1 N4",
    "1\tU1\t11/11/2019 9:05:58 AM\tN1\tN3-2",
    "1\tU1\t11/11/2019 9:05:58 AM\tN1\t-1",
    "1\tU1\t11/11/2019 9:05:58 AM\tN1\t",
    "1\t\t11/11/2019 9:05:58 AM\tN1\tN3-1",
    "1\tU1\t11/11/2019 9:05:58 AM\tN3-1",
    "1\tU1\t11/11/2019 9:05:58 AM\tN1\tN3-1\tN4-0",
]


@pytest.mark.parametrize("line", MALFORMED)
def test_malformed_impressions_are_counted(tmp_path: Path, line: str) -> None:
    write(tmp_path / "mine", [*TRAIN, line, *TRAIN])
    raw = MIND(tmp_path, max_malformed=0.2).read("mine")
    assert (raw.n_lines, raw.n_malformed) == (7, 1)
    assert raw.interactions.collect().height == 6
    with pytest.raises(UserError, match=r"behaviors\.tsv: 1 of 7 lines.*first is line 4"):
        MIND(tmp_path).read("mine")


@pytest.mark.parametrize("entities", ["[{]", "{}", "[1]", "https://x"])
def test_articles_whose_entities_are_broken_are_refused(tmp_path: Path, entities: str) -> None:
    write(tmp_path / "mine", TRAIN, [NEWS[0], (*NEWS[1][:6], entities, "[]")])
    with pytest.raises(UserError, match=r"news\.tsv: 1 of 2 lines.*first is line 2"):
        MIND(tmp_path).read("mine")
    items = MIND(tmp_path, max_malformed=0.5).read("mine").items.collect()
    assert items.filter(pl.col(ITEM) == "mind_N19639")[TITLE].to_list() == [None]
    assert items[KEYWORDS][0] is not None


def test_scratch_makes_no_difference(tmp_path: Path) -> None:
    write_small(tmp_path)
    (tmp_path / "scratch").mkdir()
    reader = MIND(tmp_path)
    assert events(reader, "MINDsmall", tmp_path / "scratch") == events(reader, "MINDsmall")
    assert list((tmp_path / "scratch").iterdir())


def test_an_article_has_its_category_as_a_part_of_its_path(tmp_path: Path) -> None:
    write_small(tmp_path)
    paths = MIND(tmp_path).read("MINDsmall").items.collect()[CATEGORIES].drop_nulls()
    assert [path.split(" > ")[0] for path in paths] == ["lifestyle", "sports"]


IMPRESSION = st.tuples(
    st.integers(1, 5),
    st.integers(1_500_000_000, 1_600_000_000),
    st.lists(st.integers(1, 9), max_size=4),
    st.lists(st.tuples(st.integers(1, 9), st.integers(0, 1)), min_size=1, max_size=5),
)


@settings(max_examples=40, deadline=None)
@given(impressions=st.lists(IMPRESSION, min_size=1, max_size=12))
def test_clicks_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory,
    impressions: list[tuple[int, int, list[int], list[tuple[int, int]]]],
) -> None:
    folder = tmp_path_factory.mktemp("mind")
    rows = []
    expected = set()
    for number, (user, time, history, shown) in enumerate(impressions):
        clock = datetime.fromtimestamp(time, UTC)
        said = f"{clock:%m/%d/%Y} {clock.hour % 12 or 12}:{clock:%M:%S %p}"
        past = " ".join(f"N{item}" for item in history)
        list_of_shown = " ".join(f"N{item}-{label}" for item, label in shown)
        rows.append(f"{number}\tU{user}\t{said}\t{past}\t{list_of_shown}")
        expected |= {(f"mind_U{user}", f"mind_N{i}", time) for i, label in shown if label}
    write(folder / "mine", [*rows, "0\tU0\t1/1/2019 1:00:00 PM\t\tN1-1"])
    expected.add(("mind_U0", "mind_N1", 1546347600))
    table = MIND(folder).read("mine").interactions.collect()
    clicks = table.drop_nulls(TIMESTAMP).select(USER, ITEM, TIMESTAMP).rows()
    assert sorted(clicks) == sorted(expected)
    first = {
        user: (time, history)
        for user, time, history, _ in sorted(impressions, key=lambda row: (-row[1], -len(row[2])))
    }
    past = table.filter(pl.col(TIMESTAMP).is_null()).sort(USER, POSITION)
    for user, (time, history) in first.items():
        same = [row[2] for row in impressions if row[:2] == (user, time)]
        if len({len(other) for other in same}) == len(same):
            own = past.filter(pl.col(USER) == f"mind_U{user}")
            assert own[ITEM].to_list() == [f"mind_N{item}" for item in history]
            assert own[POSITION].to_list() == list(range(-len(history), 0))
