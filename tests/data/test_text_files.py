"""Texts of one's own: which files, what is read of them, and what is said of slips."""

import json
from pathlib import Path

import polars as pl
import pytest

from crossrec.data import text_files as module
from crossrec.data.text_files import text_blocks, text_files
from crossrec.errors import UserError


def read(path: Path) -> list[str]:
    return [text for block in text_blocks(text_files(path)) for text in block]


def test_three_formats_in_a_folder(tmp_path: Path) -> None:
    (tmp_path / "b.txt").write_text("\ufeffred lamp\n\n  two   spaces \r\na &amp; b\n")
    rows = [{"text": "oak chair", "other": 1}, {"text": ""}, {"text": "line\nbreak"}]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, rows)) + "\n\n")
    (tmp_path / "sub").mkdir()
    pl.DataFrame({"id": [1, 2], "text": ["steel pan", None]}).write_parquet(
        tmp_path / "sub" / "c.parquet"
    )
    (tmp_path / "notes.md").write_text("not read")
    expected = ["oak chair", "line break", "red lamp", "two spaces", "a & b", "steel pan"]
    assert read(tmp_path) == expected
    assert read(tmp_path / "b.txt") == expected[2:5]


def test_long_texts_are_cut_and_blocks_bounded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "BLOCK", 2)
    (tmp_path / "a.txt").write_text("word " * 300 + "\n" + "b\nc\nd\ne\n")
    pl.DataFrame({"text": list("fghij")}).write_parquet(tmp_path / "z.parquet")
    blocks = list(text_blocks(text_files(tmp_path)))
    assert [len(block) for block in blocks] == [2, 2, 1, 2, 2, 1]
    assert 990 < len(blocks[0][0]) <= 1000


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"text": "a"}\n{"text": }\n', "a.jsonl, line 2: Expecting value"),
        ("a.jsonl", b'{"text": "a"}\n\n{"title": "b"}\n', 'line 3: found no text under "text" '),
        ("a.jsonl", b"[1]\n", 'a.jsonl, line 1: found no text under "text" \\(list\\)'),
        ("a.jsonl", b'{"text": 3}\n', "line 1: found no text"),
        ("a.txt", b"good\n\xff\xfe\n", "a.txt, line 2: 'utf-8' codec can't decode"),
        ("a.txt", b"\n \n", "no text in .*a.txt"),
        ("a.parquet", b"nothing", "a.parquet: .*expected a .txt file"),
        ("a.csv", b"text\n", "a.csv is none: expected a .txt file with a text a line"),
    ],
)
def test_slips(tmp_path: Path, name: str, content: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=words):
        read(tmp_path / name)


def test_more_slips(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pretraining.corpus=.*none.txt does not exist: expected"):
        read(tmp_path / "none.txt")
    with pytest.raises(UserError, match="holds no such file"):
        read(tmp_path)
    pl.DataFrame({"title": ["a"], "text": [1]}).write_parquet(tmp_path / "a.parquet")
    with pytest.raises(UserError, match=r'no column "text" of strings among title \(String\), te'):
        read(tmp_path)
