"""Link files in every form, broken ones, and renaming that never makes two ids one."""

import gzip
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, RATING
from crossrec.data.links import read_links, rename
from crossrec.errors import UserError

PAIRS = [("0195153448", "Classical Mythology"), ("042518630X", "Purity in Death")]


def read(path: Path, text: str, name: str = "books.link") -> list[tuple[str, str]]:
    (path / name).write_text(text, encoding="utf-8")
    return read_links(path / name).rows()


def renamed(ids: list[str | None], links: list[tuple[str, str]], prefix: str = "A/") -> list[str]:
    pairs = pl.DataFrame(links, schema={"source": pl.String, "target": pl.String}, orient="row")
    table = pl.LazyFrame({ITEM: ids, RATING: range(len(ids))}, schema_overrides={ITEM: pl.String})
    out = rename(table, ITEM, pairs, prefix).collect()
    assert out[RATING].to_list() == list(range(len(ids)))
    assert out.columns == [ITEM, RATING]
    return out[ITEM].to_list()


@pytest.mark.parametrize(
    "text",
    [
        "ISBN:token\tbook_name:token\n"
        "0195153448\tClassical Mythology\n042518630X\tPurity in Death\n",
        "0195153448\tClassical Mythology\n042518630X\tPurity in Death\n",
        "042518630X\tPurity in Death\n\n0195153448\tClassical Mythology",
        "source\ttarget\r\n0195153448\tClassical Mythology\r\n042518630X\tPurity in Death\r\n",
        "\ufeffTarget Item ID,Source Item ID\n"
        "Classical Mythology,0195153448\nPurity in Death,042518630X\n",
        'source_id,target_id\n"0195153448","Classical Mythology"\n042518630X, Purity in Death \n',
        "\ufeff0195153448,Classical Mythology\n042518630X,Purity in Death\n",
        "item_id:token\tyear:float\titem_id:token\n"
        "0195153448\t2002\tClassical Mythology\n042518630X\t\tPurity in Death\n",
        "0195153448\tClassical Mythology\n042518630X\tPurity in Death\n"
        "0195153448\tClassical Mythology\n",
    ],
    ids=[
        *("recbole", "bare", "blank line, no last newline, other order", "named, CRLF"),
        *("sides swapped, BOM", "quoted csv", "bare csv, BOM", "recbole's float", "twice the same"),
    ],
)
def test_every_form_of_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path, text) == PAIRS


def test_commas_inside_quotes_and_quotes_between_tabs(tmp_path: Path) -> None:
    assert read(tmp_path, '1,"Flu, the"\n2,"The ""Q"""\n') == [("1", "Flu, the"), ("2", 'The "Q"')]
    assert read(tmp_path, '"1,5"\t"Flu\n2\tb,c\n') == [('"1,5"', '"Flu'), ("2", "b,c")]


def test_ids_that_look_like_a_header_are_links(tmp_path: Path) -> None:
    assert read(tmp_path, "source_1\ttarget_1\n") == [("source_1", "target_1")]
    assert read(tmp_path, "source\tsource\n") == [("source", "source")]
    assert read(tmp_path, "isbn\tbook\n1\t2\n") == [("1", "2"), ("isbn", "book")]


def test_gzip_and_parquet(tmp_path: Path) -> None:
    path = tmp_path / "books.link.gz"
    path.write_bytes(gzip.compress(b"1\ta\n2\tb\n"))
    assert read_links(path).rows() == [("1", "a"), ("2", "b")]
    table = pl.DataFrame({"target": ["b", "a"], "source": [12, 7]})
    table.write_parquet(tmp_path / "swapped.parquet")
    assert read_links(tmp_path / "swapped.parquet").rows() == [("12", "b"), ("7", "a")]
    table.rename({"target": "x", "source": "y"}).write_parquet(tmp_path / "unnamed.parquet")
    assert read_links(tmp_path / "unnamed.parquet").rows() == [("a", "7"), ("b", "12")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1\ta\n1\tb\n2\tc\n", r"links source '1' to two target ids, 'a' and 'b'.*\(1 source ids"),
        ("2\ta\n1\ta\n", r"links target 'a' to two source ids, '1' and '2'"),
        ("1\ta\n2\tb\tc\n3\td\n", r"line 2: expected two ids .*'1\\ta'; 1 of 3 lines"),
        ("1,a\n2,b\n3\n", r"line 3: expected two ids"),
        ("1\ta\n\tb\n", r"line 2: expected two ids"),
        ("1\ta\n  \tb\n", r"link 2: one of its two ids is missing"),
        ("1 a\n", r"line 1: expected two ids split by a tab or a comma, found '1 a'"),
        ("1\ta\tb\n", r"line 1: expected two ids"),
        ("a:token\tb:float\n1\t2\n", r"line 1: expected two ids"),
        ("a:token\tb:token\n", "holds no link"),
        ("", "is empty"),
        ("\n\n", r"line 1: expected two ids"),
        ("1,a\rb\n", r"line 1: expected two ids .*new-line"),
    ],
)
def test_broken_files(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(UserError, match=message) as error:
        read(tmp_path, text)
    assert str(tmp_path / "books.link") in str(error.value)


def test_missing_file_and_wrong_parquet(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no link file .*nowhere\.link.*identity\.item_links"):
        read_links(tmp_path / "nowhere.link")
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(UserError, match="no whole Parquet"):
        read_links(path)
    pl.DataFrame({"a": ["1"], "b": ["2"], "c": ["3"]}).write_parquet(path)
    with pytest.raises(UserError, match=r"3 columns \(a, b, c\), expected two"):
        read_links(path)
    pl.DataFrame({"a": ["1"], "b": [2.0]}).write_parquet(path)
    with pytest.raises(UserError, match="column b has type Float64"):
        read_links(path)
    pl.DataFrame({"a": ["1", None], "b": ["2", "3"]}).write_parquet(path)
    with pytest.raises(UserError, match="link 2: one of its two ids is missing"):
        read_links(path)


def test_not_utf8(tmp_path: Path) -> None:
    path = tmp_path / "books.link"
    path.write_bytes(b"1\ta\n2\t\xe9\n")
    with pytest.raises(UserError, match=r"books\.link, line 2: expected UTF-8"):
        read_links(path)


def test_renaming_by_hand() -> None:
    links = [("1", "a"), ("2", "3"), ("4", "4")]
    #      1 -> a; 2 -> 3; the source's own 3 and a are other items; 4 -> 4; 5 is linked to none
    assert renamed(["1", "2", "3", "a", "4", "5", None, "1"], links) == [
        *("a", "3", "A/3", "A/a", "4", "A/5", None, "a")
    ]


def test_a_prefix_that_ids_already_have() -> None:
    assert renamed(["3", "A/3"], [("1", "3")]) == ["A/3", "A/A/3"]
    # A linked target is called "A/3", so the prefix is doubled.
    assert renamed(["3", "A/3", "A/A/3"], [("1", "3"), ("2", "A/3")]) == [
        *("A/A/3", "A/A/A/3", "A/A/A/A/3")
    ]


def test_without_links_nothing_is_the_same() -> None:
    assert renamed(["1", "a", None], []) == ["A/1", "A/a", None]


IDS = st.text(alphabet="aA/1", min_size=1, max_size=4)


@settings(deadline=None)
@given(st.lists(IDS, unique=True), st.lists(IDS, unique=True), st.lists(IDS, unique=True))
def test_different_ids_stay_different(ids: list[str], left: list[str], right: list[str]) -> None:
    links = list(zip(left, right, strict=False))
    named = renamed(ids, links)
    assert len(set(named)) == len(ids)
    to = dict(links)
    for old, new in zip(ids, named, strict=True):
        if old in to:
            assert new == to[old]
        else:
            assert new not in to.values()
            assert new.endswith(old)


@settings(deadline=None)
@given(st.lists(st.tuples(IDS, IDS), min_size=1, unique_by=(lambda p: p[0], lambda p: p[1])))
def test_read_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str]]
) -> None:
    folder = tmp_path_factory.mktemp("links")
    lines = ["s:token\tt:token", *("\t".join(pair) for pair in pairs)]
    assert read(folder, "\n".join(lines) + "\n") == sorted(pairs)
