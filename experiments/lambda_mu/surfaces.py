"""Surfaces over lambda and mu: a table of validation and test, and heat maps.

    python experiments/lambda_mu/surfaces.py OUTPUT FOLDER...

Each FOLDER holds the runs of one pair. OUTPUT gets surfaces.csv and a PNG for each pair and metric:
the gain over scratch, in validation and in test, and where validation would choose.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from crossrec.evaluation.results import read_values
from crossrec.evaluation.sweeps import read_run
from crossrec.report import find_runs

LOWER_IS_BETTER = "rmse"
ROW, BASELINE = "transferred", "scratch"


def main(arguments: Sequence[str]) -> None:
    output, *folders = map(Path, arguments)
    output.mkdir(parents=True, exist_ok=True)
    table = pl.concat([surface(folder) for folder in folders])
    table.write_csv(output / "surfaces.csv")
    for (pair, metric), own in table.group_by("pair", "metric", maintain_order=True):
        draw(own, f"{pair}, {metric}", output / f"{pair}_{metric}.png")


def surface(folder: Path) -> pl.DataFrame:
    """pair, metric, lambda, mu, valid, test, scratch_valid, scratch_test: a row for each point.

    With lambda = 0 mu says nothing: that point stands once, with mu = 1.
    """
    rows = []
    for run in map(read_run, find_runs([folder])):
        validation = json.loads((run.folder / "record.json").read_text())["validation"]
        ((metric, valid),) = validation[ROW].items()
        values = read_values(run.folder / "results.csv").filter(users="all", metric=metric)
        test = dict(values.select("model", "value").iter_rows())
        scratch = validation[BASELINE][metric], test[BASELINE]
        rows.append((folder.name, metric, run.lambda_, run.mu, valid, test[ROW], *scratch))
    names = ("pair", "metric", "lambda", "mu", "valid", "test", "scratch_valid", "scratch_test")
    return pl.DataFrame(rows, names, orient="row").sort("lambda", "mu")


def gains(own: pl.DataFrame, part: str) -> np.ndarray:
    """Gain over scratch in percent, > 0 where transfer is better; (points,)."""
    value, base = own[part].to_numpy(), own[f"scratch_{part}"].to_numpy()
    sign = -1 if own["metric"][0] == LOWER_IS_BETTER else 1
    return 100 * sign * (value / base - 1)


def draw(own: pl.DataFrame, title: str, path: Path) -> None:
    """Two heat maps: mu to the right, lambda upward; lambda = 0 is the lowest row."""
    lambdas, mus = (sorted(own[name].unique()) for name in ("lambda", "mu"))
    figure = Figure(figsize=(2.6 + 1.3 * len(mus), 1.4 + 0.34 * len(lambdas)))
    FigureCanvasAgg(figure)
    limit = max(1.0, *(float(np.abs(gains(own, part)).max()) for part in ("valid", "test")))
    best = int(gains(own, "valid").argmax())
    for place, part in enumerate(("valid", "test")):
        grid = np.full((len(lambdas), len(mus)), np.nan)
        for strength, mu, gain in zip(own["lambda"], own["mu"], gains(own, part), strict=True):
            columns = slice(None) if strength == 0 else mus.index(mu)
            grid[lambdas.index(strength), columns] = gain
        axes = figure.add_subplot(1, 2, place + 1)
        axes.imshow(grid, origin="lower", aspect="auto", cmap="RdBu", vmin=-limit, vmax=limit)
        for row, column in np.ndindex(grid.shape):
            if not np.isnan(grid[row, column]):
                dark = abs(grid[row, column]) > 0.6 * limit
                text = f"{grid[row, column]:+.0f}%"
                axes.text(
                    *(column, row, text),
                    ha="center",
                    va="center",
                    fontsize=8,
                    color="white" if dark else "black",
                )
        chosen = mus.index(own["mu"][best]), lambdas.index(own["lambda"][best])
        axes.plot(*chosen, "s", markersize=22, markerfacecolor="none", markeredgecolor="black")
        axes.set_xticks(range(len(mus)), [f"{mu:g}" for mu in mus])
        axes.set_yticks(range(len(lambdas)), [f"{x:g}" for x in lambdas])
        axes.set_xlabel("mu")
        axes.set_ylabel("lambda" if place == 0 else "")
        axes.set_title({"valid": "validation", "test": "test"}[part], fontsize=10)
    figure.suptitle(
        f"{title}: gain over scratch; the square is what validation chooses", fontsize=9
    )
    figure.tight_layout()
    figure.savefig(path, dpi=110)


if __name__ == "__main__":
    main(sys.argv[1:])
