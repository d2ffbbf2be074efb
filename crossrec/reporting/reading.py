"""What a run folder holds beside its results; files of earlier versions may lack some of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml

from crossrec.errors import UserError

EPOCH, STEP = "epoch", "step"
ERRORS = ("rmse", "perplexity")  # in the names of metrics of which the lowest is the best
PRETRAINING = "pretraining.json"


def record_of(run: Path) -> dict[str, Any]:
    """record.json; empty where there is none.

    Raises:
        UserError: it cannot be read.
    """
    return _object(run / "record.json")


def pretraining_of(run: Path) -> dict[str, Any]:
    """pretraining.json, what `training.pretraining.pretrain` returned; empty where there is none.

    Raises:
        UserError: it cannot be read.
    """
    return _object(run / PRETRAINING)


def _object(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(record, dict):
            raise ValueError("it is no JSON object")
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: cannot be read ({error}); run it again") from error
    return record


def artifact_of(run: Path, stage: str) -> Path | None:
    """The folder of a stage's artifact, whether it is still there or not; None without a record."""
    name = record_of(run).get("artifacts", {}).get(stage)
    path = run / "config.yaml"
    if name is None or not path.exists():
        return None
    paths = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("paths") or {}
    return Path(paths["artifacts"]) / name if "artifacts" in paths else None


def table_of(run: Path, name: str) -> pl.DataFrame | None:
    """A Parquet file of a run; None where there is none.

    Raises:
        UserError: it cannot be read.
    """
    path = run / name
    if not path.exists():
        return None
    try:
        return pl.read_parquet(path)
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({first}); run it again") from error


def counts_of(run: Path) -> np.ndarray | None:
    """(n_items,) train interactions of each target item; None in runs that did not keep them."""
    catalog = table_of(run, "catalog.parquet")
    return None if catalog is None else catalog["n_train"].to_numpy()


def curves_of(run: Path) -> dict[str, pl.DataFrame]:
    """Stage -> what the CSV logger wrote: metric, at, value, unit (epoch or step) and best.

    `best` marks the first highest validation value of a metric; of an error the lowest.
    """
    found = {}
    for path in sorted(run.glob("curves/*/metrics.csv")):
        try:
            table = pl.read_csv(path, infer_schema_length=None)
        except (OSError, pl.exceptions.PolarsError):
            continue  # a stage that was stopped before its first line
        if not {EPOCH, STEP} <= set(table.columns):
            continue
        unit = EPOCH if table[EPOCH].drop_nulls().n_unique() > 1 else STEP
        metrics = [name for name in table.columns if name not in (EPOCH, STEP)]
        parts = [_curve(table, name, unit) for name in metrics]
        found[path.parent.name] = pl.concat(parts)
    return found


def _curve(table: pl.DataFrame, metric: str, unit: str) -> pl.DataFrame:
    shift = 1 if unit == EPOCH else 0  # the first epoch is number 1 to a reader
    lowest = any(name in metric for name in ERRORS)
    place = pl.col("value").arg_min() if lowest else pl.col("value").arg_max()
    best = (pl.int_range(pl.len()) == place) & metric.startswith("valid")
    return (
        table.drop_nulls([metric, unit])
        .select(
            pl.lit(metric).alias("metric"),
            (pl.col(unit) + shift).cast(pl.Int64).alias("at"),
            pl.col(metric).cast(pl.Float64).alias("value"),
            pl.lit(unit).alias("unit"),
        )
        .with_columns(best.alias("best"))
    )


def chosen_lines(names: Sequence[str], first: Sequence[str], most: int = 6) -> list[str]:
    """At most so many of the names, those in `first` before others; in the order of names."""
    kept = [*(n for n in first if n in names), *(n for n in names if n not in first)][:most]
    return [name for name in names if name in kept]
