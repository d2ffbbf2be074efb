"""W&B sweep files: what they mean here, and what is refused with its file and key."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from crossrec import sweep
from crossrec.configuration.overrides import as_experiment, merge, written
from crossrec.errors import UserError
from crossrec.sweeping.space import distribution
from crossrec.sweeping.sweep_file import Halving, read_sweep

BASE: dict[str, Any] = {
    "program": "crossrec/train.py",
    "command": ["${env}", "${interpreter}", "-m", "crossrec.train", "a=1", "${args_no_hyphens}"],
    "method": "grid",
    "metric": {"name": "valid/target/ndcg@10", "goal": "maximize"},
    "parameters": {"x": {"values": [1, 2]}, "y.z": {"values": ["p", None]}, "c": {"value": 3}},
}


def file_of(folder: Path, **changed: Any) -> Path:
    """A sweep file; None leaves a key out."""
    node = {key: value for key, value in {**BASE, **changed}.items() if value is not None}
    file = folder / "x.yaml"
    file.write_text(yaml.safe_dump(node, sort_keys=False))
    return file


def test_a_grid_in_order_with_its_overrides(tmp_path: Path) -> None:
    search = read_sweep(file_of(tmp_path), ["+b=2", "a=5"])
    assert search.fixed == ("a=5", "logger=csv", "c=3", "+b=2")
    points = search.points()
    assert [(point["x"], point["y.z"]) for point in points] == [
        (1, "p"), (1, None), (2, "p"), (2, None),
    ]  # fmt: skip
    assert search.n_trials == 4
    assert search.overrides(points[1])[-2:] == ["x=1", "y.z=null"]
    capped = read_sweep(file_of(tmp_path, run_cap=3), [])
    assert capped.points() == points[:3]


def test_trials_do_without_test_and_without_an_account(tmp_path: Path) -> None:
    command = [*BASE["command"][:-1], "logger=wandb", "evaluation.test=false", "${args_no_hyphens}"]
    fixed = read_sweep(file_of(tmp_path, command=command), []).fixed
    assert fixed == ("a=1", "logger=csv", "c=3")
    assert "logger=wandb" in read_sweep(file_of(tmp_path), ["logger=wandb"]).fixed


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ({"values": [0, 0.1]}, CategoricalDistribution([0, 0.1])),
        ({"values": [[8, 4], [16]]}, CategoricalDistribution(["[8,4]", "[16]"])),
        ({"distribution": "categorical", "values": ["a"]}, CategoricalDistribution(["a"])),
        ({"min": 1, "max": 4}, IntDistribution(1, 4)),
        ({"min": 1, "max": 4.0}, FloatDistribution(1, 4)),
        ({"distribution": "int_uniform", "min": 1, "max": 4}, IntDistribution(1, 4)),
        ({"distribution": "uniform", "min": 0, "max": 1}, FloatDistribution(0, 1)),
        (
            {"distribution": "q_uniform", "min": 8, "max": 31, "q": 8},
            IntDistribution(8, 24, step=8),
        ),
        (
            {"distribution": "q_uniform", "min": 0.0, "max": 0.6, "q": 0.1},
            FloatDistribution(0, 0.6, step=0.1),
        ),
        (
            {"distribution": "log_uniform_values", "min": 0.001, "max": 1},
            FloatDistribution(0.001, 1, log=True),
        ),
        (
            {"distribution": "log_uniform", "min": -1, "max": 0},
            FloatDistribution(math.exp(-1), 1, log=True),
        ),
        (
            {"distribution": "q_log_uniform_values", "min": 1, "max": 64},
            IntDistribution(1, 64, log=True),
        ),
        ({"distribution": "constant", "value": 3}, None),
    ],
)
def test_distributions(node: dict[str, Any], expected: BaseDistribution | None) -> None:
    assert distribution("file: key", node) == expected


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ({"min_iter": 3}, Halving(3, 3)),
        ({"min_iter": 2, "eta": 4}, Halving(2, 4)),
        ({"max_iter": 27, "s": 2}, Halving(3, 3)),
    ],
)
def test_early_termination(tmp_path: Path, said: dict[str, int], expected: Halving) -> None:
    file = file_of(tmp_path, early_terminate={"type": "hyperband", **said})
    assert read_sweep(file, []).halving == expected


PARAMETER = "parameters.x"


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"method": "bayesian"}, "method must be one of grid, random, bayes, got 'bayesian'"),
        ({"method": "random"}, "never ends: say how many trials, run_cap: 30"),
        ({"run_cap": 0}, "run_cap must be a whole number >= 1"),
        ({"parameters": {}}, "parameters must say what is swept"),
        ({"parameters": {"x": {"value": 1}}}, "nothing is swept"),
        ({"parameters": {"x": {}}}, f"{PARAMETER} must say value, values, or min and max"),
        ({"parameters": {"x": {"values": []}}}, f"{PARAMETER}.values must be a list of at least"),
        ({"parameters": {"x": {"values": [1, 1]}}}, f"{PARAMETER}.values has a value twice"),
        ({"parameters": {"x": {"min": 1}}}, f"{PARAMETER} .* needs max"),
        ({"parameters": {"x": {"min": "1e-4", "max": 1}}}, "write 1.0e-4"),
        ({"parameters": {"x": {"min": 2, "max": 1}}}, "min must be below max"),
        ({"parameters": {"x": {"distribution": "beta"}}}, f"{PARAMETER}.distribution: no 'beta'"),
        ({"parameters": {"x": {"min": 0.0, "max": 1}}}, "a grid needs values"),
        (
            {"parameters": {"x": {"values": [1], "probabilities": [1]}}},
            "no setting 'probabilities'",
        ),
        ({"parameters": {"x": {"parameters": {"y": {"value": 1}}}}}, "write them as a.b"),
        ({"metric": None}, "metric must have a name and a goal"),
        ({"metric": {"name": "test/target/ndcg@10"}}, "validation alone chooses"),
        ({"metric": {"name": "valid/target/ndcg@10"}}, "goal must be maximize .*, got 'minimize'"),
        ({"command": None}, "command must be a list with"),
        ({"command": ["python", "x.py", "${args_no_hyphens}"]}, "command must run crossrec.train"),
        ({"program": "x.py"}, "program must be crossrec/train.py"),
        (
            {"early_terminate": {"type": "envelope"}},
            "early_terminate.type must be one of hyperband",
        ),
        ({"early_terminate": {"type": "hyperband"}}, "early_terminate.max_iter must be"),
        ({"parameter": {}}, "no setting 'parameter'; did you mean parameters?"),
    ],
)
def test_what_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], changed: dict[str, Any], message: str
) -> None:
    file = file_of(tmp_path, **changed)
    with pytest.raises(UserError, match=message) as refused:
        read_sweep(file, [])
    assert str(refused.value).startswith(str(file))
    assert sweep.main([str(file), "--folder", str(tmp_path / "sweep")]) == 1
    assert capsys.readouterr().err.startswith(f"error: {file}")
    assert not (tmp_path / "sweep").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "cannot be read (No such file or directory)"),
        ("a: 1\nb: [1\nc: 2\n", "line 3: not YAML"),
        ("- 1\n", "needs method, metric and parameters"),
    ],
)
def test_what_is_no_sweep_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, message: str
) -> None:
    file = tmp_path / "x.yaml"
    if text is not None:
        file.write_text(text)
    assert sweep.main([str(file)]) == 1
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (["x=3"], "x=3: .*x.yaml sweeps over x; leave one out"),
        ([], "there is no setting"),
    ],
)
def test_overrides_that_do_not_fit(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], overrides: list[str], message: str
) -> None:
    assert sweep.main([str(file_of(tmp_path)), *overrides]) == 1
    assert re.search(message, capsys.readouterr().err)


def test_overrides_as_an_experiment() -> None:
    overrides = [
        "+experiment=home_to_electronics", "model=sasrec", "paths.data=d", "logger=wandb",
        "transfer.mu=0.5", "+data.reader.sizes.home.users=90", "evaluation.ks=[5,10]",
    ]  # fmt: skip
    text = as_experiment(overrides, "said")
    assert text.startswith("# @package _global_\n# said\n")
    assert yaml.safe_load(text) == {
        "defaults": ["home_to_electronics", {"override /model": "sasrec"}, "_self_"],
        "transfer": {"mu": 0.5},
        "data": {"reader": {"sizes": {"home": {"users": 90}}}},
        "evaluation": {"ks": [5, 10]},
    }
    for refused in ("~transfer", "transfer.mu=0,1"):
        with pytest.raises(UserError, match="plain overrides alone"):
            as_experiment([refused], "")


def test_what_overrides_write() -> None:
    assert written("a", True) == "a=true"
    assert written("a", [1, None, "x"]) == "a=[1,null,x]"
    assert written("a", "it's here") == "a='it\\'s here'"
    assert merge(["a=1", "b=2"], ["+a=3"]) == ["+a=3", "b=2"]
