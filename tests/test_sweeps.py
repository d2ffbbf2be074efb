"""Sweeps: of Hydra, over a grid in one command; of W&B, whose file must compose."""

import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import hydra
import polars as pl
import pytest
import yaml
from omegaconf import OmegaConf, open_dict
from wandb.sdk.launch.sweeps.utils import create_sweep_command_args

from crossrec.configuration.composing import CONF, check_config

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
    assert jobs["0"].read_bytes() == jobs["1"].read_bytes() != jobs["2"].read_bytes()
    assert ran.out.count("source     made") == ran.out.count("scratch    made") == 1
    assert ran.out.count("source     reused") == 3
    assert ran.out.count("transfer   made") == 4

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


def combinations(sweep: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every combination of a grid, as the W&B agent hands it over: name -> {"value": ...}."""
    names, values = zip(*((n, p["values"]) for n, p in sweep["parameters"].items()), strict=True)
    for chosen in itertools.product(*values):
        yield {name: {"value": value} for name, value in zip(names, chosen, strict=True)}


@pytest.mark.parametrize("file", SWEEPS, ids=lambda file: file.stem)
def test_a_wandb_sweep_composes(file: Path) -> None:
    sweep = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert sweep.keys() <= {
        "program", "command", "method", "metric", "parameters", "name", "description", "project",
    }  # fmt: skip
    assert sweep["method"] == "grid"  # else parameters may be distributions
    assert sweep["metric"]["goal"] in ("minimize", "maximize")
    assert (CONF.parent / sweep["program"]).is_file()
    before, after = ["${env}", "${interpreter}", "-m", "crossrec.train"], "${args_no_hyphens}"
    assert sweep["command"][:4] == before
    assert sweep["command"][-1] == after
    fixed = sweep["command"][4:-1]
    assert "logger=wandb" in fixed
    for arguments in combinations(sweep):
        overrides = [*fixed, *create_sweep_command_args({"args": arguments})["args_no_hyphens"]]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose("train", overrides, return_hydra_config=True)
        with open_dict(cfg):
            choices = cfg.pop("hydra").runtime.choices
        check_config(cfg, choices)
        for name, value in arguments.items():
            assert OmegaConf.select(cfg, name) == value["value"]


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
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = hydra.compose("train", [override], return_hydra_config=True)
    with open_dict(cfg):
        choices = cfg.pop("hydra").runtime.choices
    check_config(cfg, choices)
