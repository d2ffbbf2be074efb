"""How models learned, and what it cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import polars as pl

from crossrec.reporting.behavior import Files
from crossrec.reporting.blocks import Cell, Figure, Rows, Section, Series, Table
from crossrec.reporting.figures import NEUTRAL, draw_curves, legend, panel
from crossrec.reporting.reading import curves_of, record_of

NO_CURVES = (
    "No learning curves in the run folder: they are kept by logger=csv, and by artifacts that were "
    "trained with it."
)
MOST = 7  # methods whose curves are drawn


def curve_section(runs: Mapping[str, Path], title: str) -> Section:
    """Validation and loss over training: of the language model, the source, and target models.

    Args:
        runs: name of a method -> the run that shows it; what all share is shown by the first,
            which the page is about.
    """
    curves = {name: curves_of(run) for name, run in list(runs.items())[:MOST]}
    lines: dict[str, dict[str, pl.DataFrame]] = {"pretraining": {}, "source": {}, "target": {}}
    for name, found in curves.items():
        for stage, table in found.items():
            where = {"pretrain": "pretraining", "source": "source"}.get(stage, "target")
            lines[where].setdefault(name if stage == "transfer" else stage, table)
    names = dict.fromkeys(name for own in lines.values() for name in own)
    if not names:
        return Section("curves", title, [NO_CURVES])
    about = next(iter(runs))
    series = legend([name for name in names if name not in ("pretrain", "source")], about)
    series |= {name: Series(name, NEUTRAL, "o") for name in ("pretrain", "source")}
    panels = [
        panel(f"{where}: {metric}", draw_curves(drawn, series))
        for where, own in lines.items()
        for metric, drawn in _by_metric(own).items()
    ]
    caption = "Learning curves: validation, where a mark shows the best, and losses."
    alt = " ".join([caption, *(_told(name, table) for name, table in lines["target"].items())])
    shown = [series[name] for name in lines["target"]]
    return Section("curves", title, [Figure(caption, alt, panels, shown)])


def _by_metric(curves: Mapping[str, pl.DataFrame]) -> dict[str, dict[str, pl.DataFrame]]:
    """Metric -> name -> its curve; validation first, and nothing that is not of learning."""
    names = {metric for table in curves.values() for metric in table["metric"]}
    found = {}
    for metric in sorted(names, key=lambda name: (not name.startswith("valid"), name)):
        if metric.startswith("valid") or "loss" in metric:
            own = {name: table.filter(metric=metric) for name, table in curves.items()}
            found[metric] = {name: table for name, table in own.items() if not table.is_empty()}
    return found


def _told(name: str, table: pl.DataFrame) -> str:
    """The validation of a model in words."""
    own = table.filter(pl.col("metric").str.starts_with("valid"))
    if own.is_empty():
        return ""
    values = own["value"].to_list()
    return f"{name}: {own['metric'][0]} from {values[0]:.4f} to {values[-1]:.4f}."


def cost_section(runs: Sequence[Path], title: str) -> tuple[Section, Files]:
    """Seconds, memory, disk and parameters of each stage of a run; of many runs the seconds."""
    costs = {run: record_of(run).get("costs", {}) for run in runs}
    known = {run: cost for run, cost in costs.items() if cost}
    if not known:
        return Section("cost", title, ["Runs of an earlier version did not count their cost."]), {}
    rows = [
        {"run": str(run), "stage": stage, **{key: entry.get(key) for key in KEYS}}
        for run, cost in known.items()
        for stage, entry in cost.items()
    ]
    schema = {"run": pl.String, "stage": pl.String, "reused": pl.Boolean}
    schema |= dict.fromkeys(("seconds", "joules"), pl.Float64)
    schema |= dict.fromkeys(("peak_memory", "bytes", "parameters"), pl.Int64)
    files = {"cost": pl.DataFrame(rows, schema, orient="row")}
    table = _stages(next(iter(known.values()))) if len(known) == 1 else _seconds(known)
    counted = files["cost"]["joules"].count() > 0
    return Section("cost", title, [table, ENERGY if counted else NO_ENERGY]), files


KEYS = ("reused", "seconds", "joules", "peak_memory", "bytes", "parameters")
ENERGY = "Energy is that of the machine's counters: whatever else ran on it meanwhile is in it."
NO_ENERGY = "Energy was not counted: the machine's counters could not be read."
NOTE = (
    "Seconds are those of making a stage's artifact, also where this run reused it. Memory is the "
    "most main memory that the process had held by the end of the stage."
)


def _stages(costs: Mapping[str, Mapping]) -> Table:
    rows = [
        [
            Cell(stage),
            Cell(seconds(entry.get("seconds"))),
            Cell(energy(entry.get("joules"))),
            Cell("reused" if entry.get("reused") else "made"),
            Cell(size(entry.get("peak_memory"))),
            Cell(size(entry.get("bytes"))),
            Cell("-" if entry.get("parameters") is None else f"{entry['parameters']:,}"),
        ]
        for stage, entry in costs.items()
    ]
    total = sum(entry.get("seconds") or 0 for entry in costs.values())
    rows.append([Cell("all"), Cell(seconds(total)), Cell(energy(_joules(costs))), *[Cell("")] * 4])
    header = ["stage", "seconds", "energy", "artifact", "peak memory", "on disk", "parameters"]
    return Table("cost", "Cost of each stage.", header, [Rows("", rows)], NOTE)


def _seconds(costs: Mapping[Path, Mapping[str, Mapping]]) -> Table:
    stages = list(dict.fromkeys(stage for cost in costs.values() for stage in cost))
    alike = len({run.name for run in costs}) < len(costs)  # sweeps number their runs from 0
    rows = []
    for run, cost in costs.items():
        spent = [cost.get(stage, {}) for stage in stages]
        cells = [Cell(seconds(e.get("seconds")) + "*" * bool(e.get("reused"))) for e in spent]
        own = {stage: e for stage, e in cost.items() if not e.get("reused")}
        new = sum(e.get("seconds") or 0 for e in own.values())
        memory = max((e.get("peak_memory") or 0 for e in own.values()), default=0)
        models = [
            e["parameters"]
            for s, e in cost.items()
            if e.get("parameters") and s not in ("pretrain", "source", "scratch")
        ]
        parameters = f"{max(models):,}" if models else "-"
        rows.append(
            [
                Cell("/".join(run.parts[-1 - alike :])),
                *cells,
                Cell(seconds(new)),
                Cell(energy(_joules(own))),
                Cell(size(memory)),
                Cell(parameters),
            ]
        )
    header = ["run", *stages, "this run", "energy", "peak memory", "parameters"]
    note = f"Seconds; * reused, with what making it took. {NOTE}"
    return Table("cost", "Seconds of each stage, run by run.", header, [Rows("", rows)], note)


def seconds(value: float | None) -> str:
    """1.2, 340, or - where it was not counted."""
    if value is None:
        return "-"
    return f"{value:.1f}" if value < 100 else f"{value:,.0f}"


def energy(joules: float | None) -> str:
    """12 J, 3.40 kJ, or - where it was not counted."""
    if joules is None:
        return "-"
    return f"{joules:.0f} J" if joules < 1000 else f"{joules / 1000:,.2f} kJ"


def _joules(costs: Mapping[str, Mapping]) -> float | None:
    """Of all stages that were counted; None where none was."""
    counted = [e["joules"] for e in costs.values() if e.get("joules") is not None]
    return sum(counted) if counted else None


def size(value: float | None) -> str:
    """12.3 MB, in units of 1000; - where it is not known."""
    if not value:
        return "-"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
