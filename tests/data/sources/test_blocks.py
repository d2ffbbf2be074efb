"""Blocks of whole lines, whatever the size of the pieces; files that are none say what is wrong."""

import gzip
import os
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.sources import blocks as blocks_module
from crossrec.data.sources.blocks import TooLong, blocks, blocks_ahead
from crossrec.errors import UserError

MIB = 1 << 20


def write(path: Path, content: bytes, packed: bool = False) -> Path:
    path.write_bytes(gzip.compress(content) if packed else content)
    return path


@settings(max_examples=150, deadline=None)
@given(
    lines=st.lists(st.binary(max_size=30).map(lambda x: x.replace(b"\n", b"").replace(b"\0", b""))),
    block_bytes=st.integers(1, 50),
    packed=st.booleans(),
    ended=st.booleans(),
)
def test_every_line_comes_once_or_is_marked_as_too_long(
    tmp_path_factory: pytest.TempPathFactory,
    lines: list[bytes],
    block_bytes: int,
    packed: bool,
    ended: bool,
) -> None:
    lines = [b"first", *lines, b"last"]
    content = b"\n".join(lines) + b"\n" * ended
    path = write(tmp_path_factory.mktemp("b") / "x", content, packed)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks_module, "BLOCK_BYTES", block_bytes)
        patch.setattr(blocks_module, "LINE_BYTES", max(block_bytes, 12))
        patch.setattr(blocks_module, "_SHOWN_BYTES", 4)
        found = list(blocks_ahead(path))
    assert all(block.endswith(b"\n") for block in found)
    assert not any(isinstance(block, TooLong) and block.count(b"\n") > 1 for block in found)
    limit = max(block_bytes, 12)
    expected = [line if len(line) <= limit else line[:4] for line in lines]
    assert b"".join(found).split(b"\n")[:-1] == expected
    n_long = sum(isinstance(block, TooLong) for block in found)
    assert n_long == sum(len(line) > limit for line in lines)


def test_a_line_without_end_takes_little_memory(tmp_path: Path) -> None:
    path = tmp_path / "x"
    with path.open("wb") as file:
        file.write(b'{"a": 1}\n')
        for _ in range(60):
            file.write(b"x" * MIB)
        file.write(b'\n{"a": 2}\n')
    tracemalloc.start()
    found = list(blocks(path))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert [type(block) for block in found] == [bytes, TooLong, bytes]
    assert (found[0], found[2]) == (b'{"a": 1}\n', b'{"a": 2}\n')
    assert peak < 25 * MIB


def test_truncated_gzip(tmp_path: Path) -> None:
    content = gzip.compress(os.urandom(3000))
    for size in range(2, len(content), 97):
        with pytest.raises(UserError, match=r"x\.gz ends early.*truncated"):
            list(blocks(write(tmp_path / "x.gz", content[:size])))


def test_damaged_gzip(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"%d\n" * 500 + os.urandom(600)))
    content[200:260] = bytes(60)
    with pytest.raises(UserError, match=r"x\.gz is damaged"):
        list(blocks(write(tmp_path / "x.gz", bytes(content))))


def test_a_wrong_checksum_of_a_gzip(tmp_path: Path) -> None:
    content = bytearray(gzip.compress(b"line\n" * 500))
    content[-6] ^= 1
    with pytest.raises(UserError, match=r"x\.gz is damaged .*incorrect data check"):
        list(blocks(write(tmp_path / "x.gz", bytes(content))))


def test_gzip_of_several_members(tmp_path: Path) -> None:
    content = gzip.compress(b"a\nb") + gzip.compress(b"") + gzip.compress(b"c\nd") + bytes(300)
    assert b"".join(blocks(write(tmp_path / "x.gz", content))) == b"a\nbc\nd\n"
    with pytest.raises(UserError, match="is damaged"):
        list(blocks(write(tmp_path / "x.gz", content + b"no gzip")))


def test_a_gzip_bomb_is_refused_before_it_unfolds(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "x.gz", "wb") as file:
        for _ in range(100):
            file.write(b'{"a": 1}\n' * (MIB // 9))
    assert (tmp_path / "x.gz").stat().st_size < MIB // 2
    with pytest.raises(UserError, match=r"x\.gz is refused: its first .* over 200 times as many"):
        for _ in blocks(tmp_path / "x.gz"):
            pass


@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("packed", [False, True])
def test_empty_files(tmp_path: Path, content: bytes, packed: bool) -> None:
    with pytest.raises(UserError, match="x is empty"):
        list(blocks(write(tmp_path / "x", content, packed)))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-be"])
@pytest.mark.parametrize("packed", [False, True])
def test_wide_text_is_named(tmp_path: Path, encoding: str, packed: bool) -> None:
    content = 'a,1\n{"Ünï": "çödé"}\n'.encode(encoding)
    with pytest.raises(UserError, match="x, line 1: expected UTF-8 text, found UTF-16"):
        list(blocks(write(tmp_path / "x", content, packed)))


def test_a_mark_of_utf_8_is_left_out(tmp_path: Path) -> None:
    assert list(blocks(write(tmp_path / "x", "\ufeffa\ufeff\n".encode()))) == ["a\ufeff\n".encode()]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_no_permission(tmp_path: Path) -> None:
    write(tmp_path / "x", b"a\n").chmod(0)
    with pytest.raises(UserError, match="x cannot be read: Permission denied"):
        list(blocks(tmp_path / "x"))


def test_what_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere cannot be read: No such file"):
        list(blocks(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        list(blocks(tmp_path))
