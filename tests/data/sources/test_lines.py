"""Blocks of lines: every line counts once, bad ones are found, broken files say what is wrong."""

import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.sources import blocks as blocks_module
from crossrec.data.sources import parsing
from crossrec.data.sources.formats import delimited, json_lines
from crossrec.data.sources.lines import check_share, head, names_in_head, read_lines
from crossrec.errors import UserError

SCHEMA = pl.Schema({"user": pl.String(), "stars": pl.Float64(), "tags": pl.List(pl.String())})
FORM = json_lines(SCHEMA, ("user", "stars"))
BAD = ("no json", "{}", "[1]", "null", '{"user": "u"}', '{"user": "u", "stars": "five"}', "{'user'")


LINES = (
    '{"user": "a", "stars": 1}',
    '{"user": 5, "stars": 1e0, "tags": [1, null, "x", ["y"], {"b": 1, "a": 1.0}]}',
    '{"user": 1.0, "stars": -0.5, "tags": null}',
    '{"user": {"b": 1, "a": [2.0]}, "stars": 2, "tags": []}',
    '{"user": "first", "stars": 3, "user": "second", "stars": 4}',
    '{"user": "é\\u00e9\\ud83d\\ude00", "stars": 3, "tags": [["a", "b"], ["c"]]}',
    '{"user": true, "stars": "3"}',
    '{"user": "", "stars": 0, "tags": "x"}',
    '{"user": "x", "stars": 1} {"user": "y", "stars": 1}',
    '\t{"stars": 1.25, "user": "spaces"}  ',
)


def good(i: int) -> str:
    return json.dumps({"user": f"u{i}", "stars": i % 5, "more": {"x": [i]}, "tags": ["a", str(i)]})


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


@settings(max_examples=40, deadline=None)
@given(
    pattern=st.lists(st.sampled_from(["good", "blank", *BAD]), min_size=1, max_size=40),
    repeat=st.integers(1, 20),
)
def test_malformed_lines_are_counted_and_the_rest_is_kept(
    tmp_path_factory: pytest.TempPathFactory, pattern: list[str], repeat: int
) -> None:
    kinds = pattern * repeat
    text = [good(i) if kind == "good" else kind for i, kind in enumerate(kinds)]
    text = ["" if line == "blank" else line for line in text]
    path = write(tmp_path_factory.mktemp("lines") / "x", "\n".join(text) + "\n")
    if set(kinds) == {"blank"}:
        with pytest.raises(UserError, match="blank lines only"):
            read_lines(path, FORM, 1.0)
        return
    lines = read_lines(path, FORM, 1.0)
    kept = [i for i, kind in enumerate(kinds) if kind == "good"]
    assert lines.frame["user"].to_list() == [f"u{i}" for i in kept]
    assert lines.n_lines == sum(kind != "blank" for kind in kinds)
    assert lines.n_malformed == lines.n_lines - len(kept)
    if lines.n_malformed:
        bad = next(i for i, kind in enumerate(kinds) if kind not in ("good", "blank"))
        assert lines.first_malformed == bad + 1


def test_too_many_malformed_lines_are_named(tmp_path: Path) -> None:
    text = [good(i) for i in range(300)]
    text[170], text[220] = "oops", "{}"
    path = write(tmp_path / "reviews.json", "\n".join(text))
    assert read_lines(path, FORM, 2 / 300).n_malformed == 2  # the limit itself is allowed
    with pytest.raises(UserError) as error:
        read_lines(path, FORM, 0.005)
    for part in ("reviews.json", "2 of 300", "0.67%", "0.50%", "line 171", "'oops'", "user, stars"):
        assert part in str(error.value)


@pytest.mark.parametrize("encoded", ["é".encode("latin-1"), b"\xff"])
def test_other_encodings_are_named_with_their_line(tmp_path: Path, encoded: bytes) -> None:
    path = write(tmp_path / "x", f"{good(0)}\n{good(1)}\n".encode() + b'{"user": "' + encoded)
    with pytest.raises(UserError, match=r"line 3: expected UTF-8.*0x.. at position 11"):
        read_lines(path, FORM, 1.0)


def test_other_encodings_in_delimited_lines(tmp_path: Path) -> None:
    schema = pl.Schema({"id": pl.String(), "stars": pl.Float64()})
    form = delimited(schema, ("id",), ",")
    path = write(tmp_path / "x.csv", "a,1\né,2\n".encode("latin-1"))
    with pytest.raises(UserError, match=r"x\.csv, line 2: expected UTF-8.*0xe9 at position 1"):
        read_lines(path, form, 1.0)


def test_latin_1_is_read_where_a_format_says_so(tmp_path: Path) -> None:
    schema = pl.Schema({"id": pl.String(), "title": pl.String()})
    form = delimited(schema, ("id",), "::", encoding="latin-1")
    path = write(tmp_path / "movies.dat", "1::Les Misérables: the film\n2::\n".encode("latin-1"))
    assert read_lines(path, form, 0.0).frame.rows() == [
        ("1", "Les Misérables: the film"),
        ("2", None),
    ]


def test_delimited_lines_of_another_width_are_malformed(tmp_path: Path) -> None:
    schema = pl.Schema({"id": pl.String(), "stars": pl.Float64()})
    form = delimited(schema, ("id",), ",", has_header=True)
    path = write(tmp_path / "x.csv", "id,stars\na,1\nb\nc,2,3\nd,\ne,x\r\nf,4\r\n")
    lines = read_lines(path, form, 1.0)
    assert lines.frame.rows() == [("a", 1.0), ("d", None), ("f", 4.0)]
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (6, 3, 3)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere cannot be read: No such file"):
        head(tmp_path / "nowhere", 1)


RATING = pl.Schema({"user": pl.String(), "stars": pl.Float64()})
NAMED = delimited(RATING, ("user", "stars"), ",", has_header=True)


def test_a_header_that_comes_again_is_malformed(tmp_path: Path) -> None:
    names = pl.Schema(dict.fromkeys(("id", "title"), pl.String()))
    form = delimited(names, ("id",), ",", has_header=True)
    path = write(tmp_path / "x.csv", "id,title\n1,id,title\n" * 2)
    with pytest.raises(UserError, match="3 of 3"):  # "1,id,title" has a field too many
        read_lines(path, form, 0.5)
    path = write(tmp_path / "x.csv", "id,title\n" + "1,an id\n" * 500 + "id,title\nid,title2\n")
    lines = read_lines(path, form, 0.5)
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (502, 1, 502)
    assert lines.frame.row(-1) == ("id", "title2")
    path = write(tmp_path / "x.csv", "user,stars\na,1\nuser,stars\nb,2\n")
    assert read_lines(path, NAMED, 0.5).first_malformed == 3


def test_a_header_that_is_missing(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "a,1\nb,2\n")
    with pytest.raises(UserError, match=r"x\.csv, line 1: expected a header, found .*'a,1"):
        read_lines(path, NAMED, 1.0)


def test_the_wrong_separator_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", "user;stars\na;1\nb;2\n")
    with pytest.raises(UserError) as error:
        read_lines(path, NAMED, 0.5)
    for part in ("2 of 2", "line 2: 'a;1'", "2 fields split by ',' with user, stars"):
        assert part in str(error.value)


@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e999", "", "1,5", "five"])
@pytest.mark.parametrize("json_line", [False, True])
def test_numbers_that_are_none(tmp_path: Path, value: str, json_line: bool) -> None:
    if json_line:
        line, form = '{"user": "b", "stars": %s}', FORM
        value = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}.get(value, value)
    else:
        line, form = "b,%s", delimited(RATING, ("user", "stars"), ",")
    text = "\n".join([line % 1] * 300 + [line % value] + [line % 2])
    lines = read_lines(write(tmp_path / "x", text), form, 0.5)
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (302, 1, 301)
    assert lines.frame["stars"].sum() == 302


@pytest.mark.parametrize("number", ["9223372036854775808", "1e999", "1e300", "2.5", "true"])
def test_whole_numbers_that_are_none(tmp_path: Path, number: str) -> None:
    form = json_lines(pl.Schema({"time": pl.Int64()}), ("time",))
    path = write(tmp_path / "x", f'{{"time": {number}}}\n{{"time": 1e3}}\n{{"time": 5}}')
    lines = read_lines(path, form, 1.0)
    assert lines.frame.rows() == [(1000,), (5,)]
    assert (lines.n_lines, lines.first_malformed) == (3, 1)


def test_nul_bytes_spoil_their_line_alone(tmp_path: Path) -> None:
    text = [f"u{i},{i}" for i in range(400)]
    text[123] = "u1\x0023,123"
    path = write(tmp_path / "x", "\n".join(text))
    lines = read_lines(path, delimited(RATING, ("user", "stars"), ","), 0.5)
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (400, 1, 124)
    assert lines.frame["stars"].to_list() == [float(i) for i in range(400) if i != 123]


def test_lines_that_are_too_long_are_malformed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 64)
    monkeypatch.setattr(blocks_module, "LINE_BYTES", 80)
    text = [good(i) for i in range(9)]
    text[4] = '{"user": "%s", "stars": 1}' % ("x" * 500)
    lines = read_lines(write(tmp_path / "x", "\n".join(text)), FORM, 0.5)
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (9, 1, 5)
    assert lines.frame["user"].to_list() == [f"u{i}" for i in range(9) if i != 4]
    with pytest.raises(UserError, match=r"line 5: '\{\"user\": \"xxxx"):
        read_lines(tmp_path / "x", FORM, 0.0)


def test_a_hopeless_file_is_not_read_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blocks_module, "BLOCK_BYTES", 100)
    monkeypatch.setattr(parsing, "EARLY_LINES", 20)
    path = write(tmp_path / "x", "oops\n" * 1000 + f"{good(0)}\n" * 1000)
    with pytest.raises(UserError, match=r": (\d\d) of the first \1 lines"):
        read_lines(path, FORM, 0.3)
    assert read_lines(path, FORM, 1.0).n_malformed == 1000
    path = write(tmp_path / "x", f"{good(0)}\n" * 1000 + "oops\n" * 900)
    assert read_lines(path, FORM, 0.5).n_malformed == 900


def test_utf_8_is_read_where_a_format_says_latin_1(tmp_path: Path) -> None:
    form = delimited(RATING, ("user",), ",", encoding="latin-1")
    assert read_lines(write(tmp_path / "x", "é,1\n"), form, 0.0).frame.item(0, 0) == "é"
    path = write(tmp_path / "x", "é,1\n".encode("latin-1"))
    assert read_lines(path, form, 0.0).frame.item(0, 0) == "é"


@pytest.mark.parametrize("text", ["a,1\r\nb,2\r\n", "a,1\n\n  \nb,2", "\ufeffa,1\n\r\nb,2\n\n"])
@pytest.mark.parametrize("quote", [None, '"'])
def test_line_ends_and_marks_of_all_systems(tmp_path: Path, text: str, quote: str | None) -> None:
    form = delimited(RATING, ("user", "stars"), ",", quote=quote)
    lines = read_lines(write(tmp_path / "x", text), form, 0.0)
    assert lines.frame.rows() == [("a", 1.0), ("b", 2.0)]
    assert lines.n_lines == 2


def test_quoted_fields_that_are_missing_are_not_filled_up(tmp_path: Path) -> None:
    form = delimited(RATING, ("user",), ",", quote='"')
    path = write(tmp_path / "x", 'a,1\n"b,c",2\nd\n"e,f"\n"g"\nh,\n')
    lines = read_lines(path, form, 1.0)
    assert lines.frame.rows() == [("a", 1.0), ("b,c", 2.0), ("h", None)]
    assert (lines.n_lines, lines.n_malformed, lines.first_malformed) == (6, 3, 3)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=6), st.integers(0, 5))
def test_a_line_gives_the_same_row_in_any_company(
    tmp_path_factory: pytest.TempPathFactory, chosen: list[str], at: int
) -> None:
    """Whether Polars reads it in a block, or it is read alone because its block has a bad line."""
    folder = tmp_path_factory.mktemp("lines")
    alone = [read_lines(write(folder / "x", line), FORM, 1.0).frame for line in chosen]
    together = read_lines(write(folder / "x", "\n".join(chosen)), FORM, 1.0).frame
    spoiled = [*chosen[:at], "oops", *chosen[at:]]
    fallen_back = read_lines(write(folder / "x", "\n".join(spoiled)), FORM, 1.0).frame
    assert together.rows() == pl.concat(alone).rows() == fallen_back.rows()


def test_python_literals_are_read_but_never_run(tmp_path: Path) -> None:
    form = json_lines(SCHEMA, ("user",), literals=True)
    path = write(
        tmp_path / "x",
        "{'user': 'it\\'s', 'stars': 4, 'tags': [['Home', 'Bath'], ['Gifts']]}\n"
        "{'user': __import__('os').getcwd()}\n",
    )
    lines = read_lines(path, form, 1.0)
    assert lines.frame.rows() == [("it's", 4.0, ["Home", "Bath"])]
    assert lines.n_malformed == 1


def test_names_in_the_first_line(tmp_path: Path) -> None:
    path = write(tmp_path / "x.csv", '"user, or id",b\n1,2\n')
    assert names_in_head(path, ",") == ["user, or id", "b"]
    with pytest.raises(UserError, match=r"x\.csv, line 1: expected the names of columns.*us\\rer"):
        names_in_head(write(path, "us\rer,b\n1,2\n"), ",")


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_share_outside_its_range(share: float) -> None:
    with pytest.raises(UserError, match="max_malformed must be from 0 to 1"):
        check_share(share)
