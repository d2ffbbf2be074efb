"""python -m crossrec.serve: what it says of a run that it cannot open."""

import json
import shutil
from pathlib import Path

import pytest

from crossrec import serve


@pytest.fixture
def copied(text_run: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(text_run, tmp_path / "copy"))


def said(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert serve.main([str(argument) for argument in arguments]) == 1
    return capsys.readouterr().err


def test_no_run(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert "no such folder" in said(capsys, tmp_path / "nothing")
    assert "is no run folder: it holds no config.yaml" in said(capsys, tmp_path)


def test_a_run_that_was_stopped(capsys: pytest.CaptureFixture[str], copied: Path) -> None:
    record = json.loads((copied / "record.json").read_text())
    del record["artifacts"]
    (copied / "record.json").write_text(json.dumps(record))
    assert "is no finished run" in said(capsys, copied)


def test_artifacts_that_are_gone(
    capsys: pytest.CaptureFixture[str], copied: Path, tmp_path: Path
) -> None:
    message = said(capsys, copied, "--artifacts", tmp_path)
    assert "stage collect" in message
    assert "python -m crossrec.train +experiment=home_to_electronics" in message
    assert "--artifacts DIR" in message


def test_an_artifact_that_is_damaged(
    capsys: pytest.CaptureFixture[str], copied: Path, tmp_path: Path
) -> None:
    record = json.loads((copied / "record.json").read_text())
    text = (copied / "config.yaml").read_text()
    place = next(line for line in text.splitlines() if "artifacts:" in line).split(": ")[1]
    moved = tmp_path / "artifacts"
    for name in record["artifacts"].values():
        shutil.copytree(Path(place) / name, moved / name)
    (moved / record["artifacts"]["transfer"] / "weights.safetensors").write_bytes(b"x")
    message = said(capsys, copied, "--artifacts", moved)
    assert "stage transfer" in message
    assert "1 bytes" in message


def test_a_configuration_of_another_version(
    capsys: pytest.CaptureFixture[str], copied: Path
) -> None:
    config = copied / "config.yaml"
    config.write_text(config.read_text().replace("transfer:", "carried:"))
    assert "is not a configuration that this version of crossrec reads" in said(capsys, copied)


def test_events_that_cannot_be_kept(
    capsys: pytest.CaptureFixture[str], text_run: Path, tmp_path: Path
) -> None:
    file = tmp_path / "nowhere" / "events.jsonl"
    assert "cannot be opened" in said(capsys, text_run, "--events", file)


def test_an_address_that_is_taken(capsys: pytest.CaptureFixture[str], text_run: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert f"cannot listen on 127.0.0.1:{port}" in said(capsys, text_run, "--port", port)
