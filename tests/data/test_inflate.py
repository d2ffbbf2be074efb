"""Gzip as a stream: what was packed comes out, bombs stop, damage is said, seeking is exact."""

import gzip
import io
import os
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.inflate import FREE_BYTES, MAX_RATIO, Inflating, is_bomb, is_gzip
from crossrec.errors import UserError

MIB = 1 << 20


def opened(path: Path) -> io.BufferedReader:
    return io.BufferedReader(Inflating(path), 1 << 16)


def test_a_bomb_stops_giving(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "one.gz", "wb") as file:
        for _ in range(100):
            file.write(bytes(MIB))
    with opened(tmp_path / "one.gz") as file:
        assert len(file.read(FREE_BYTES - MIB)) == FREE_BYTES - MIB
        with pytest.raises(UserError, match=r"one\.gz is refused: its first [\d,]+ bytes unpack"):
            file.read(2 * MIB)
    with opened(tmp_path / "one.gz") as file, pytest.raises(UserError, match="is refused"):
        file.seek(99 * MIB)


def test_the_limit_is_of_ratio_and_size() -> None:
    assert not is_bomb(FREE_BYTES, 0)
    assert is_bomb(FREE_BYTES + 1, 0)
    assert not is_bomb(MAX_RATIO * FREE_BYTES, FREE_BYTES)
    assert is_bomb(MAX_RATIO * FREE_BYTES + 1, FREE_BYTES)


def test_a_large_file_of_random_bytes_is_no_bomb(tmp_path: Path) -> None:
    block = os.urandom(MIB)
    with gzip.open(tmp_path / "a.gz", "wb", compresslevel=1) as file:
        for _ in range(FREE_BYTES // MIB + 2):
            file.write(block)
    with opened(tmp_path / "a.gz") as file:
        given_bytes = sum(len(piece) for piece in iter(lambda: file.read(MIB), b""))
    assert given_bytes == FREE_BYTES + 2 * MIB


@settings(max_examples=60, deadline=None)
@given(
    members=st.lists(st.binary(max_size=300), min_size=1, max_size=4),
    padding=st.integers(0, 40),
    steps=st.lists(st.tuples(st.integers(-50, 900), st.integers(0, 200)), max_size=8),
)
def test_reads_and_seeks_are_those_of_the_bytes(
    tmp_path_factory: pytest.TempPathFactory,
    members: list[bytes],
    padding: int,
    steps: list[tuple[int, int]],
) -> None:
    path = tmp_path_factory.mktemp("gz") / "a.gz"
    path.write_bytes(b"".join(map(gzip.compress, members)) + bytes(padding))
    plain = io.BytesIO(b"".join(members))
    with opened(path) as file:
        for offset, size in steps:
            if offset < 0:  # by so many from here
                offset = max(plain.tell() + offset, 0)
            offset = min(offset, len(plain.getvalue()))
            assert file.seek(offset) == plain.seek(offset)
            assert file.read(size) == plain.read(size)
            assert file.tell() == plain.tell()
        file.seek(0)
        assert file.read() == plain.getvalue()


def test_broken_files(tmp_path: Path) -> None:
    path = tmp_path / "a.gz"
    content = gzip.compress(b"line\n" * 500)
    for size in range(1, len(content)):
        path.write_bytes(content[:size])
        with opened(path) as file, pytest.raises(EOFError):
            file.read()
    for at in (-1, -6, 1):  # length, checksum, the mark of gzip
        broken = bytearray(content)
        broken[at] ^= 1
        path.write_bytes(broken)
        with opened(path) as file, pytest.raises(zlib.error):
            file.read()


def test_told_by_its_first_bytes(tmp_path: Path) -> None:
    for content, expected in ((gzip.compress(b""), True), (b"\x1f", False), (b"", False)):
        (tmp_path / "a").write_bytes(content)
        assert is_gzip(tmp_path / "a") == expected
