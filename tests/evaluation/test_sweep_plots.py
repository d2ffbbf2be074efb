"""What is drawn of a sweep."""

import polars as pl
import pytest
from matplotlib.figure import Figure

from crossrec.evaluation.plots import draw_heat_map
from crossrec.evaluation.sweep_plots import Axis, draw_parallel

TRIALS = pl.DataFrame(
    {
        "transfer.lambda": [0.1, 1.0, 10.0, 100.0],
        "model": ["mf", "sasrec", "mf", "mf"],
        "ndcg@10": [0.2, 0.1, 0.15, 0.05],
        "ended": [False, False, True, True],
    }
)


@pytest.mark.parametrize(("better", "on_top"), [(True, 0.1), (False, 1.0)])
def test_the_best_trial_lies_on_top_of_those_that_ended_early(better: bool, on_top: float) -> None:
    plot = Figure().add_subplot()
    axes = [Axis("transfer.lambda", names=False, log=True), Axis("model", names=True, log=False)]
    draw_parallel(plot, TRIALS, axes, "ndcg@10", better)
    lines = plot.get_lines()[:4]  # then the vertical ones
    assert [line.get_linestyle() for line in lines] == ["--", "--", "-", "-"]
    where = {0.1: 0.0, 1.0: 1 / 3, 10.0: 2 / 3, 100.0: 1.0}  # of lambda on its logarithmic axis
    assert lines[3].get_ydata()[0] == pytest.approx(where[on_top])
    assert lines[3].get_linewidth() > lines[2].get_linewidth()
    assert sorted(line.get_ydata()[0] for line in lines) == pytest.approx(sorted(where.values()))


@pytest.mark.parametrize(("metric", "sign"), [("ndcg@10", 1), ("rmse", -1)])
def test_the_better_a_cell_the_darker_it_is(metric: str, sign: int) -> None:
    plot = Figure().add_subplot()
    rows = pl.DataFrame({"lambda": [0.0, 1.0], "mu": [1.0, 1.0], "value": [0.9, 1.1]})
    draw_heat_map(plot, rows, metric)
    shades = plot.collections[0].get_array().ravel()
    assert shades.tolist() == [sign * 0.9, sign * 1.1]  # the highest is the darkest
    written = {text.get_text(): text.get_color() for text in plot.texts}
    assert written[".9000" if sign < 0 else "1.1000"] == "white"
