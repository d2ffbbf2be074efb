"""Every run.sh of experiments/: what it would run composes, and (nightly) runs for a few steps.

The scripts are run themselves, in a copy, with a Python that writes down how it is called: loops,
functions and quoting are those of the shell, and nothing is computed.
"""

import importlib.util
import math
import os
import re
import shlex
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from crossrec import report
from crossrec.configuration.composing import check_config, compose, plain
from crossrec.configuration.overrides import compose_overrides, key_of, merge
from crossrec.configuration.values import check_values
from crossrec.errors import UserError
from crossrec.sweeping.sweep_file import read_sweep

Command = Callable[..., Any]
EXPERIMENTS = Path(__file__).resolve().parents[1] / "experiments"
# These two make environments of their own first, and run no command of crossrec by themselves.
MAKE_ENVIRONMENTS = {"container", "speed"}
SCRIPTS = sorted({path.parent.name for path in EXPERIMENTS.glob("*/run.sh")} - MAKE_ENVIRONMENTS)
STUB = """#!/bin/sh
{ printf '%s\\037' "$PWD" "$@"; printf '\\036'; } >> "$CALLS"
"""
A_FEW_STEPS = ["trainer.max_epochs=1", "+trainer.limit_train_batches=2"]
GROUPS = {  # a group's option -> what makes it short, where the option is not "off"
    "pretraining": ["pretraining.max_steps=2", "pretraining.retrieval_users=0"],
    "reranking": ["reranking.users=4", "reranking.tune_steps=0"],
}


def calls(name: str, folder: Path, real: Path | None = None) -> list[list[str]]:
    """Working directory and arguments of each call of Python by an experiment's run.sh.

    Args:
        folder: an empty one.
        real: stands where the usage line says REAL; a folder that holds nothing by default.
    """
    here = folder / "experiments" / name
    shutil.copytree(EXPERIMENTS / name, here, ignore=shutil.ignore_patterns("*.csv", "__pycache__"))
    script = (here / "run.sh").read_text()
    stub = folder / "bin" / "python"
    stub.parent.mkdir()
    stub.write_text(STUB)
    stub.chmod(0o755)
    usage = re.search(r"run\.sh((?: \[?[A-Z_]+\]?(?:\.\.\.)?)+)", script)
    arguments = []
    for word in re.findall(r"[A-Z_]+", usage[1] if usage else "REAL OUTPUT"):
        place = folder / word.lower()
        place.mkdir()
        counts = {"SEEDS": "0,1", "THREADS": "1"}
        given = real if real and "REAL" in word else place
        arguments.append(counts.get(word) or str(given))
        (place / "bin").symlink_to(stub.parent)  # an environment, if it is to be one
    log = folder / "calls"
    log.touch()
    shell = shlex.split(script.splitlines()[0].removeprefix("#!").replace("/usr/bin/env ", ""))
    done = subprocess.run(
        [*shell, str(here / "run.sh"), *arguments],
        env=os.environ
        | {"PATH": f"{stub.parent}:{os.environ['PATH']}", "PYTHON": str(stub), "CALLS": str(log)},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [call.split("\x1f")[:-1] for call in log.read_text().split("\x1e")[:-1]]


def swept(overrides: list[str]) -> dict[str, list[str]]:
    """Key -> its overrides in the jobs of a command: one, or several where a sweep gives values."""
    given = [override for override in overrides if override != "-m"]
    if "-m" not in overrides:
        return {override: [override] for override in given}
    return {
        override.input_line: [
            f"{override.input_line.partition('=')[0]}={value}"
            for value in override.sweep_string_iterator()
        ]
        if override.is_sweep_override()
        else [override.input_line]
        for override in OverridesParser.create().parse_overrides(given)
    }


def check_command(overrides: list[str], folder: Path, checked: set[str]) -> None:
    """The first job composes and its components can be made; so is every further value checked.

    Args:
        checked: what was found right before, which is left out.
    """
    options = swept(overrides)
    first = [values[0] for values in options.values()]
    told = " ".join(o for o in first if not key_of(o).startswith(("hydra", "paths")))
    if told in checked:
        return
    checked.add(told)
    cfg, choices = compose_overrides(first)
    check_config(cfg, choices)
    compose(cfg, folder)
    for line, values in options.items():
        key = key_of(line)
        for value in values[1:]:
            if f"{told} {value}" in checked:
                continue
            checked.add(f"{told} {value}")
            if key in choices:
                other = compose_overrides([value if o == values[0] else o for o in first])
                check_config(*other)
            else:
                changed = cfg.copy()
                parsed = OverridesParser.create().parse_override(value)
                OmegaConf.update(changed, key, parsed.value())
                check_values(plain(changed))


@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_composes(name: str, tmp_path: Path) -> None:
    made = calls(name, tmp_path)
    assert made, "it calls no Python"
    checked: set[str] = set()
    for where, first, *arguments in made:
        if first != "-m":  # a script of the experiment's own
            path = Path(where, first)
            compile(path.read_text(), first, "exec")
            continue
        module = arguments.pop(0)
        assert importlib.util.find_spec(module), module
        if module in ("crossrec.train", "crossrec.weights", "crossrec.data"):
            check_command(arguments, tmp_path, checked)
        elif module == "crossrec.sweep":
            read_sweep(EXPERIMENTS.parent / arguments[0])
        elif module == "crossrec.report":
            assert report.main(arguments) == 1  # it knows the options; no run is there


def test_scripts_can_be_started() -> None:
    scripts = list(EXPERIMENTS.rglob("*.sh"))
    assert len(scripts) > len(SCRIPTS)
    assert [str(path) for path in scripts if not os.access(path, os.X_OK)] == []


def test_values_of_a_sweep_are_told_apart() -> None:
    assert swept(["-m", "transfer=l2_sp,ewc", "seed=0,1,2", "evaluation.ks=[5,10]", "+a.b={}"]) == {
        "transfer=l2_sp,ewc": ["transfer=l2_sp", "transfer=ewc"],
        "seed=0,1,2": ["seed=0", "seed=1", "seed=2"],
        "evaluation.ks=[5,10]": ["evaluation.ks=[5,10]"],
        "+a.b={}": ["+a.b={}"],
    }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        (["transfer.lamda=1"], "lamda"),
        (["-m", "transfer.mu=0,1", "seed=0,-1"], "seed must be"),
        (["-m", "transfer=l2_sp,l2_ps"], "l2_ps"),
        (["-m", "transfer=cmf", "transfer.alpha=2"], "alpha"),
    ],
)
def test_a_line_that_would_be_refused_is_found(wrong: list[str], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        check_command(wrong, tmp_path, set())


@pytest.mark.nightly
@pytest.mark.parametrize("name", SCRIPTS)
def test_every_line_runs_for_a_few_steps(
    name: str, command: Command, real_data: Path, tmp_path: Path
) -> None:
    made = [call[3:] for call in calls(name, tmp_path, real_data) if call[2] == "crossrec.train"]
    if not made:
        pytest.skip(f"{name} trains by scripts of its own")
    for number, overrides in enumerate(made):
        job = [values[0] for values in swept(overrides).values()]
        cfg, choices = compose_overrides(job)
        if cfg.source_weights is not None:
            pytest.skip(f"{name} trains on what another command of it would have made")
        short = [o for group, few in GROUPS.items() if choices[group] != "off" for o in few]
        run = tmp_path / "runs" / str(number)
        kept = [override for override in job if key_of(override) != "hydra.sweep.dir"]
        ran = command(*merge(kept, A_FEW_STEPS, short, [f"hydra.run.dir={run}"]))
        if "cannot be downloaded" in ran.err:
            pytest.skip(f"{name} needs files that are not here: {ran.err.strip().splitlines()[-1]}")
        assert ran.code == 0, f"{shlex.join(overrides)}\n{ran.err}"
        results = pl.read_csv(run / "results.csv")
        ranked = results.filter(pl.col("metric") == "ndcg@10", pl.col("model") == "transferred")
        assert len(ranked) > 0
        assert all(math.isfinite(value) for value in ranked["value"])
