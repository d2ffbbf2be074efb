"""From run folders to a report: which sections it has, and what stands in each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import polars as pl

from crossrec.evaluation.breakdown import Frames
from crossrec.evaluation.leaderboard import leaderboard
from crossrec.evaluation.methods import by_data, chosen_of, read_per_user
from crossrec.evaluation.summary import (
    BASELINE,
    CANDIDATE,
    LOWER_IS_BETTER,
    MODELS,
    Results,
    model_order,
)
from crossrec.evaluation.sweeps import Run
from crossrec.evaluation.tables import headline_metric, metric_title
from crossrec.reporting.behavior import (
    Contrast,
    Files,
    history_section,
    popularity_section,
)
from crossrec.reporting.bias import bias_section
from crossrec.reporting.blocks import Heading, Report, Section
from crossrec.reporting.board import board_section, board_verdict, settings_section
from crossrec.reporting.comparison import comparison_section, run_verdict
from crossrec.reporting.content_map import map_section
from crossrec.reporting.origin import origin_section, run_facts
from crossrec.reporting.people import example_section
from crossrec.reporting.pretraining import pretraining_table
from crossrec.reporting.reading import counts_of
from crossrec.reporting.surface import surface_section
from crossrec.reporting.training import cost_section, curve_section

HISTORY, POPULARITY, BIAS = "By history", "By popularity", "Coverage and bias"
CURVES, MAP, EXAMPLES = "Learning curves", "Content map", "Example users"
COST, ORIGIN = "Cost", "Provenance"


def run_report(run: Run, results: Results, caption: str) -> tuple[Report, Files]:
    """The report of a single run, and what stands in it as tables of numbers.

    Args:
        results, caption: of the run.

    Raises:
        UserError: a file of the run is broken.
    """
    metric = headline_metric(results.values)
    names = domains_of(run)
    sections = [comparison_section(results, "Comparison")]
    methods = leaderboard([run])
    files: Files = {}
    if (run.folder / "per_user.parquet").exists():
        table = read_per_user(run)[0]
        models = sorted(table["model"].unique(), key=model_order)
        frames = {model: [table.filter(model=model)] for model in models}
        contrast = Contrast((CANDIDATE, BASELINE))
        if CANDIDATE in frames and BASELINE in frames:
            contrast = Contrast(contrast.first, CANDIDATE, frames[CANDIDATE], frames[BASELINE])
        added, files = _behavior(frames, metric, contrast)
        sections += added
    curves = curve_section({CANDIDATE: run.folder}, CURVES)
    sections.append(replace(curves, blocks=[*curves.blocks, *pretraining_table(run.folder)]))
    sections.append(map_section(run.folder, names, MAP))
    sections.append(example_section(run.folder, names, EXAMPLES))
    cost, counted = cost_section([run.folder], COST)
    sections += [cost, origin_section([run], results.values["model"].unique(), ORIGIN)]
    report = Report(
        title=" → ".join(names),
        subtitle=caption,
        verdict=run_verdict(results, methods),
        facts=run_facts(run, results.sizes),
        sections=sections,
    )
    return report, files | counted


def sweep_report(
    runs: Sequence[Run], settings: pl.DataFrame, methods: pl.DataFrame, against: str | None
) -> tuple[Report, Files]:
    """The report of several runs, and what stands in it as tables of numbers.

    Args:
        settings: what `over_seeds` gives.
        methods: what `leaderboard` gives; empty where no run has a per-user table.
        against: the row that was asked for as the reference, if any.

    Raises:
        UserError: a file of a run is broken.
    """
    sections: list[Section] = []
    files: Files = {}
    if not methods.is_empty():
        sections.append(board_section(methods, against, "Comparison"))
    sections += surface_section(settings, "Lambda and mu")
    metric = headline_metric(settings)
    several: dict[str, list[Section]] = {}  # data set -> its sections
    for number, (data, found) in enumerate(by_data(runs).items()):
        chosen = {name: chosen_of(options) for name, options in found.items()}
        frames = {name: list(setting.per_user.values()) for name, setting in chosen.items()}
        rows = methods.filter(data=data, metric=metric, users="all")
        rows = rows.sort("value", descending=not metric.startswith(LOWER_IS_BETTER))
        carried = [name for name in rows["method"] if name.partition(" ")[0] not in MODELS]
        contrast = Contrast(list(dict.fromkeys([*carried[:4], BASELINE, *rows["method"]])))
        if carried:
            best = chosen[carried[0]]
            contrast = replace(
                contrast,
                method=carried[0],
                ours=list(best.per_user.values()),
                scratch=list(best.scratch.values()),
            )
        several[data], counted = _behavior(frames, metric, contrast)
        several[data] += _shown(runs, frames, carried)
        ending = f"_{number + 1}" * (number > 0)
        files |= {f"{name}{ending}": table for name, table in counted.items()}
    sections += _by_section(several)
    cost, counted = cost_section([run.folder for run in runs], COST)
    sections += [settings_section(settings, "Every setting"), cost]
    sections.append(origin_section(runs, settings["model"].unique(), ORIGIN))
    seeds = len({run.seed for run in runs})
    report = Report(
        title=", ".join(dict.fromkeys(" → ".join(domains_of(run)) for run in runs)),
        subtitle=f"{len(runs)} runs, judged by {metric_title(metric)}.",
        verdict=board_verdict(methods, against) if not methods.is_empty() else [],
        facts=[
            ("runs", str(len(runs))),
            ("settings", str(settings["setting"].n_unique())),
            ("seeds", str(seeds)),
        ],
        sections=sections,
    )
    return report, files | counted


def domains_of(run: Run) -> tuple[str, str]:
    """What source and target are called in the configuration."""
    source, target = (run.config.get(f"data.{side}", side) for side in ("source", "target"))
    parts = source.strip("[]").replace("'", "").split(", ")
    return "+".join(part.rpartition("/")[2] for part in parts), target.rpartition("/")[2]


def _behavior(frames: Frames, metric: str, contrast: Contrast) -> tuple[list[Section], Files]:
    """By history, by popularity, and over the catalog."""
    folders = {table["folder"][0] for tables in frames.values() for table in tables}
    counts = {folder: counts_of(Path(folder)) for folder in folders}
    known = {folder: count for folder, count in counts.items() if count is not None}
    k = int(metric.partition("@")[2] or 10)
    parts = [
        history_section(frames, metric, contrast, HISTORY),
        popularity_section(frames, known, k, contrast, POPULARITY),
        bias_section(frames, known, k, BIAS),
    ]
    files = {name: table for _, found in parts for name, table in found.items()}
    return [section for section, _ in parts], files


def _shown(runs: Sequence[Run], frames: Frames, ranked: Sequence[str]) -> list[Section]:
    """Curves of the methods, best first; map and users of the best one's first run."""
    folders = {name: Path(frames[name][0]["folder"][0]) for name in ranked or frames}
    if not ranked:
        return [curve_section(folders, CURVES)]
    folder = folders[ranked[0]]
    names = domains_of(next(run for run in runs if run.folder == folder))
    which = f"Of run {folder.name}: {ranked[0]}."
    sections = [map_section(folder, names, MAP), example_section(folder, names, EXAMPLES)]
    return [
        curve_section(folders, CURVES),
        *(replace(section, blocks=[which, *section.blocks]) for section in sections),
    ]


def _by_section(several: Mapping[str, Sequence[Section]]) -> list[Section]:
    """One section of each name; in it every data set under a heading, if there are several."""
    if len(several) == 1:
        return list(next(iter(several.values())))
    merged: dict[str, Section] = {}
    for data, sections in several.items():
        for section in sections:
            before = merged.get(section.name, replace(section, blocks=[]))
            blocks = [*before.blocks, Heading(data), *section.blocks]
            merged[section.name] = replace(before, blocks=blocks)
    return list(merged.values())
