"""A W&B sweep file, read for Optuna: what is swept, how, and what chooses."""

import itertools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import yaml
from optuna.distributions import BaseDistribution, distribution_to_json

from crossrec.configuration.overrides import PLACES, key_of, merge, written
from crossrec.configuration.values import check_keys, one_of, whole
from crossrec.errors import UserError
from crossrec.sweeping.space import constant, distribution, grid

PROGRAM, MODULE, ARGUMENTS = "crossrec/train.py", "crossrec.train", "${args_no_hyphens}"
KEYS = (
    "program", "command", "method", "metric", "parameters", "early_terminate", "run_cap",
    "name", "description", "project", "entity",
)  # fmt: skip
BETTER: dict[str, Literal["maximize", "minimize"]] = {
    "valid/target/ndcg@10": "maximize",
    "valid/target/rmse": "minimize",
}


@dataclass(frozen=True)
class Halving:
    """Successive halving: of the trials that come to a rung, 1 / eta go on.

    Attributes:
        min_iter: epochs (validations) before the first rung; each next one is eta times as far.
        eta: at least 2.
    """

    min_iter: int
    eta: int


@dataclass(frozen=True)
class Sweep:
    """A sweep file, with what the command line adds.

    Attributes:
        file: where it was read.
        method: grid, random or bayes.
        metric: that chooses, "ndcg@10"; the transferred row's in validation.
        goal: maximize or minimize.
        fixed: overrides of every trial.
        space: swept key -> its distribution.
        n_trials: of the whole sweep.
        halving: which trials end early, or None.
    """

    file: Path
    method: str
    metric: str
    goal: Literal["maximize", "minimize"]
    fixed: tuple[str, ...]
    space: dict[str, BaseDistribution]
    n_trials: int
    halving: Halving | None

    def points(self) -> list[dict[str, Any]]:
        """What a grid tries, in order (the last key varies fastest); of other methods nothing."""
        if self.method != "grid":
            return []
        values = [
            grid(f"{self.file}: parameters.{name}", drawn) for name, drawn in self.space.items()
        ]
        chosen = itertools.islice(itertools.product(*values), self.n_trials)
        return [dict(zip(self.space, point, strict=True)) for point in chosen]

    def overrides(self, values: Mapping[str, Any]) -> list[str]:
        """The overrides of a trial."""
        return merge(self.fixed, [written(name, value) for name, value in values.items()])

    def identity(self) -> str:
        """All that a trial's result depends on, as canonical JSON; how many there are does not."""
        space = {name: json.loads(distribution_to_json(d)) for name, d in self.space.items()}
        node = {"method": self.method, "metric": self.metric, "goal": self.goal, "space": space}
        halving = vars(self.halving) if self.halving else None
        fixed = sorted(x for x in self.fixed if key_of(x).partition(".")[0] not in PLACES)
        return json.dumps({**node, "fixed": fixed, "early_terminate": halving}, sort_keys=True)


def read_sweep(file: Path, extra: Sequence[str]) -> Sweep:
    """Read a sweep file.

    Args:
        extra: overrides that every trial gets besides.

    Raises:
        UserError: it is missing, no YAML, or no sweep that can be run here; names file and key.
    """
    node = _yaml(file)
    check_keys(str(file), node, KEYS)
    method = str(node.get("method"))
    _must(file, "method", one_of("grid", "random", "bayes"), method)
    parameters = node.get("parameters")
    if not isinstance(parameters, dict) or not parameters:
        raise UserError(f"{file}: parameters must say what is swept, got {parameters!r}")
    drawn = {
        str(name): distribution(f"{file}: parameters.{name}", said)
        for name, said in parameters.items()
    }
    space = {name: d for name, d in drawn.items() if d is not None}
    if not space:
        raise UserError(f"{file}: parameters: nothing is swept, all values are constant")
    constants = [written(n, constant(parameters[n])) for n, d in drawn.items() if d is None]
    for override in extra:
        if key_of(override) in space:
            raise UserError(f"{override}: {file} sweeps over {key_of(override)}; leave one out")
    metric, goal = _metric(file, node.get("metric"))
    # A trial's own files say all; whoever wants it elsewhere says so on this command line. That
    # trials do without test is no choice.
    fixed = merge(_command(file, node), ["logger=csv"], constants, extra)
    fixed = [override for override in fixed if key_of(override) != "evaluation.test"]
    sweep = Sweep(
        file,
        method,
        metric,
        goal,
        tuple(fixed),
        space,
        _cap(file, node, method),
        _halving(file, node),
    )
    points = sweep.points()
    return sweep if not points else Sweep(**{**vars(sweep), "n_trials": len(points)})


def _yaml(file: Path) -> dict[str, Any]:
    try:
        node = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not text"
        raise UserError(f"{file}: cannot be read ({why}); give a W&B sweep file") from error
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        why = getattr(error, "problem", None) or "broken"
        raise UserError(f"{file}{line}: not YAML ({why})") from error
    if not isinstance(node, dict):
        raise UserError(f"{file}: no W&B sweep file: it needs method, metric and parameters")
    return node


def _command(file: Path, node: dict[str, Any]) -> list[str]:
    """The overrides that the file's command has besides those of its parameters."""
    if node.get("program", PROGRAM) != PROGRAM:
        raise UserError(f"{file}: program must be {PROGRAM}, got {node['program']!r}")
    command = node.get("command")
    if not isinstance(command, list) or ARGUMENTS not in command:
        raise UserError(
            f"{file}: command must be a list with {ARGUMENTS}: W&B's own way of writing "
            "arguments (--key=value) is none of Hydra's"
        )
    places = [place for place, said in enumerate(command) if said in (MODULE, "${program}")]
    if not places:
        raise UserError(f"{file}: command must run {MODULE} (-m {MODULE}, or ${{program}})")
    return [str(said) for said in command[places[0] + 1 :] if said != ARGUMENTS]


def _metric(file: Path, node: Any) -> tuple[str, Literal["maximize", "minimize"]]:
    """The metric's name in validation, and its goal."""
    if not isinstance(node, dict) or "name" not in node:
        raise UserError(f"{file}: metric must have a name and a goal, got {node!r}")
    check_keys(f"{file}: metric", node, ("name", "goal"))
    name, goal = str(node["name"]), node.get("goal", "minimize")
    if name not in BETTER:
        raise UserError(
            f"{file}: metric.name must be {' or '.join(BETTER)}, got {name!r}: validation alone "
            "chooses, test is ranked once, for the winner"
        )
    if goal != BETTER[name]:
        raise UserError(f"{file}: metric.goal must be {BETTER[name]} for {name}, got {goal!r}")
    return name.rpartition("/")[2], BETTER[name]


def _cap(file: Path, node: dict[str, Any], method: str) -> int:
    cap = node.get("run_cap")
    if cap is None and method != "grid":
        raise UserError(f"{file}: method {method} never ends: say how many trials, run_cap: 30")
    if cap is not None:
        _must(file, "run_cap", whole(1), cap)
    return cap or 2**31


def _halving(file: Path, node: dict[str, Any]) -> Halving | None:
    said = node.get("early_terminate")
    if said is None:
        return None
    if not isinstance(said, dict):
        raise UserError(f"{file}: early_terminate must have type and min_iter, got {said!r}")
    check_keys(f"{file}: early_terminate", said, ("type", "min_iter", "max_iter", "s", "eta"))
    _must(file, "early_terminate.type", one_of("hyperband"), said.get("type"))
    _must(file, "early_terminate.eta", whole(2), eta := said.get("eta", 3))
    if "min_iter" in said:
        _must(file, "early_terminate.min_iter", whole(1), said["min_iter"])
        return Halving(said["min_iter"], eta)
    for key in ("max_iter", "s"):  # W&B's other way: s rungs back from max_iter
        _must(file, f"early_terminate.{key}", whole(1), said.get(key))
    return Halving(max(1, said["max_iter"] // eta ** said["s"]), eta)


def _must(file: Path, key: str, rule: Any, value: Any) -> None:
    if not rule.holds(value):
        raise UserError(f"{file}: {key} must be {rule.expected}, got {value!r}")
