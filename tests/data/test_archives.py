"""Archives: files come out as they went in; bombs, traversal and damage are refused by name."""

import gzip
import io
import os
import shutil
import stat
import struct
import tarfile
import tracemalloc
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.archives import extract, members
from crossrec.errors import UserError

FILES = {"set/readme.txt": b"hello", "set/deep/ratings.csv": b"u,i,5\n" * 9000, "empty.csv": b""}
MIB = 1 << 20


def make_zip(path: Path, files: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as held:
        held.mkdir("set")
        for name, content in files.items():
            held.writestr(name, content)
    return path


def make_tar(path: Path, files: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as held:
        folder = tarfile.TarInfo("./set/")
        folder.type = tarfile.DIRTYPE
        held.addfile(folder)
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            held.addfile(info, io.BytesIO(content))
    return path


def make_tar_gz(path: Path, files: dict[str, bytes]) -> Path:
    return make_tar(path, files, "w:gz")


KINDS = pytest.mark.parametrize("make", [make_zip, make_tar, make_tar_gz])
Make = Callable[[Path, dict[str, bytes]], Path]


def add_link(path: Path, kind: bytes) -> None:
    info = tarfile.TarInfo("set/link")
    info.type, info.linkname = kind, "/etc/passwd"
    with tarfile.open(path, "w") as held:
        held.addfile(info)


def refused(archive: Path, member: str, reason: str, target: Path) -> None:
    """Both functions refuse, naming archive and member, and nothing is written."""
    for call in (lambda: members(archive), lambda: extract(archive, member, target)):
        with pytest.raises(UserError) as error:
            call()
        for part in (str(archive), member, reason):
            assert part in str(error.value)
    assert not list(target.parent.glob("out*"))


@KINDS
def test_files_come_out_as_they_went_in(tmp_path: Path, make: Make) -> None:
    archive = make(tmp_path / "a", FILES)
    assert members(archive) == {name: len(content) for name, content in FILES.items()}
    for name, content in FILES.items():
        target = extract(archive, name, tmp_path / "new" / Path(name).name)
        assert target.read_bytes() == content
    (tmp_path / "new" / "readme.txt").write_bytes(b"what was there before, and longer")
    extract(archive, "set/readme.txt", tmp_path / "new" / "readme.txt")
    assert (tmp_path / "new" / "readme.txt").read_bytes() == b"hello"
    assert sorted(os.listdir(tmp_path / "new")) == ["empty.csv", "ratings.csv", "readme.txt"]


@settings(max_examples=20, deadline=None)
@given(
    st.sampled_from([make_zip, make_tar, make_tar_gz]),
    st.dictionaries(st.from_regex(r"[a-z]{1,5}(/[a-zé ]{1,4}x)?", fullmatch=True), st.binary()),
)
def test_any_files(
    tmp_path_factory: pytest.TempPathFactory, make: Make, files: dict[str, bytes]
) -> None:
    folder = tmp_path_factory.mktemp("a")
    archive = make(folder / "a", files)
    assert members(archive) == {name: len(content) for name, content in files.items()}
    for name, content in files.items():
        assert extract(archive, name, folder / "out").read_bytes() == content


@KINDS
def test_a_member_that_is_not_there(tmp_path: Path, make: Make) -> None:
    archive = make(tmp_path / "a", FILES)
    with pytest.raises(UserError, match=r"a holds no ratings\.csv, but set/readme\.txt, set/deep"):
        extract(archive, "ratings.csv", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


@KINDS
@pytest.mark.parametrize(
    "name", ["../up", "set/../../up", "/etc/up", "C:\\up", "..\\up", "\\\\host\\share\\up"]
)
def test_paths_that_lead_out(tmp_path: Path, make: Make, name: str) -> None:
    archive = make(tmp_path / "a", {"fine": b"", name: b"x"})
    refused(archive, repr(name)[1:-1] if "\\" in name else name, "leads out", tmp_path / "out")


@KINDS
def test_names_with_dots_that_lead_nowhere(tmp_path: Path, make: Make) -> None:
    archive = make(tmp_path / "a", {"./v1..2/...x": b"dots"})
    (name,) = members(archive)
    assert extract(archive, name, tmp_path / "out").read_bytes() == b"dots"


@pytest.mark.parametrize(
    "kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE]
)
def test_links_and_devices_in_a_tar(tmp_path: Path, kind: bytes) -> None:
    add_link(tmp_path / "a", kind)
    refused(tmp_path / "a", "set/link", "no plain file", tmp_path / "out")


def test_a_link_in_a_zip(tmp_path: Path) -> None:
    info = zipfile.ZipInfo("set/link")
    info.create_system, info.external_attr = 3, (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a", "w") as held:
        held.writestr(info, "/etc/passwd")
    refused(tmp_path / "a", "set/link", "it is a link", tmp_path / "out")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("again", ["b", "./b"])
def test_names_that_repeat(tmp_path: Path, again: str) -> None:
    with zipfile.ZipFile(tmp_path / "a", "w") as held:
        held.writestr("b", "one")
        held.writestr(again, "two")
    refused(tmp_path / "a", again, "occurs twice", tmp_path / "out")
    with tarfile.open(tmp_path / "t", "w") as tar:
        for name in ("b", again):
            tar.addfile(tarfile.TarInfo(name))
    refused(tmp_path / "t", again, "occurs twice", tmp_path / "out")


@pytest.fixture(scope="module")
def bombs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """What unpacks to 100 MiB, each at most some 150 kB on disk."""
    folder = tmp_path_factory.mktemp("bombs")
    zeros = bytes(100 * MIB)
    with zipfile.ZipFile(folder / "one.zip", "w", zipfile.ZIP_DEFLATED) as held:
        held.writestr("bomb", zeros)
    with zipfile.ZipFile(folder / "many.zip", "w", zipfile.ZIP_DEFLATED) as held:
        for number in range(10):
            held.writestr(f"bomb{number}", zeros[: 10 * MIB])
    with tarfile.open(folder / "one.tar.gz", "w:gz") as tar:
        info = tarfile.TarInfo("bomb")
        info.size = len(zeros)
        tar.addfile(info, io.BytesIO(zeros))
    # The name of a member, stored in a header of its own, is the bomb.
    header = tarfile.TarInfo("././@LongLink")
    header.type, header.size = tarfile.GNUTYPE_LONGNAME, len(zeros)
    with gzip.open(folder / "name.tar.gz", "wb") as file:
        file.write(header.tobuf() + zeros)
    assert all(path.stat().st_size < 150_000 for path in folder.iterdir())
    return {path.name: path for path in folder.iterdir()}


@pytest.mark.parametrize(
    ("name", "member", "reason"),
    [
        ("one.zip", "'bomb'", "bytes unpack to 104,857,600, over 200 times"),
        ("many.zip", "'all files together'", "bytes unpack to 104,857,600, over 200 times"),
        ("one.tar.gz", "", "bytes unpack to more than"),
        ("name.tar.gz", "", "a header of 104,857,600 bytes"),
    ],
)
def test_bombs_are_refused_within_bounded_memory(
    bombs: dict[str, Path], tmp_path: Path, name: str, member: str, reason: str
) -> None:
    tracemalloc.start()
    refused(bombs[name], member, reason, tmp_path / "out")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 * MIB


def patched(archive: Path, name: str, at: int, value: int) -> None:
    """Change four bytes of what the directory of a zip says of a member, after its name is known.

    Offsets as in the format: 16 the CRC, 20 the packed size, 24 the unpacked size.
    """
    content = bytearray(archive.read_bytes())
    entry = content.find(b"PK\x01\x02")
    while content[entry + 46 : entry + 46 + len(name)] != name.encode():
        entry = content.index(b"PK\x01\x02", entry + 1)
    content[entry + at : entry + at + 4] = struct.pack("<L", value)
    archive.write_bytes(content)


def test_more_bytes_than_promised(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"b": b"x" * 1000})
    patched(archive, "b", 24, 10)
    patched(archive, "b", 16, zlib.crc32(b"x" * 10))
    with pytest.raises(UserError, match=r"Bad CRC|more than the 10 bytes"):
        extract(archive, "b", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


def test_less_bytes_than_promised(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"b": b"x" * 1000})
    patched(archive, "b", 24, 5000)
    with pytest.raises(UserError, match="'b': it holds 1,000 of the 5,000 bytes"):
        extract(archive, "b", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


def test_a_wrong_checksum(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"b": b"x" * 1000})
    patched(archive, "b", 16, 1)
    with pytest.raises(UserError, match="Bad CRC-32 for file 'b'"):
        extract(archive, "b", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


def test_overlapping_members(tmp_path: Path) -> None:
    """As in a bomb without repeats: many entries of the directory name the same packed bytes."""
    archive = make_zip(tmp_path / "a", {"b": b"x", "c": b"y"})
    patched(archive, "b", 20, 100)
    refused(archive, "'b'", "overlaps", tmp_path / "out")


def test_encrypted_and_unknown_methods(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", {"b": b"x"})
    content = bytearray(archive.read_bytes())
    at = content.rindex(b"PK\x01\x02")
    content[at + 8] |= 1
    archive.write_bytes(content)
    refused(archive, "'b'", "encrypted", tmp_path / "out")
    with zipfile.ZipFile(tmp_path / "z", "w", zipfile.ZIP_BZIP2) as held:
        held.writestr("b", "x")
    refused(tmp_path / "z", "'b'", "another method", tmp_path / "out")


@KINDS
def test_a_cut_archive_never_gives_half_a_file(tmp_path: Path, make: Make) -> None:
    content = make(tmp_path / "a", FILES).read_bytes()
    for size in range(0, len(content) - 1, max(1, len(content) // 150)):
        (tmp_path / "a").write_bytes(content[:size])
        try:
            extract(tmp_path / "a", "set/deep/ratings.csv", tmp_path / "out")
        except UserError:
            assert not (tmp_path / "out").exists()
        else:  # a plain tar ends in blocks of zeros, of which one is enough
            assert make is make_tar
            assert (tmp_path / "out").read_bytes() == FILES["set/deep/ratings.csv"]
            (tmp_path / "out").unlink()


@KINDS
def test_a_flipped_bit_is_noticed_or_does_no_harm(tmp_path: Path, make: Make) -> None:
    content = make(
        tmp_path / "a", {"ratings.csv": FILES["set/deep/ratings.csv"][:600]}
    ).read_bytes()
    for at in range(0, len(content), max(1, len(content) // 400)):
        broken = bytearray(content)
        broken[at] ^= 1 << at % 8
        (tmp_path / "a").write_bytes(broken)
        try:
            extract(tmp_path / "a", "ratings.csv", tmp_path / "out")
        except UserError:
            assert not (tmp_path / "out").exists()
        else:  # a plain tar has no checksum of what it holds
            changed = (tmp_path / "out").read_bytes() != FILES["set/deep/ratings.csv"][:600]
            assert not changed or make is make_tar
            (tmp_path / "out").unlink()


def test_no_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = make_zip(tmp_path / "a", FILES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: type("Usage", (), {"free": 100}))
    with pytest.raises(UserError, match=r"ratings\.csv of .*: 54,000 bytes needed, 100 free"):
        extract(archive, "set/deep/ratings.csv", tmp_path / "out")
    assert os.listdir(tmp_path) == ["a"]


def test_a_target_that_cannot_be_written(tmp_path: Path) -> None:
    archive = make_zip(tmp_path / "a", FILES)
    with pytest.raises(UserError, match=r"cannot unpack empty\.csv of .*: File exists"):
        extract(archive, "empty.csv", archive / "out")
    with pytest.raises(UserError, match=r"cannot write .*: Is a directory"):
        extract(archive, "empty.csv", tmp_path)
    assert not list(tmp_path.parent.glob(".*.tmp"))


@pytest.mark.parametrize("content", [b"", b"PK", b"BZh91AY&SY", b"7z\xbc\xaf\x27\x1c", b"a" * 2000])
def test_what_is_no_archive(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a").write_bytes(content)
    with pytest.raises(UserError, match=r"a is no whole zip, tar or tar\.gz file"):
        members(tmp_path / "a")


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nowhere cannot be read: No such file"):
        members(tmp_path / "nowhere")
    with pytest.raises(UserError, match="cannot be read: Is a directory"):
        members(tmp_path)
