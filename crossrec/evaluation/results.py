"""The results in a run's folder: written after evaluation, read by the report.

results.csv is tidy (model, users, metric, value, low, high, and `origin.ORIGIN`); comparisons.csv
says what each model gains on the baseline `scratch`; per_user.parquet holds what both are computed
from.
"""

from __future__ import annotations

import json
from pathlib import Path

import polars as pl

from crossrec.errors import UserError
from crossrec.evaluation.origin import with_origin
from crossrec.evaluation.summary import COMPARISON_SCHEMA, VALUE_SCHEMA, Results
from crossrec.evaluation.tables import markdown


def write_results(
    folder: Path,
    per_user: pl.DataFrame,
    results: Results,
    caption: str,
    n_items: int,
    fingerprint: str | None = None,
) -> None:
    """Write results.csv, results.md, comparisons.csv, metrics.json and per_user.parquet.

    metrics.json nests models / MODEL / USERS / METRIC and holds the caption, the size of the
    catalog and of the user groups, so that the tables can be rebuilt from the folder alone.
    results.csv comes last: a folder that has it is whole.

    Args:
        fingerprint: of the data, which stands in each row of results.csv.
    """
    folder.mkdir(parents=True, exist_ok=True)
    per_user.write_parquet(folder / "per_user.parquet")
    results.comparisons.write_csv(folder / "comparisons.csv")
    nested: dict[str, dict[str, dict[str, float]]] = {}
    for model, users, metric, value, *_ in results.values.iter_rows():
        nested.setdefault(model, {}).setdefault(users, {})[metric] = value
    record = {
        "caption": caption,
        "n_items": n_items,
        "n_users": results.sizes,
        "models": nested,
    }
    (folder / "metrics.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    (folder / "results.md").write_text(markdown(results, caption), encoding="utf-8")
    partial = folder / ".results.csv"
    with_origin(results.values, folder, fingerprint).write_csv(partial)
    partial.replace(folder / "results.csv")


def read_values(path: Path) -> pl.DataFrame:
    """The table in a results.csv.

    Raises:
        UserError: it is no CSV, lacks a column or all rows, or has no number where one belongs.
    """
    frame = _read_csv(path, VALUE_SCHEMA)
    if frame.is_empty():
        raise UserError(f"{path}: no row in it; run it again")
    return frame


def read_comparisons(path: Path) -> pl.DataFrame:
    """The table in a comparisons.csv; empty where there is no such file.

    Raises:
        UserError: as for `read_values`.
    """
    if not path.exists():
        return pl.DataFrame(schema=COMPARISON_SCHEMA)
    return _read_csv(path, COMPARISON_SCHEMA)


def _read_csv(path: Path, schema: dict[str, type[pl.DataType]]) -> pl.DataFrame:
    try:
        frame = pl.read_csv(path, schema_overrides=schema)
    except (pl.exceptions.PolarsError, OSError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read as results ({first}); run it again") from error
    if missing := [name for name in schema if name not in frame.columns]:
        raise UserError(f"{path}: lacks {', '.join(missing)}; run it again")
    return frame.select(list(schema))


def read_results(folder: Path) -> tuple[Results, str]:
    """The results and the caption of a run, computed anew from its per-user table.

    Raises:
        UserError: per_user.parquet or metrics.json is missing or broken.
    """
    path = folder / "metrics.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        caption, n_items = str(record["caption"]), int(record["n_items"])
        path = folder / "per_user.parquet"
        return Results.of(pl.read_parquet(path), n_items), caption
    except (OSError, ValueError, KeyError, TypeError, pl.exceptions.PolarsError) as error:
        first = (str(error).splitlines() or [""])[0]
        raise UserError(f"{path}: cannot be read ({first}); run it again") from error
