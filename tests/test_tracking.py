"""Curves, metrics, tables and plots arrive where they were sent."""

import json
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from wandb.proto import wandb_internal_pb2

from crossrec.configuration.composing import CONF

Command = Callable[..., Any]


def test_csv_keeps_curves_in_the_run_folder(
    command: Command, tiny: list[str], tmp_path: Path
) -> None:
    assert (
        command(*tiny, f"paths.artifacts={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}").code == 0
    )
    for stage in ("source", "scratch", "transfer"):
        curve = pl.read_csv(tmp_path / "run" / "curves" / stage / "metrics.csv")
        assert curve["valid/ndcg@10"].drop_nulls().len() == 2
        assert curve["train/loss"].drop_nulls().len() == 2


def test_tensorboard(command: Command, tiny: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    ran = command(
        *tiny, "logger=tensorboard", f"paths.artifacts={tmp_path}", f"hydra.run.dir={run}"
    )
    assert ran.code == 0, ran.err
    curves = EventAccumulator(str(run / "tensorboard" / "transfer")).Reload()
    assert [event.step for event in curves.Scalars("valid/ndcg@10")] == [0, 1]
    events = EventAccumulator(str(run / "tensorboard" / "results")).Reload()
    results = pl.read_csv(run / "results.csv")
    for address, model, users in (
        ("test/target/ndcg@10", "transferred", "all"),
        ("test/target/scratch/cold/ndcg@10", "scratch", "cold"),
    ):
        row = results.filter(model=model, users=users, metric="ndcg@10")
        assert events.Scalars(address)[0].value == pytest.approx(row["value"].item(), rel=1e-6)
    assert "valid/target/ndcg@10" in events.Tags()["scalars"]
    assert events.Tags()["images"] == ["ndcg@10", "data"]
    text = events.Tensors("results/text_summary")[0].tensor_proto.string_val[0].decode()
    assert "item-knn" in text


def records(file: Path) -> Iterator[Any]:
    """The records of a .wandb file, which is a LevelDB log after 7 bytes of header."""
    data, position, parts = file.read_bytes(), 7, b""
    while position + 7 <= len(data):
        room = 32_768 - position % 32_768
        if room < 7:
            position += room
            continue
        _, length, kind = struct.unpack_from("<IHB", data, position)
        parts += data[position + 7 : position + 7 + length]
        position += 7 + length
        if kind in (1, 4):  # whole, or the last part
            record = wandb_internal_pb2.Record()
            record.ParseFromString(parts)
            parts = b""
            yield record


@pytest.fixture
def logged_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine that never saw W&B, without a connection."""
    for name in ("WANDB_API_KEY", "WANDB_MODE", "WANDB_IDENTITY_TOKEN_FILE", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    monkeypatch.setenv("WANDB_CONFIG_DIR", str(tmp_path / "no-config"))
    monkeypatch.setenv("WANDB_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("WANDB_DATA_DIR", str(tmp_path / "staged"))
    for proxy in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")


@pytest.mark.usefixtures("logged_out")
def test_wandb_offline(command: Command, tiny: list[str], tmp_path: Path) -> None:
    ran = command(
        "-m",
        *tiny,
        "cleaning.min_user=1,500",  # the second job finds nobody
        "logger=wandb",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ran.code == 1
    assert "error: 1 of the jobs failed: 1" in ran.err
    assert ran.out.count("W&B offline: you are not logged in") == 2
    assert "wandb:" not in ran.out + ran.err
    files = [
        next((tmp_path / "sweep" / job / "wandb").glob("offline-run-*/*.wandb")) for job in "01"
    ]
    sent, failed = (list(records(file)) for file in files)
    assert [record.exit.exit_code for record in sent if record.HasField("exit")] == [0]
    assert [record.exit.exit_code for record in failed if record.HasField("exit")] == [1]

    config = next(record.run.config for record in sent if record.HasField("run"))
    told = {item.key: json.loads(item.value_json) for item in config.update}
    assert told["transfer"]["lambda"] == 1.0
    history: dict[str, str] = {}
    for record in sent:
        history |= {
            item.key or ".".join(item.nested_key): item.value_json for item in record.history.item
        }
    results = pl.read_csv(tmp_path / "sweep" / "0" / "results.csv")
    row = results.filter(model="transferred", users="all", metric="ndcg@10")
    assert float(history["test/target/ndcg@10"]) == pytest.approx(row["value"].item())
    assert {
        "source/valid/ndcg@10",
        "scratch/train/loss",
        "transfer/valid/ndcg@10",
    } <= history.keys()
    # Of each of two epochs what was reached so far (for W&B's early_terminate), then of the run.
    reached = [
        json.loads(item.value_json)
        for record in sent
        for item in record.history.item
        if "valid/target/ndcg@10" in (item.key, *item.nested_key)
    ]
    assert len(reached) == 3
    assert reached == sorted(reached)
    assert reached[1] == pytest.approx(reached[2])
    for sweep in (CONF.parent / "sweeps").glob("*.yaml"):
        assert yaml.safe_load(sweep.read_text())["metric"]["name"] in history
    media = files[0].parent / "files" / "media"
    table = json.loads(next(media.glob("table/results/table*.json")).read_text())
    assert table["columns"] == ["model", "users", "metric", "value", "low", "high"]
    assert len(table["data"]) == results.height
    assert list(media.glob("images/results/*.png"))
