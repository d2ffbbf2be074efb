"""What a sweep came to: a table of its trials, what mattered, and the best as an experiment."""

import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import optuna
import polars as pl
import yaml
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import FrozenTrial, TrialState

from crossrec.configuration.overrides import as_experiment, merge
from crossrec.errors import UserError
from crossrec.evaluation.plots import plot_heat_map
from crossrec.evaluation.summary import CANDIDATE
from crossrec.evaluation.sweep_plots import Axis, plot_parallel
from crossrec.evaluation.tables import markdown_line, metric_title
from crossrec.sweeping.running import execute
from crossrec.sweeping.study import SharedStudy
from crossrec.train import show

log = logging.getLogger("crossrec.sweeping")
LEAST = 3  # finished trials a parameter, for its importance
STATES = {
    TrialState.COMPLETE: "finished",
    TrialState.PRUNED: "ended early",
    TrialState.FAIL: "failed",
    TrialState.WAITING: "waiting",  # of a sweep that is shorter now than it was
}


def best_trial(study: SharedStudy) -> FrozenTrial:
    """The first of those that reached the best value.

    Raises:
        UserError: none was finished.
    """
    finished = [t for t in study.trials if t.state == TrialState.COMPLETE]
    if not finished:
        raise UserError(
            f"no trial was finished; {study.folder / 'trials'} says in error.txt what each failed "
            "for"
        )
    sign = 1 if study.sweep.goal == "maximize" else -1
    return max(finished, key=lambda trial: (sign * _value(trial), -trial.number))


def write_outcome(study: SharedStudy) -> None:
    """Write trials.csv, trials.md, importance.csv, plots and experiment/best.yaml."""
    sweep, folder = study.sweep, study.folder
    best = best_trial(study)
    table = trials_table(study)
    table.write_csv(folder / "trials.csv")
    mattered = importance(study)
    pl.DataFrame(
        {"parameter": list(mattered), "importance": list(mattered.values())},
        schema={"parameter": pl.String, "importance": pl.Float64},
    ).write_csv(folder / "importance.csv")
    plots = _plots(study, table)
    (folder / "trials.md").write_text(_markdown(study, table, mattered, plots), encoding="utf-8")
    said = (
        f"The best of {len(study.trials)} trials of {sweep.file}: "
        f"{sweep.metric} {_value(best):.4f} in validation (trial {best.number})."
    )
    (folder / "experiment").mkdir(exist_ok=True)
    text = as_experiment(sweep.overrides(best.params), said)
    (folder / "experiment" / "best.yaml").write_text(text, encoding="utf-8")


def run_winner(study: SharedStudy) -> Path:
    """Run the best setting once more, with test; its folder. A second call finds it done."""
    folder = study.folder / "best"
    overrides = merge(study.sweep.overrides(best_trial(study).params))
    record = folder / ".hydra" / "overrides.yaml"
    if (folder / "results.csv").exists() and yaml.safe_load(record.read_text()) == overrides:
        log.info("the winner has been run: %s", folder)
        return folder
    (folder / "results.csv").unlink(missing_ok=True)  # of an earlier winner
    show(execute(overrides, folder, None, aloud=True))
    return folder


def trials_table(study: SharedStudy) -> pl.DataFrame:
    """A row for each trial: trial, state, value, epochs, seconds, a column a parameter, error.

    value is the metric in validation, of a trial that was ended early what it had reached; epochs
    are those that were watched.
    """
    trials = study.trials
    columns: dict[str, Any] = {
        "trial": [trial.number for trial in trials],
        "state": [STATES[trial.state] for trial in trials],
        study.sweep.metric: pl.Series([trial.value for trial in trials], dtype=pl.Float64),
        "epochs": pl.Series([trial.last_step for trial in trials], dtype=pl.Int64),
        "seconds": pl.Series([_attr(trial, "seconds") for trial in trials], dtype=pl.Float64),
    }
    for name in study.sweep.space:
        columns[name] = _column([trial.params.get(name) for trial in trials])
    columns["error"] = pl.Series([_attr(trial, "error") for trial in trials], dtype=pl.String)
    return pl.DataFrame(columns)


def importance(study: SharedStudy) -> dict[str, float]:
    """Share of each parameter in what sets good trials apart, largest first (PED-ANOVA).

    Watanabe, Bansal and Hutter, IJCAI 2023. Empty where finished trials are too few to say: a
    method that always answers would read a share into any three of them.
    """
    finished = [trial for trial in study.trials if trial.state == TrialState.COMPLETE]
    if len(finished) < LEAST * len(study.sweep.space):
        return {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            judge = optuna.importance.PedAnovaImportanceEvaluator()
            shares = optuna.importance.get_param_importances(study.study, evaluator=judge)
        except (ValueError, RuntimeError):
            return {}
    return {name: share for name, share in shares.items() if share == share}


def _column(values: list[Any]) -> pl.Series:
    """Numbers as they are, anything else as text."""
    if all(type(value) in (int, float, type(None)) for value in values):
        kind = pl.Float64 if any(type(value) is float for value in values) else pl.Int64
        return pl.Series(values, dtype=kind, strict=False)
    return pl.Series([None if value is None else str(value) for value in values], dtype=pl.String)


def _plots(study: SharedStudy, table: pl.DataFrame) -> list[Path]:
    sweep, metric = study.sweep, study.sweep.metric
    done = table.filter(state="finished")
    seen = table.drop_nulls(metric).with_columns(ended=pl.col("state") != "finished")
    title = f"{metric_title(metric)} in validation"
    axes = [
        Axis(name, isinstance(d, CategoricalDistribution), getattr(d, "log", False))
        for name, d in sweep.space.items()
    ]
    better = sweep.goal == "maximize"
    plots = [plot_parallel(seen, axes, metric, better, title, study.folder / "parallel.png")]
    keys = ("transfer.lambda", "transfer.mu")
    if all(_is_stepped(sweep.space.get(key)) and _varies(done[key]) for key in keys):
        best = pl.col(metric).max() if better else pl.col(metric).min()
        cells = done.group_by(*keys).agg(best.alias("value"))
        cells = cells.select(
            pl.col(keys[0]).cast(pl.Float64).alias("lambda"),
            pl.col(keys[1]).cast(pl.Float64).alias("mu"),
            pl.lit(CANDIDATE).alias("model"),
            pl.lit("all").alias("users"),
            pl.lit(metric).alias("metric"),
            "value",
        )
        path = study.folder / "lambda_mu.png"
        plots.append(plot_heat_map(cells, metric, title, path))
    return plots


def _varies(column: pl.Series) -> bool:
    """Whether numbers differ, so that a map has more than one row."""
    return column.dtype.is_numeric() and column.n_unique() > 1


def _is_stepped(drawn_from: BaseDistribution | None) -> bool:
    """Whether trials can share a value, so that a map has cells."""
    if isinstance(drawn_from, FloatDistribution):
        return drawn_from.step is not None
    return drawn_from is not None


def _markdown(
    study: SharedStudy, table: pl.DataFrame, mattered: dict[str, float], plots: Sequence[Path]
) -> str:
    sweep = study.sweep
    said = ", ".join(f"{name} {share:.0%}" for name, share in mattered.items())
    ordered = table.sort(sweep.metric, descending=sweep.goal == "maximize", nulls_last=True)
    lines = [
        f"# {sweep.file.name}: {metric_title(sweep.metric)} in validation",
        "",
        f"Importance (PED-ANOVA): {said or 'too few finished trials to say'}. "
        "No trial has ranked test; `best/` has, once.",
        "",
        markdown_line(table.columns),
        markdown_line(["---"] * table.width),
        *(markdown_line([_cell(value) for value in row]) for row in ordered.iter_rows()),
        "",
        *(f"![{plot.stem}]({plot.name})" for plot in plots),
    ]
    return "\n".join(lines) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return "-"
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _attr(trial: FrozenTrial, name: str) -> Any:
    return trial.user_attrs.get(name)


def _value(trial: FrozenTrial) -> float:
    assert trial.value is not None
    return trial.value
