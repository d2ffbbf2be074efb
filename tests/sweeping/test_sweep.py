"""The command: real trials of a tiny marketplace, by workers that are killed, without test."""

import dataclasses
import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from crossrec import sweep
from crossrec.data.pair import DomainPair
from crossrec.locking import lock
from crossrec.stages import main_job as stages

Command = Callable[..., Any]
LAMBDAS, MUS = (0, 1, 100), (0, 1)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the sweeps of this file share."""
    return tmp_path_factory.mktemp("artifacts")


def sweep_file(folder: Path, tiny: list[str], **changed: Any) -> Path:
    """A grid over lambda and mu, as W&B has it, but for what is changed."""
    node = {
        "program": "crossrec/train.py",
        "command": [
            *("${env}", "${interpreter}", "-m", "crossrec.train"),
            *tiny,
            *("logger=wandb", "${args_no_hyphens}"),
        ],
        "method": "grid",
        "metric": {"name": "valid/target/ndcg@10", "goal": "maximize"},
        "parameters": {
            "transfer.lambda": {"values": list(LAMBDAS)},
            "transfer.mu": {"values": list(MUS)},
        },
    }
    file = folder / "tiny.yaml"
    file.write_text(yaml.safe_dump({**node, **changed}, sort_keys=False))
    return file


def test_workers_killed_in_the_middle_lose_and_repeat_nothing(
    tiny: list[str],
    shared: Path,
    tmp_path: Path,
    command: Command,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "sweep"
    told = [str(sweep_file(tmp_path, tiny)), "--folder", str(folder), f"paths.artifacts={shared}"]
    process = subprocess.Popen(
        [sys.executable, "-m", "crossrec.sweep", *told, "--workers", "2"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    while "trial" not in process.stdout.readline().partition("]")[2][:6]:
        assert process.poll() is None
    process.kill()
    process.communicate(timeout=60)  # the pipe closes only when the other worker is gone, too
    done = {file.parent.name: file for file in folder.glob("trials/*/record.json")}
    before = {name: file.stat().st_mtime_ns for name, file in done.items()}

    assert sweep.main(told) == 0
    out = capsys.readouterr().out
    again = {line.split()[2] for line in out.splitlines() if "] trial " in line}
    assert 0 < len(again) < 6
    for number in {*"012345"} - again:  # what was finished is as it was
        assert done[f"000{number}"].stat().st_mtime_ns == before[f"000{number}"]

    trials = pl.read_csv(folder / "trials.csv")
    assert trials["trial"].to_list() == list(range(6))
    assert set(trials["state"]) == {"finished"}
    points = trials.select("transfer.lambda", "transfer.mu").rows()
    assert points == list(itertools.product(LAMBDAS, MUS))
    assert trials["ndcg@10"][0] == trials["ndcg@10"][1]  # lambda = 0 is fine-tuning, whatever mu
    assert len(list(shared.glob("source-*"))) == 1
    assert pl.read_csv(folder / "importance.csv").height == 2
    assert {"parallel.png", "lambda_mu.png"} <= {file.name for file in folder.iterdir()}

    # The winner alone has test; its experiment file says it again.
    assert list(tmp_path.rglob("per_user.parquet")) == [folder / "best" / "per_user.parquet"]
    for config in folder.glob("trials/*/config.yaml"):
        assert yaml.safe_load(config.read_text())["evaluation"]["test"] is False
    row = trials.sort("ndcg@10", descending=True, maintain_order=True).row(0, named=True)
    config = yaml.safe_load((folder / "best" / "config.yaml").read_text())
    assert config["transfer"]["lambda"] == row["transfer.lambda"]
    assert config["transfer"]["mu"] == row["transfer.mu"]
    run = tmp_path / "again"
    where = ["--config-dir", folder, f"paths.artifacts={shared}", f"hydra.run.dir={run}"]
    data = next(setting for setting in tiny if setting.startswith("paths.data"))
    assert command(*where, "+experiment=best", data).code == 0
    for name in ("results.csv", "config.yaml"):
        assert (run / name).read_bytes() == (folder / "best" / name).read_bytes()

    # A third time there is nothing to do.
    assert sweep.main(told) == 0
    out = capsys.readouterr().out
    assert "6 of them finished before" in out
    assert "the winner has been run" in out
    assert "] trial " not in out


class Unread:
    """Stands where test queries do."""

    def __getattribute__(self, name: str) -> Any:
        raise AssertionError("test was read")

    def __len__(self) -> int:
        raise AssertionError("test was read")


def test_trials_never_read_test(
    tiny: list[str], shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_test(data: Path) -> DomainPair:
        pair = load(data)
        source, target, alone = (
            dataclasses.replace(domain, test=Unread())
            for domain in (pair.source, pair.target, pair.target_only)
        )
        return dataclasses.replace(pair, source=source, target=target, target_only=alone)

    load = stages.load_pair
    monkeypatch.setattr(stages, "load_pair", without_test)
    file = sweep_file(tmp_path, tiny, parameters={"transfer": {"values": ["l2_sp", "guarded"]}})
    folder = tmp_path / "sweep"
    with pytest.raises(AssertionError, match="test was read"):  # by the winner
        sweep.main([str(file), "--folder", str(folder), f"paths.artifacts={shared}"])
    assert pl.read_csv(folder / "trials.csv")["state"].to_list() == ["finished", "finished"]
    assert not list(tmp_path.rglob("results.csv"))


def test_trials_that_fall_behind_end_early(tiny: list[str], shared: Path, tmp_path: Path) -> None:
    file = sweep_file(
        tmp_path,
        [*tiny, "trainer.max_epochs=3"],
        method="random",
        run_cap=5,
        early_terminate={"type": "hyperband", "min_iter": 1, "eta": 2},
        parameters={
            "transfer.lambda": {"distribution": "log_uniform_values", "min": 0.1, "max": 1000},
            "transfer.anchor": {"value": "source"},
        },
    )
    folder = tmp_path / "sweep"
    assert sweep.main([str(file), "--folder", str(folder), f"paths.artifacts={shared}"]) == 0
    trials = pl.read_csv(folder / "trials.csv")
    assert set(trials["state"]) == {"finished", "ended early"}
    ended = trials.filter(state="ended early")
    assert ended["epochs"].min() == 1
    assert ended["ndcg@10"].max() <= trials.filter(state="finished")["ndcg@10"].max()
    for row in trials.iter_rows(named=True):
        # Of what was ended nothing is kept but its curve.
        record = folder / "trials" / f"{row['trial']:04}" / "record.json"
        assert ("validation" in record.read_text()) == (row["state"] == "finished")


def test_a_failing_trial_stops_nothing_but_three_in_a_row_do(
    tiny: list[str], shared: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    told = ["--folder", str(tmp_path / "a"), f"paths.artifacts={shared}"]
    file = sweep_file(tmp_path, tiny, parameters={"transfer.lambda": {"values": [-1, 1]}})
    assert sweep.main([str(file), *told]) == 1
    wrote = capsys.readouterr()
    assert "failed: transfer.lambda must be >= 0, got -1" in wrote.out
    assert wrote.err == "error: 1 of the trials failed: 0\n"
    assert (tmp_path / "a" / "best" / "results.csv").exists()
    trials = pl.read_csv(tmp_path / "a" / "trials.csv")
    assert trials["state"].to_list() == ["failed", "finished"]
    assert trials["error"][0] == "transfer.lambda must be >= 0, got -1"

    told[1] = str(tmp_path / "b")
    file = sweep_file(tmp_path, tiny, parameters={"transfer.lambda": {"values": [-1, -2, -3, 1]}})
    assert sweep.main([str(file), *told]) == 1
    assert "3 trials in a row failed, the last one with: transfer" in capsys.readouterr().err


def test_what_is_refused(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def refused(file: Path, folder: Path, *overrides: str) -> str:
        assert sweep.main([str(file), "--folder", str(folder), *overrides]) == 1
        wrote = capsys.readouterr()
        assert "Traceback" not in wrote.err
        return wrote.err

    file, folder = sweep_file(tmp_path, tiny), tmp_path / "sweep"
    assert "--workers must be" in refused(file, folder, "--workers", "0")
    assert "did you mean transfer.lambda?" in refused(file, folder, "transfer.lamda=1")
    assert "seed must be a whole number" in refused(file, folder, "seed=-1")
    assert not folder.exists()
    (tmp_path / "file").write_text("")
    assert "set --folder to another folder" in refused(file, tmp_path / "file" / "sweep")
    folder.mkdir()
    with lock(folder / ".sweep.lock", lambda: None):
        assert f"another command runs the sweep in {folder}" in refused(file, folder)
    halving = {"type": "hyperband", "min_iter": 1}
    file = sweep_file(tmp_path, [*tiny, "trainer=ddp"], early_terminate=halving)
    assert "early_terminate needs trainer.devices=1" in refused(file, folder)


def test_help_waits_for_nothing_heavy() -> None:
    script = (
        "import sys\nfrom crossrec import sweep\n"
        "try: sweep.main(['--help'])\n"
        "except SystemExit: assert not {'torch', 'optuna', 'polars'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "SWEEP.yaml" in done.stdout
