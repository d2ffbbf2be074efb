"""Sweeps: of Hydra, over a grid in one command; of W&B, whose file must compose."""

import itertools
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from omegaconf import OmegaConf
from wandb.sdk.launch.sweeps.utils import create_sweep_command, create_sweep_command_args

from crossrec.configuration.composing import CONF, check_config
from crossrec.configuration.overrides import compose_overrides
from crossrec.evaluation.results import read_values
from crossrec.sweeping.space import ends
from crossrec.sweeping.sweep_file import read_sweep

Command = Callable[..., Any]
SWEEPS = sorted((CONF.parent / "sweeps").glob("*.yaml"))


def test_a_grid_leaves_a_folder_a_job_and_one_table(
    command: Command, tiny: list[str], tmp_path: Path
) -> None:
    ran = command(
        "-m",
        *tiny,
        "transfer.lambda=0,1",
        "transfer.mu=0,1",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ran.code == 0, ran.err
    jobs = {path.parent.name: path for path in (tmp_path / "sweep").glob("*/results.csv")}
    assert sorted(jobs) == ["0", "1", "2", "3"]
    for number, (strength, pull) in enumerate(itertools.product((0, 1), (0, 1))):
        config = yaml.safe_load((jobs[str(number)].parent / "config.yaml").read_text())
        assert (config["transfer"]["lambda"], config["transfer"]["mu"]) == (strength, pull)
    # lambda = 0 is fine-tuning, whatever mu; ridge is not.
    values = [read_values(jobs[str(number)]) for number in range(3)]
    assert values[0].equals(values[1])
    assert not values[0].equals(values[2])
    assert ran.out.count("source     made") == ran.out.count("scratch    made") == 1
    assert ran.out.count("source     reused") == 3
    assert ran.out.count("transfer   made") == 4
    assert all((run.parent / "data.png").exists() for run in jobs.values())
    assert len(list((tmp_path / "artifacts").glob("describe-*"))) == 1  # drawn once for all

    runs = pl.read_csv(tmp_path / "sweep" / "report" / "runs.csv")
    assert runs.select("lambda", "mu").unique().height == 4
    settings = (tmp_path / "sweep" / "report" / "settings.md").read_text()
    assert settings.count("transferred") >= 4
    assert list((tmp_path / "sweep" / "report").glob("*.png"))
    assert f"report: {tmp_path / 'sweep' / 'report'}" in ran.out
    assert ran.out.count("transferred vs scratch") == 0  # one table over all, not one a job


def test_a_failing_job_does_not_stop_the_others(
    command: Command, tiny: list[str], tmp_path: Path
) -> None:
    ran = command(
        "-m",
        *tiny,
        "transfer.lambda=0,-1,1",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ran.code == 1
    done = sorted(path.parent.name for path in (tmp_path / "sweep").glob("[0-9]/results.csv"))
    assert done == ["0", "2"]
    failed = tmp_path / "sweep" / "1" / "error.txt"
    assert failed.read_text() == "transfer.lambda must be >= 0, got -1\n"
    assert "error: 1 of the jobs failed: 1" in ran.err
    assert "Traceback" not in ran.err
    assert (tmp_path / "sweep" / "report" / "runs.csv").exists()


def test_a_misspelt_sweep_is_refused_before_its_first_job(command: Command, tmp_path: Path) -> None:
    ran = command("-m", "transfer.lamda=0,1", f"hydra.sweep.dir={tmp_path / 'sweep'}")
    assert ran.code == 1
    assert "there is no setting transfer.lamda; did you mean transfer.lambda?" in ran.err
    assert not list((tmp_path / "sweep").glob("*/train.log"))


@pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="needs two processor cores")
def test_two_ranks_within_a_sweep(command: Command, tiny: list[str], tmp_path: Path) -> None:
    ran = command(
        "-m",
        *tiny,
        "transfer=scratch",
        "trainer=ddp",
        "trainer.accelerator=cpu",
        "training.events_per_batch=64",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ran.code == 0, ran.err
    assert ran.err == ""
    assert ran.out.count("epoch 1 of 2") + ran.out.count("epoch 2 of 2") == 3
    results = pl.read_csv(tmp_path / "sweep" / "0" / "results.csv")
    assert {"scratch", "transferred", "zero-shot"} <= set(results["model"])
    assert (tmp_path / "sweep" / "0" / "curves" / "source" / "metrics.csv").exists()


def agent_command(sweep: dict[str, Any], values: dict[str, Any]) -> list[str]:
    """What `wandb agent` starts for these values: its own macros, without its service."""
    arguments = {name: {"value": value} for name, value in values.items()}
    macros = create_sweep_command_args({"args": arguments})
    macros |= {"env": ["/usr/bin/env"], "interpreter": ["python"], "program": [sweep["program"]]}
    made: list[str] = []
    for part in create_sweep_command(list(sweep["command"])):
        made += macros[part[2:-1]] if part.startswith("${") else [part]
    return made


def tried(file: Path) -> list[dict[str, Any]]:
    """All points of a grid; of another search both ends of each parameter."""
    search = read_sweep(file, [])
    return search.points() or [
        {name: ends(drawn)[end] for name, drawn in search.space.items()} for end in (0, 1)
    ]


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_a_wandb_sweep_composes(file: Path) -> None:
    sweep = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert (CONF.parent / sweep["program"]).is_file()
    for values in tried(file):
        head, overrides = (made := agent_command(sweep, values))[:4], made[4:]
        assert head == ["/usr/bin/env", "python", "-m", "crossrec.train"]
        assert {"logger=wandb", "evaluation.test=false"} <= set(overrides)
        cfg, choices = compose_overrides(overrides)
        check_config(cfg, choices)
        for name, value in values.items():
            assert OmegaConf.select(cfg, name) == value


def test_what_a_wandb_agent_starts_runs(
    command: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_MODE", "offline")
    sweep = yaml.safe_load((CONF.parent / "sweeps" / "lambda_mu.yaml").read_text())
    arguments = agent_command(sweep, {"transfer.lambda": 0.1, "transfer.mu": 0.25})[4:]
    run = tmp_path / "run"
    where = [f"paths.artifacts={tmp_path / 'artifacts'}", f"hydra.run.dir={run}"]
    ran = command(*arguments, *tiny[1:], *where)
    assert ran.code == 0, ran.err
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert (config["transfer"]["lambda"], config["transfer"]["mu"]) == (0.1, 0.25)
    assert list(run.glob("wandb/offline-run-*/*.wandb"))
    reached = json.loads((run / "record.json").read_text())["validation"]
    assert reached["transferred"].keys() == {"ndcg@10"}
    assert "in validation" in ran.out
    assert not (run / "results.csv").exists()


@pytest.mark.parametrize(
    ("launcher", "group"), [("joblib", ""), ("submitit", "_local"), ("ray", "")]
)
def test_launchers_of_hydra(
    command: Command, tiny: list[str], tmp_path: Path, launcher: str, group: str
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{launcher}_launcher")  # not in the lock
    ran = command(
        *("-m", *tiny, "transfer.lambda=0,1", f"hydra/launcher={launcher}{group}"),
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.sweep.dir={tmp_path / 'sweep'}",
    )
    assert ran.code == 0, ran.err
    jobs = {file.parent.name for file in (tmp_path / "sweep").glob("[01]/results.csv")}
    assert jobs == {"0", "1"}
    logs = [(tmp_path / "sweep" / job / "train.log").read_text() for job in "01"]
    for stage in ("source", "scratch"):  # the second waits for what the first makes
        assert sum(log.count(f"{stage:<10} made") for log in logs) == 1
    assert (tmp_path / "sweep" / "report" / "runs.csv").exists()


GROUPS = ("cleaning", "encoder", "objective", "pretraining", "split", "transfer", "model")


@pytest.mark.parametrize(
    "override",
    [
        f"{group}={file.stem}"
        for group in GROUPS
        for file in sorted((CONF / group).glob("*.yaml"))
        if "???" not in file.read_text(encoding="utf-8")  # which needs a name or a file
    ],
)
def test_every_option_of_a_group_is_accepted(override: str) -> None:
    cfg, choices = compose_overrides([override])
    check_config(cfg, choices)
