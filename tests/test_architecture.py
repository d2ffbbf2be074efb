"""The layers of DESIGN: who may import whom, and that every YAML says what its class takes."""

import ast
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from crossrec.data.cleaning import clean

REPOSITORY = Path(__file__).resolve().parents[1]
PACKAGE, CONF = REPOSITORY / "crossrec", REPOSITORY / "conf"

# From top to bottom; groups of one layer know nothing of each other.
LAYERS: list[list[set[str]]] = [
    [
        {
            "train",
            "sweep",
            "sweeping",
            "report",
            "reporting",
            "serve",
            "serving",
            "tracking",
            "run_record",
            "configuration",
            "data.__main__",
            "weights",
        }
    ],
    [{"stages"}],
    [{"training"}],
    [{"transfer"}],
    [{"models"}, {"encoders"}],
    [{"data"}],
    [{"evaluation"}],
    [{"losses"}, {"data.columns"}, {"folding"}],
]
# "" is crossrec itself: its version.
FOR_ALL = {"errors", "artifacts", "cost", "energy", "integrity", "locking", "lineage", "world", ""}

# A package, and the modules that may import it. Hydra is known to the commands (train, sweep and
# `python -m crossrec.data`) and to the modules that commands share: what turns what was written
# into settings, and what answers a mistake in it.
RESERVED = {
    "hydra": (
        "train",
        "sweep",
        "weights",
        "data.__main__",
        "configuration.composing",
        "configuration.overrides",
        "configuration.shell",
    ),
    "omegaconf": (
        "train",
        "sweep",
        "weights",
        "data.__main__",
        "configuration.composing",
        "configuration.overrides",
        "configuration.shell",
    ),
    "wandb": ("train", "sweep"),
    "optuna": ("sweeping",),
    "lightning": (
        "tracking",
        "configuration.rehearsal",
        "world",
        "stages.trainers",
        "training",
        "data.datamodule",
        "data.pair_datamodule",
    ),
    "pytorch_lightning": (),
    "pickle": (),
    "dill": (),
    "joblib": (),
}

MODULES = {
    ".".join(file.relative_to(PACKAGE).with_suffix("").parts)
    .removesuffix("__init__")
    .rstrip("."): (ast.parse(file.read_text(encoding="utf-8")))
    for file in sorted(PACKAGE.rglob("*.py"))
}


def imports(module: str) -> Iterator[str]:
    """Dotted names that a module imports, anywhere in its file; names of a package included."""
    for node in ast.walk(MODULES[module]):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import, line {node.lineno}"
            assert node.module is not None
            for alias in node.names:
                name = f"{node.module}.{alias.name}"
                ours = name.removeprefix("crossrec.") in MODULES
                yield name if ours else node.module


def inside(module: str, places: set[str] | tuple[str, ...]) -> bool:
    return any(module == place or module.startswith(f"{place}.") for place in places)


def place_of(module: str) -> tuple[int, int]:
    """Layer (0 is the top) and group in it; the longest name decides (data.columns, not data)."""
    found = [
        (max(len(name) for name in group if inside(module, {name})), layer, number)
        for layer, groups in enumerate(LAYERS)
        for number, group in enumerate(groups)
        if inside(module, group)
    ]
    assert found, f"crossrec.{module} is in no layer: give it a place in LAYERS"
    return max(found)[1:]


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_down(module: str) -> None:
    for name in imports(module):
        if name.partition(".")[0] != "crossrec":
            continue
        other = name.removeprefix("crossrec").removeprefix(".")
        if other in FOR_ALL:
            continue
        assert module not in FOR_ALL, f"crossrec.{module} is for all and may not import {name}"
        mine, theirs = place_of(module), place_of(other)
        assert theirs == mine or theirs[0] > mine[0], f"crossrec.{module} may not import {name}"


@pytest.mark.parametrize("module", sorted(MODULES))
def test_reserved_packages(module: str) -> None:
    for name in imports(module):
        allowed = RESERVED.get(name.partition(".")[0])
        assert allowed is None or inside(module, allowed), (
            f"crossrec.{module} may not import {name}"
        )


@pytest.mark.parametrize("module", sorted(MODULES))
def test_nothing_is_loaded_that_could_run_code(module: str) -> None:
    for node in ast.walk(MODULES[module]):
        called = ast.unparse(node.func) if isinstance(node, ast.Call) else ""
        assert called not in {"torch.load", "torch.save", "eval", "exec"}, f"{module}: {called}"
        given = {k.arg: ast.unparse(k.value) for k in getattr(node, "keywords", [])}
        assert "allow_pickle" not in given, module
        assert given.get("trust_remote_code", "False") == "False", module


def test_a_model_knows_data_by_its_vocabulary_alone() -> None:
    for module in (name for name in MODULES if inside(name, {"models", "encoders"})):
        of_data = {name for name in imports(module) if name.startswith("crossrec.data")}
        assert of_data <= {"crossrec.data.columns"}, f"crossrec.{module} imports {of_data}"


def test_the_rules_can_fail() -> None:
    assert place_of("models.sasrec") != place_of("encoders.text")
    assert place_of("models.sasrec")[0] == place_of("encoders.text")[0]
    assert (
        place_of("data.columns")[0] > place_of("evaluation.metrics")[0] > place_of("data.pair")[0]
    )
    with pytest.raises(AssertionError, match="in no layer"):
        place_of("utils")


def targets(node: Any) -> Iterator[dict[str, Any]]:
    """Every mapping with a `_target_`, at any depth."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node
        for value in node.values():
            yield from targets(value)
    elif isinstance(node, list):
        for value in node:
            yield from targets(value)


def unknown_keys(node: dict[str, Any]) -> set[str]:
    """Keys of a `_target_` mapping that what it names does not take by name."""
    module, _, name = node["_target_"].rpartition(".")
    parameters = inspect.signature(getattr(importlib.import_module(module), name)).parameters
    named = {
        parameter.name
        for parameter in parameters.values()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
    }
    hydra = {"_target_", "_partial_", "_convert_", "_recursive_", "_args_"}
    return set(node) - named - hydra


YAMLS = sorted(CONF.rglob("*.yaml"))
NAMES = [str(file.relative_to(CONF)) for file in YAMLS]


@pytest.mark.parametrize("file", YAMLS, ids=NAMES)
def test_every_target_exists_and_takes_the_keys_it_is_given(file: Path) -> None:
    for node in targets(yaml.safe_load(file.read_text(encoding="utf-8"))):
        assert not unknown_keys(node), f"{node['_target_']} does not take {unknown_keys(node)}"


@pytest.mark.parametrize("file", sorted(CONF.glob("cleaning/*.yaml")), ids=lambda file: file.stem)
def test_cleaning_takes_the_keys_it_is_given(file: Path) -> None:
    given = set(yaml.safe_load(file.read_text(encoding="utf-8"))) - {"defaults", "_target_"}
    assert given <= set(inspect.signature(clean).parameters)


def test_a_misspelt_key_is_found() -> None:
    right = {"_target_": "crossrec.models.sasrec.SASRec", "_partial_": True, "n_heads": 2}
    assert unknown_keys(right) == set()
    assert unknown_keys({**right, "n_head": 2}) == {"n_head"}


@pytest.mark.parametrize("file", sorted(CONF.glob("experiment/*.yaml")), ids=lambda file: file.stem)
def test_an_experiment_is_packaged_globally(file: Path) -> None:
    assert file.read_text(encoding="utf-8").startswith("# @package _global_\n")
