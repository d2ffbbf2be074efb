"""Whole or not at all: real kills, full disks, two processes at once, and damaged artifacts."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

from crossrec.artifacts import ArtifactStore, code_digest, key_of
from crossrec.errors import UserError
from crossrec.integrity import RECORD, check
from crossrec.locking import lock


def write_text(folder: Path) -> None:
    (folder / "deep").mkdir()
    (folder / "deep" / "text.txt").write_text("hello")
    (folder / "number.json").write_text("1")


def never(folder: Path) -> None:
    raise AssertionError("made again")


def start(script: str, *arguments: object) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", "from crossrec.artifacts import *\n" + script, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_made_once_then_reused(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "new" / "artifacts")
    place, reused = store.get_or_make("encode", {"seed": 1}, write_text)
    assert not reused
    assert place.name == f"encode-{key_of({'seed': 1})}"
    assert store.get_or_make("encode", {"seed": 1}, never) == (place, True)
    assert (place / "deep" / "text.txt").read_text() == "hello"
    record = json.loads((place / RECORD).read_text())
    assert record["stage"] == "encode"
    assert record["inputs"] == {"seed": 1}
    assert record["files"]["deep/text.txt"] == {
        "bytes": 5,
        "sha256": "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824",
    }
    assert os.listdir(store.folder) == [place.name]


def test_other_inputs_or_another_stage_are_another_artifact(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    places = {
        store.get_or_make(stage, {"seed": seed}, write_text)[0]
        for stage in ("encode", "source")
        for seed in (1, 2)
    }
    assert len(places) == 4


def test_key_does_not_depend_on_the_order_of_keys() -> None:
    one = key_of({"a": 1, "b": {"c": None, "d": [1.5, True, "x"]}})
    assert one == key_of({"b": {"d": [1.5, True, "x"], "c": None}, "a": 1})
    assert one != key_of({"a": 1, "b": {"c": None, "d": [True, 1.5, "x"]}})
    assert len(one) == 16


@pytest.mark.parametrize(
    ("inputs", "message"),
    [
        ({"folder": Path("x")}, r"inputs\['folder'\] is a PosixPath"),
        ({"a": {"b": [1, (2, 3)]}}, r"inputs\['a'\]\['b'\]\[1\] is a tuple"),
        ({"a": {1: 2}}, r"inputs\['a'\] has the key 1"),
    ],
)
def test_inputs_are_plain(tmp_path: Path, inputs: dict[str, object], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        ArtifactStore(tmp_path).get_or_make("encode", inputs, never)


def test_a_make_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        write_text(folder)
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        ArtifactStore(tmp_path).get_or_make("encode", {}, fail)
    assert os.listdir(tmp_path) == []


def test_killed_in_the_middle_leaves_no_artifact_and_the_next_run_cleans_up(tmp_path: Path) -> None:
    script = """
import sys
def make(folder):
    (folder / "half").write_text("x")
    print("half made", flush=True)
    sys.stdin.read()
ArtifactStore(Path(sys.argv[1])).get_or_make("encode", {}, make)
"""
    process = start(script, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "half made\n"
    store = ArtifactStore(tmp_path)
    store.get_or_make("other", {}, write_text)
    partial = [name for name in os.listdir(tmp_path) if name.endswith(".tmp")]
    assert len(partial) == 1  # the process lives, so another run lets its folder be
    process.send_signal(signal.SIGKILL)
    process.communicate()
    place, reused = store.get_or_make("encode", {}, write_text)
    assert not reused
    assert not (place / "half").exists()
    assert not [name for name in os.listdir(tmp_path) if name.startswith(".")]


def test_a_second_process_waits_for_what_the_first_makes(tmp_path: Path) -> None:
    script = """
import logging, sys
logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(message)s")
def make(folder):
    (folder / "who").write_text(sys.argv[2])
    print("half made", flush=True)
    sys.stdin.readline()
place, reused = ArtifactStore(Path(sys.argv[1])).get_or_make("encode", {}, make)
print(reused, (place / "who").read_text())
"""
    first = start(script, tmp_path, "first")
    assert first.stdout is not None
    assert first.stdout.readline() == "half made\n"
    second = start(script, tmp_path, "second")
    assert second.stdout is not None
    assert second.stdout.readline() == "encode     another process is making it: waiting\n"
    assert first.communicate("\n")[0] == "False first\n"
    assert second.communicate()[0] == "True first\n"
    assert len(os.listdir(tmp_path)) == 1


def test_without_locks_two_processes_at_once_keep_one_whole_artifact(tmp_path: Path) -> None:
    script = """
import errno, fcntl, sys
def no_locks(handle, how): raise OSError(errno.ENOLCK, "no locks here")
fcntl.flock = no_locks
def make(folder):
    (folder / "who").write_text(sys.argv[2])
    print("made", flush=True)
    sys.stdin.readline()
place, reused = ArtifactStore(Path(sys.argv[1])).get_or_make("encode", {}, make)
print(place.name, reused, (place / "who").read_text())
"""
    processes = [start(script, tmp_path, who) for who in ("a", "b")]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "made\n"  # both are in the middle now
    outputs = [process.communicate("\n")[0].split() for process in processes]
    assert [output[1:] for output in outputs] == [["False", "a"], ["False", "a"]]
    assert os.listdir(tmp_path) == [outputs[0][0]]
    check(tmp_path / outputs[0][0])


def test_a_full_disk_is_one_message_and_leaves_nothing(tmp_path: Path) -> None:
    """A limit on file size stands for the disk's end: the write fails in the system itself."""
    script = """
import resource, sys
import polars as pl
from crossrec.errors import UserError
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
def text(folder): (folder / "big").write_text("x" * 1_000_000)
def parquet(folder):
    table = pl.DataFrame({"a": range(100_000)})
    table.write_parquet(folder / "big", compression="uncompressed")
for make in (text, parquet):
    try:
        ArtifactStore(Path(sys.argv[1])).get_or_make("encode", {}, make)
    except UserError as error:
        print(error)
"""
    output, errors = start(script, tmp_path).communicate()
    assert errors == ""
    lines = output.splitlines()
    assert len(lines) == 2
    for line in lines:
        assert f"cannot write {tmp_path}" in line
        assert "a file grew beyond the allowed size" in line
        assert "bytes are free" in line
        assert "paths.artifacts" in line
    assert os.listdir(tmp_path) == []


def test_a_folder_that_cannot_be_is_one_message(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="a file stands where a folder should"):
        ArtifactStore(tmp_path / "file" / "artifacts").get_or_make("encode", {}, write_text)


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is forbidden to root")
def test_a_read_only_folder_is_one_message(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match="permission is denied"):
        ArtifactStore(tmp_path).get_or_make("encode", {}, write_text)


def test_a_fault_of_what_the_stage_reads_is_not_mistaken_for_ours(tmp_path: Path) -> None:
    def read(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", "/data/reviews.json")

    with pytest.raises(PermissionError):
        ArtifactStore(tmp_path).get_or_make("encode", {}, read)


@pytest.mark.parametrize("damage", ["missing", "size", "record", "empty record"])
def test_a_damaged_artifact_is_reported_and_made_again(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    store = ArtifactStore(tmp_path)
    place, _ = store.get_or_make("encode", {}, write_text)
    if damage == "missing":
        (place / "number.json").unlink()
    elif damage == "size":
        (place / "number.json").write_text("12")
    elif damage == "record":
        (place / RECORD).unlink()
    else:
        (place / RECORD).write_text("{}")
    assert store.get_or_make("encode", {}, write_text) == (place, False)
    assert "is damaged" in caplog.text
    check(place)
    assert os.listdir(tmp_path) == [place.name]


def test_check_reads_every_byte(tmp_path: Path) -> None:
    def table(folder: Path) -> None:
        pl.DataFrame({"a": [1, 2, 3]}).write_parquet(folder / "table.parquet")

    place, _ = ArtifactStore(tmp_path).get_or_make("encode", {}, table)
    check(place)
    content = bytearray((place / "table.parquet").read_bytes())
    content[8] ^= 1
    (place / "table.parquet").write_bytes(content)
    with pytest.raises(UserError, match=r"table\.parquet is not what was written"):
        check(place)


def test_a_flipped_byte_is_noticed_named_and_made_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Once a run: a store reads an artifact when it first meets it, and then knows it."""
    ArtifactStore(tmp_path).get_or_make("encode", {}, write_text)
    run = ArtifactStore(tmp_path)
    place, reused = run.get_or_make("encode", {}, never)
    assert reused
    (place / "deep" / "text.txt").write_text("hellp")
    assert run.get_or_make("encode", {}, never) == (place, True)
    assert ArtifactStore(tmp_path).get_or_make("encode", {}, write_text) == (place, False)
    assert f"{place} is damaged (deep/text.txt is not what was written" in caplog.text
    assert (place / "deep" / "text.txt").read_text() == "hello"
    assert os.listdir(tmp_path) == [place.name]


def test_a_lock_that_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path)
    place, _ = store.get_or_make("encode", {}, write_text)
    (tmp_path / f".{place.name}.lock").touch()
    with lock(tmp_path / ".other.lock", lambda: None):
        store.get_or_make("encode", {}, never)
        assert sorted(os.listdir(tmp_path)) == [".other.lock", place.name]


def test_code_digest_sees_content_and_names_but_not_the_place(tmp_path: Path) -> None:
    for checkout in ("one", "two"):
        (tmp_path / checkout / "models").mkdir(parents=True)
        (tmp_path / checkout / "models" / "a.py").write_text("x = 1\n")
        (tmp_path / checkout / "models" / "a.pyc").write_text(checkout)
    one, two = (tmp_path / checkout / "models" for checkout in ("one", "two"))
    before = code_digest(one)
    assert before == code_digest(two)
    (two / "a.py").write_text("x = 2\n")
    changed = code_digest(two)
    (two / "a.py").rename(two / "b.py")
    assert len({before, changed, code_digest(two), code_digest(one, two)}) == 4
    with pytest.raises(FileNotFoundError):
        code_digest(tmp_path / "absent")
