"""Plots of results: every model has its place in every panel."""

import polars as pl
import pytest
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure

from crossrec.evaluation.plots import draw_models

MODELS = ["popularity", "scratch", "transferred"]


@pytest.mark.parametrize("named", [True, False])
def test_a_model_has_its_line_in_a_panel_that_lacks_its_value(named: bool) -> None:
    rows = pl.DataFrame({"model": ["scratch"], "value": [0.1], "low": [0.05], "high": [0.2]})
    axes = Figure().add_subplot()
    draw_models(axes, rows, MODELS, named)
    assert [text.get_text() for text in axes.get_yticklabels()] == (MODELS[::-1] if named else [])
    intervals, *grid = [c for c in axes.collections if isinstance(c, LineCollection)]
    assert [line.tolist() for line in intervals.get_segments()] == [[[0.05, 1], [0.2, 1]]]
    heights = [line[0, 1] for lines in grid for line in lines.get_segments()]
    assert heights == ([] if named else [0, 1, 2])  # where there are names, ticks have the lines
    assert axes.get_ylim() == (-0.6, 2.6)
