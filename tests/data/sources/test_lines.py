"""Blocks of lines: every line counts once, bad ones are found, broken files say what is wrong."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.sources import lines as lines_module
from crossrec.data.sources.formats import delimited, json_lines
from crossrec.data.sources.lines import check_share, head, read_lines
from crossrec.errors import UserError

SCHEMA = pl.Schema({"user": pl.String(), "stars": pl.Float64(), "tags": pl.List(pl.String())})
FORM = json_lines(SCHEMA, ("user", "stars"))
BAD = ("no json", "{}", "[1]", "null", '{"user": "u"}', '{"user": "u", "stars": "five"}', "{'user'")


def good(i: int) -> str:
    return json.dumps({"user": f"u{i}", "stars": i % 5, "more": {"x": [i]}, "tags": ["a", str(i)]})


def write(path: Path, text: str | bytes, packed: bool = False) -> Path:
    content = text.encode() if isinstance(text, str) else text
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("block_bytes", [40, 1000, 1 << 20])
def test_blocks_of_any_size_give_every_line_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packed: bool, block_bytes: int
) -> None:
    monkeypatch.setattr(lines_module, "BLOCK_BYTES", block_bytes)
    path = write(tmp_path / "x", "\n".join(map(good, range(200))), packed)  # no newline at the end
    lines = read_lines(path, FORM, 0.0)
    assert (lines.n_lines, lines.n_malformed) == (200, 0)
    assert lines.frame["user"].to_list() == [f"u{i}" for i in range(200)]
    assert lines.frame["tags"].to_list() == [["a", str(i)] for i in range(200)]


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


def test_truncated_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", "\n".join(map(good, range(500))), packed=True)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UserError, match=r"x\.gz ends early.*truncated"):
        read_lines(path, FORM, 1.0)


def test_damaged_gzip(tmp_path: Path) -> None:
    path = write(tmp_path / "x.gz", "\n".join(map(good, range(500))), packed=True)
    content = bytearray(path.read_bytes())
    content[200:260] = bytes(60)
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"x\.gz is damaged"):
        read_lines(path, FORM, 1.0)


@pytest.mark.parametrize("packed", [False, True])
def test_empty_file(tmp_path: Path, packed: bool) -> None:
    with pytest.raises(UserError, match="x is empty"):
        read_lines(write(tmp_path / "x", "", packed), FORM, 1.0)


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"nowhere cannot be read: No such file"):
        head(tmp_path / "nowhere", 1)


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


@pytest.mark.parametrize("share", [-0.1, 1.5, float("nan")])
def test_share_outside_its_range(share: float) -> None:
    with pytest.raises(UserError, match="max_malformed must be from 0 to 1"):
        check_share(share)
