"""Several runs in one table: what differs between them, and the mean over those that differ in
their seed alone."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import yaml

from crossrec.errors import UserError
from crossrec.evaluation.origin import APART, ORIGIN, with_origin
from crossrec.evaluation.results import read_comparisons, read_values
from crossrec.evaluation.significance import mean_interval

LEVEL = 0.05
SETTING = ("setting", "label", "lambda", "mu")


@dataclass(frozen=True)
class Run:
    """A run folder, read.

    Attributes:
        folder: where it is.
        values, comparisons: its results.csv and comparisons.csv (empty where there is none).
        config: what decides its numbers, apart from the seed: "transfer.mu" -> "0.5".
        overrides: what was asked for on the command line, apart from seed, lambda and mu.
        seed, lambda_, mu: None where the configuration has none.
    """

    folder: Path
    values: pl.DataFrame
    comparisons: pl.DataFrame
    config: dict[str, str]
    overrides: tuple[str, ...]
    seed: int | None
    lambda_: float | None
    mu: float | None


def read_run(folder: Path) -> Run:
    """Read a run folder: results.csv, and what stands beside it.

    Raises:
        UserError: results.csv or another file is broken.
    """
    config = _yaml(folder / "config.yaml", {})
    overrides = _yaml(folder / ".hydra" / "overrides.yaml", [])
    transfer = config.get("transfer") or {}
    # Without a configuration nothing says that two runs are alike.
    flat = dict(_leaves(config)) or {"folder": str(folder)}
    return Run(
        folder=folder,
        values=read_values(folder / "results.csv"),
        comparisons=read_comparisons(folder / "comparisons.csv"),
        config=flat,
        overrides=tuple(
            text
            for text in sorted(map(str, overrides))
            if text.partition("=")[0].lstrip("+") not in ("seed", "transfer.lambda", "transfer.mu")
            and text.partition("=")[0].partition(".")[0].lstrip("+") not in APART
        ),
        seed=config.get("seed"),
        lambda_=_number(transfer.get("lambda")),
        mu=_number(transfer.get("mu")),
    )


def runs_table(runs: Sequence[Run]) -> pl.DataFrame:
    """A row for each run, model, user group and metric.

    Columns: run, setting (runs that differ in their seed alone share it), label (the overrides
    that not all runs have), lambda, mu, seed, then those of results.csv, then gain,
    relative_gain and p_holm against the baseline, then those of `origin.ORIGIN`.
    """
    shared = set(runs[0].overrides).intersection(*(run.overrides for run in runs))
    settings: dict[tuple, int] = {}
    parts = []
    for run in runs:
        setting = settings.setdefault(tuple(sorted(run.config.items())), len(settings))
        label = " ".join(text for text in run.overrides if text not in shared)
        if "folder" in run.config:
            label = run.folder.name
        gains = run.comparisons.select(
            "model", "users", "metric", "gain", "relative_gain", "p_holm"
        )
        parts.append(
            with_origin(run.values, run.folder)
            .drop("seed")
            .join(gains, on=["model", "users", "metric"], how="left", maintain_order="left")
            .select(
                pl.lit(str(run.folder)).alias("run"),
                pl.lit(setting).alias("setting"),
                pl.lit(label).alias("label"),
                pl.lit(run.lambda_, pl.Float64).alias("lambda"),
                pl.lit(run.mu, pl.Float64).alias("mu"),
                pl.lit(run.seed, pl.Int64).alias("seed"),
                pl.exclude(ORIGIN),
                pl.col(*ORIGIN[1:]),
            )
        )
    return pl.concat(parts)


def over_seeds(table: pl.DataFrame) -> pl.DataFrame:
    """A row for each setting, model, user group and metric: the mean over seeds.

    Columns: setting, label, lambda, mu, model, users, metric, seeds, value, low, high, gain,
    gain_low, gain_high, relative_gain, significant_gains and significant_losses (in how many of
    the seeds, at 5% after Holm). Intervals are those of the mean over seeds; a single run has that
    of its value over its users, and none of its gain (its comparisons.csv has it). relative_gain
    is the mean gain over the mean of the baseline. A seed that ran twice counts once, by its last
    run.
    """
    keys = [*SETTING, "model", "users", "metric"]
    once = table.unique([*keys, "seed"], keep="last", maintain_order=True)
    rows = []
    for key, part in once.group_by(keys, maintain_order=True):
        estimate = part.select("value", "low", "high").row(0)
        if len(part) > 1:
            estimate = mean_interval(part["value"].to_numpy())
        significant = part.filter(pl.col("p_holm") < LEVEL)
        gains = int((significant["gain"] > 0).sum())
        losses = int((significant["gain"] < 0).sum())
        gain = mean_interval(part["gain"].to_numpy())
        base = estimate[0] - gain.value
        relative = gain.value / base if base else math.nan
        rows.append((*key, len(part), *estimate, *gain, relative, gains, losses))
    setting = {"setting": pl.Int64, "label": pl.String, "lambda": pl.Float64, "mu": pl.Float64}
    names = dict.fromkeys(("model", "users", "metric"), pl.String)
    gain_names = ("gain", "gain_low", "gain_high", "relative_gain")
    numbers = dict.fromkeys(("value", "low", "high", *gain_names), pl.Float64)
    counts = dict.fromkeys(("significant_gains", "significant_losses"), pl.Int64)
    schema = {**setting, **names, "seeds": pl.Int64, **numbers, **counts}
    return pl.DataFrame(rows, schema, orient="row")


def _yaml(path: Path, absent: Any) -> Any:
    """The content of a YAML file of the type of `absent`, or that where there is no file."""
    if not path.exists():
        return absent
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError, OSError) as error:
        raise UserError(f"{path}: cannot be read as YAML ({error}); run it again") from error
    if not isinstance(content, type(absent)):
        raise UserError(f"{path}: expected a YAML {type(absent).__name__}; run it again")
    return content


def _leaves(node: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if key == "seed" or (not prefix and key in APART):
            continue
        if isinstance(value, dict):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", str(value)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) else None
