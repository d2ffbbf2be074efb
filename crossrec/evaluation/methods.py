"""What many runs hold, by data set and method: the settings that each method ran in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from crossrec.errors import UserError
from crossrec.evaluation.summary import (
    BASELINE,
    CANDIDATE,
    CEILING,
    LOWER_IS_BETTER,
    MODELS,
    SINGLE_DOMAIN,
    TUNED,
    model_order,
)
from crossrec.evaluation.sweeps import Run

DATA = (
    "data",
    "split",
    "cleaning",
    "identity",
    "evaluation",
)  # configuration that says what is measured on


@dataclass
class Setting:
    """One setting of a method.

    Attributes:
        options: what was asked for on the command line, and not by all runs.
        validation: seed -> what it reached in validation, and by which metric.
        per_user: seed -> per-user table of the run with that seed, its world (which simulated
            users are others in) and folder added; the last, if it ran twice.
        scratch: seed -> that of scratch in the same run.
    """

    options: str
    validation: dict[int | None, tuple[str, float]] = field(default_factory=dict)
    per_user: dict[int | None, pl.DataFrame] = field(default_factory=dict)
    scratch: dict[int | None, pl.DataFrame] = field(default_factory=dict)


def by_data(runs: Sequence[Run]) -> dict[str, dict[str, list[Setting]]]:
    """Data set -> method -> its settings; runs without a per-user table are left out.

    Raises:
        UserError: a per-user table or a record cannot be read.
    """
    common = set.intersection(*(set(run.overrides) for run in runs))
    several_models = len({run.config.get("model._target_") for run in runs}) > 1
    found: dict[str, dict[str, dict[str, Setting]]] = {}
    read = [
        (run, *read_per_user(run)) for run in runs if (run.folder / "per_user.parquet").exists()
    ]
    several_metrics = len({_monitor(record) for _, _, record in read}) > 1
    for run, per_user, record in read:
        asked = [text for text in run.overrides if text not in common]
        methods = found.setdefault(_title(run, asked), {})
        tables = {str(name): table for (name,), table in per_user.group_by("model")}
        for row in sorted(tables.keys() - {CEILING}, key=model_order):
            name, options = _named(row, run, asked, several_models)
            if several_metrics and row not in TUNED:  # an error and a ranking cannot be compared
                name += f" by {_monitor(record)}"
            setting = methods.setdefault(name, {}).setdefault(options, Setting(options))
            setting.per_user[run.seed] = tables[row]
            if row not in SINGLE_DOMAIN and BASELINE in tables:
                setting.scratch[run.seed] = tables[BASELINE]
            for metric, value in record.get("validation", {}).get(row, {}).items():
                setting.validation[run.seed] = metric, value
    return {
        title: {name: list(settings.values()) for name, settings in methods.items()}
        for title, methods in found.items()
    }


def read_per_user(run: Run) -> tuple[pl.DataFrame, dict]:
    """The per-user table of a run, with its world and folder, and the run's record.

    Raises:
        UserError: one of them cannot be read.
    """
    path = run.folder / "per_user.parquet"
    try:
        per_user = pl.read_parquet(path)
        if "shared" not in per_user.columns:
            raise ValueError("it lacks the column shared")
        path = run.folder / "record.json"
        record = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    except (OSError, ValueError, pl.exceptions.PolarsError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"{path}: cannot be read ({first}); run it again") from error
    # Real users are the same ones whatever split a seed draws; simulated ones are made by it.
    simulated = run.config.get("data.simulated") == "True"
    world = str(record.get("data_fingerprint", "")) if simulated else ""
    folder = pl.lit(str(run.folder)).alias("folder")
    return per_user.with_columns(pl.lit(world).alias("world"), folder), record


def _monitor(record: dict) -> str | None:
    """The validation metric that chose the weights of a run's models."""
    return next(iter(record.get("validation", {}).get(BASELINE, {})), None)


def _title(run: Run, asked: Sequence[str]) -> str:
    """What a run was measured on, in words that tell the runs' data sets apart."""
    names = [
        run.config.get(f"data.{side}", "?").rpartition("/")[2] for side in ("source", "target")
    ]
    options = [text for text in asked if text.lstrip("+").startswith(DATA)]
    options = [text for text in options if not text.startswith(("data.source=", "data.target="))]
    return " ".join([" -> ".join(names), *options])


def _named(row: str, run: Run, asked: Sequence[str], several_models: bool) -> tuple[str, str]:
    """The method that a row of a run's table is, and its options."""
    if row in TUNED:
        return row, ""
    transfer = [text for text in asked if text.lstrip("+~").startswith("transfer")]
    options = [t for t in asked if t not in transfer and not t.lstrip("+").startswith(DATA)]
    if row in MODELS:  # scratch, zero-shot: of each model one
        model = run.config.get("model._target_", "").rpartition(".")[2]
        return f"{row} {model}" if several_models else row, " ".join(options)
    if row != CANDIDATE:  # of a guard
        own = f"transfer.candidates.{row}."
        return row, " ".join([*options, *(t for t in transfer if t.lstrip("+").startswith(own))])
    options += [text for text in transfer if not text.startswith("transfer=")]
    for key, value in (("lambda", run.lambda_), ("mu", run.mu)):
        options += [f"{key}={value:g}"] if value is not None else []
    return run.config.get("transfer.name", row), " ".join(options)


def chosen_of(settings: Sequence[Setting]) -> Setting:
    """The setting that validation likes best, by the seeds that all of them have."""
    if len(settings) == 1:
        return settings[0]
    seeds = set.intersection(*(set(setting.validation) for setting in settings))
    if not seeds:
        return settings[-1]

    def reached(setting: Setting) -> float:
        values = [setting.validation[seed] for seed in seeds]
        sign = -1 if values[0][0].startswith(LOWER_IS_BETTER) else 1
        return sign * float(np.mean([value for _, value in values]))

    return max(settings, key=reached)
