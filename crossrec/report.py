"""Pages, tables and plots from run folders alone: python -m crossrec.report RUN_OR_FOLDER..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import polars as pl
from rich.console import Console
from rich.text import Text

from crossrec.errors import UserError
from crossrec.evaluation.leaderboard import leaderboard
from crossrec.evaluation.leaderboard_tables import leaderboard_markdown, leaderboard_terminal
from crossrec.evaluation.origin import with_origin
from crossrec.evaluation.results import read_comparisons, read_results, read_values
from crossrec.evaluation.summary import Results
from crossrec.evaluation.sweep_tables import sweep_markdown, sweep_terminal
from crossrec.evaluation.sweeps import over_seeds, read_run, runs_table
from crossrec.evaluation.tables import headline_metric, markdown, metric_title, terminal

REPORT = "report"  # the folder that a report makes inside of what it reports on
PAGE = "report.html"


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m crossrec.report",
        description="A page, tables and plots from run folders alone.",
    )
    parser.add_argument(
        "folders",
        nargs="+",
        type=Path,
        metavar="RUN_OR_FOLDER",
        help="a run folder, or a folder that holds run folders at any depth (a sweep)",
    )
    parser.add_argument(
        "--output",
        type=Path,
        metavar="DIR",
        help="where tables and plots go (default: the folder 'report' in the first folder given)",
    )
    parser.add_argument(
        "--against",
        metavar="ROW",
        help="the row that the leaderboard compares all others with, scratch or l2_sp say "
        "(default: the best row that knows the target alone)",
    )
    options = parser.parse_args(arguments)
    output = options.output or options.folders[0] / REPORT
    try:
        runs = find_runs(options.folders)
        if len(runs) == 1 and options.against is None:
            write_run_report(runs[0], output)
            write_run_page(runs[0], output)
            Console().print(terminal(*_results(runs[0])))
        else:
            settings, methods = write_sweep_page(runs, output, options.against)
            Console().print(sweep_terminal(settings))
            if not methods.is_empty():
                Console().print(Text(), leaderboard_terminal(methods, options.against))
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"error: {output}: cannot be written ({error})", file=sys.stderr)
        return 1
    print(f"report: {output / PAGE}")
    return 0


def find_runs(folders: Sequence[Path]) -> list[Path]:
    """Folders with a results.csv, each once, in the order given and then by name.

    Raises:
        UserError: a folder does not exist, or holds no finished run.
    """
    runs: dict[Path, Path] = {}
    for folder in folders:
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; give run folders, or a folder of them")
        found = [path.parent for path in folder.rglob("results.csv")]
        found = [path for path in found if REPORT not in path.relative_to(folder).parts]
        if not found:
            raise UserError(
                f"{folder}: no run inside (a finished run holds results.csv); "
                "give the folder that training printed at its end"
            )
        for path in sorted(found, key=_by_number):
            runs.setdefault(path.resolve(), path)
    return list(runs.values())


def write_run_report(folder: Path, output: Path | None = None) -> list[Path]:
    """Write results.md, results.csv, comparisons.csv and a plot of one run; returns the plots.

    Args:
        folder: a run folder.
        output: where to write; None is the folder `report` inside.

    Raises:
        UserError: the run's files are missing or broken.
    """
    from crossrec.evaluation.plots import plot_models

    results, caption = _results(folder)
    output = output or folder / REPORT
    output.mkdir(parents=True, exist_ok=True)
    metric = headline_metric(results.values)
    title = f"{metric_title(metric)}, 95% intervals"
    plot = plot_models(results.values, metric, title, output / f"{metric}.png")
    with_origin(results.values, folder).write_csv(output / "results.csv")
    results.comparisons.write_csv(output / "comparisons.csv")
    text = markdown(results, caption) + _images([plot])
    (output / "results.md").write_text(text, encoding="utf-8")
    return [plot]


def write_run_page(folder: Path, output: Path) -> None:
    """Write report.html, report.md, report.tex and the numbers behind them, of one run.

    Raises:
        UserError: the run's files are missing or broken.
    """
    from crossrec.reporting.building import run_report
    from crossrec.reporting.writing import write_report

    write_report(*run_report(read_run(folder), *_results(folder)), output)


def write_sweep_page(
    folders: Sequence[Path], output: Path, against: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Write all that there is to say of several runs; returns their settings and methods.

    Raises:
        UserError: a run has a broken file, or no row is called `against`.
    """
    from crossrec.reporting.building import sweep_report
    from crossrec.reporting.writing import write_report

    settings, methods, _ = _write_sweep(folders, output, against)
    runs = [read_run(folder) for folder in folders]
    write_report(*sweep_report(runs, settings, methods, against), output)
    return settings, methods


def write_sweep_report(folder: Path, output: Path | None = None) -> list[Path]:
    """Write tables and plots of all runs inside; returns the plots.

    runs.csv has a row for each run, model, user group and metric; settings.csv takes runs that
    differ in their seed alone together; leaderboard.csv has a row for each method. The last two
    stand as tables in settings.md and leaderboard.md.

    Raises:
        UserError: there is no run inside, or one has a broken file.
    """
    return _write_sweep(find_runs([folder]), output or folder / REPORT)[2]


def _results(folder: Path) -> tuple[Results, str]:
    """Computed anew from the per-user table where there is one, else as results.csv has them."""
    values = read_values(folder / "results.csv")
    if (folder / "per_user.parquet").exists():
        return read_results(folder)
    return Results(values, read_comparisons(folder / "comparisons.csv"), {}), folder.name


def _write_sweep(
    folders: Sequence[Path], output: Path, against: str | None = None
) -> tuple[pl.DataFrame, pl.DataFrame, list[Path]]:
    runs = [read_run(folder) for folder in folders]
    table = runs_table(runs)
    settings = over_seeds(table)
    methods = leaderboard(runs, against)
    output.mkdir(parents=True, exist_ok=True)
    table.write_csv(output / "runs.csv")
    settings.write_csv(output / "settings.csv")
    methods.write_csv(output / "leaderboard.csv")
    plots = _sweep_plots(settings, output)
    text = sweep_markdown(settings) + _images(plots)
    (output / "settings.md").write_text(text, encoding="utf-8")
    if not methods.is_empty():
        text = leaderboard_markdown(methods, against)
        (output / "leaderboard.md").write_text(text, encoding="utf-8")
    return settings, methods, plots


def _sweep_plots(settings: pl.DataFrame, output: Path) -> list[Path]:
    """A heat map where lambda and mu vary, a line where one does, and dots for what is left."""
    from crossrec.evaluation.plots import plot_heat_map, plot_line, plot_settings

    metric = headline_metric(settings)
    title = metric_title(metric)
    plots, left = [], []
    for number, ((label,), part) in enumerate(settings.group_by("label", maintain_order=True)):
        varied = [name for name in ("lambda", "mu") if part[name].drop_nulls().n_unique() > 1]
        path = output / f"{metric}_{'_'.join(varied)}{f'_{number}' * (number > 0)}.png"
        if not varied:
            left.append(part)
            continue
        known = part.drop_nulls(varied)
        if len(varied) == 2:
            heading = f"{title} of transferred  {label}"
            plots.append(plot_heat_map(known, metric, heading, path))
        else:
            plots.append(plot_line(known, metric, varied[0], f"{title}  {label}", path))
    if left:
        path = output / f"{metric}_settings.png"
        plots.append(plot_settings(pl.concat(left), metric, f"{title}, 95% intervals", path))
    return plots


def _images(plots: Sequence[Path]) -> str:
    return "".join(f"\n![{plot.stem}]({plot.name})\n" for plot in plots)


def _by_number(path: Path) -> list[tuple[int, str]]:
    """Sorts 2 before 10."""
    return [(int(part) if part.isdigit() else -1, part) for part in path.parts]


if __name__ == "__main__":
    sys.exit(main())
