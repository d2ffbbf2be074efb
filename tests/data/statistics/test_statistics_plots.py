"""What the panels show, and that the missing ones say why; the pictures themselves are viewed."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from matplotlib import image
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.statistics.account import DomainAccount, as_json, read_json
from crossrec.data.statistics.matching import match
from crossrec.data.statistics.plots import PANELS, draw_domains, plot_domains
from crossrec.data.statistics.profile import profile

DAY = 86_400


def tables(
    n: int, ratings: list[float | None], days: list[int | None], title: str | None
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """n interactions: user k // 2 with item k; the ratings and days are repeated over them."""
    events = pl.DataFrame(
        {
            USER: [f"u{k // 2}" for k in range(n)],
            ITEM: [f"i{k}" for k in range(n)],
            RATING: [ratings[k % len(ratings)] for k in range(n)],
            TIMESTAMP: [None if (d := days[k % len(days)]) is None else d * DAY for k in range(n)],
        },
        schema={USER: pl.String, ITEM: pl.String, RATING: pl.Float32, TIMESTAMP: pl.Int64},
    ).with_columns(pl.lit(None, dtype=pl.Int64).alias(POSITION))
    items = events.select(ITEM).unique().sort(ITEM)
    items = items.with_columns(pl.lit(title, dtype=pl.String).alias("title"))
    return events, items.with_columns(
        pl.lit(None, dtype=pl.String).alias(column) for column in ITEM_COLUMNS[2:]
    )


FULL = tables(20, [1, 5, 5, None], [18_000, 18_001, 18_003], "red cup")
BARE = tables(20, [None], [None], None)


def drawn(panel: str, of: tuple[pl.DataFrame, pl.DataFrame]) -> tuple[Axes, str]:
    axes = Figure().add_subplot()
    return axes, PANELS[panel](axes, profile(*of).to_dict(), "#000000")


def account(name: str, of: tuple[pl.DataFrame, pl.DataFrame], target: bool) -> DomainAccount:
    matched = None if target else match(of[0], FULL[0], of[1], FULL[1]).to_dict()
    return DomainAccount(name, profile(*of).to_dict(), match=matched)


def test_ratings_are_bars_of_percent() -> None:
    axes, missing = drawn("ratings", FULL)
    assert missing == ""
    bars = {bar.get_x() + bar.get_width() / 2: bar.get_height() for bar in axes.patches}
    assert bars == {1.0: pytest.approx(100 / 3), 5.0: pytest.approx(200 / 3)}


def test_ranges_of_ratings_are_of_one_width() -> None:
    axes, _ = drawn("ratings", tables(102, [*map(float, range(101)), 5000.0], [None], None))
    assert {round(bar.get_width(), 6) for bar in axes.patches} == {5.0}
    assert axes.get_xlim()[1] < 200
    assert "and above" in axes.get_xlabel()


def test_time_counts_every_day_between() -> None:
    axes, missing = drawn("events over time", FULL)
    assert missing == ""
    values, edges, _ = axes.patches[0].get_data()
    assert values.tolist() == [7, 7, 0, 6]
    assert edges.tolist() == [18_000, 18_001, 18_002, 18_003, 18_004]
    assert axes.get_ylabel() == "interactions a day"


def test_time_that_no_calendar_holds_is_told_in_words() -> None:
    _, missing = drawn("events over time", tables(2, [None], [0, 4_000_000], None))
    assert missing == "1970-01-01 to 12921-08-18:\nno times to draw"


def test_histories_popularity_and_text() -> None:
    axes, _ = drawn("history lengths", FULL)
    values, edges, _ = axes.patches[0].get_data()
    assert (values.tolist(), edges.tolist()) == ([10], [2, 4])
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
    axes, _ = drawn("item popularity", FULL)
    assert axes.lines[0].get_xdata()[-1] == 20
    assert set(axes.lines[0].get_ydata()) == {1}
    axes, _ = drawn("text lengths", FULL)
    values, edges, _ = axes.patches[0].get_data()
    assert (values.tolist(), edges.tolist()) == ([100.0], [4, 8])  # "red cup": 7 characters
    assert [text.get_text() for text in axes.get_legend().get_texts()] == ["title"]


def test_missing_panels_say_why() -> None:
    said = {panel: drawn(panel, BARE)[1] for panel in PANELS}
    assert said == {
        "ratings": "no ratings",
        "events over time": "no timestamps",
        "history lengths": "",
        "item popularity": "",
        "text lengths": "no text",
    }
    nothing = tables(0, [None], [None], None)
    assert drawn("history lengths", nothing)[1] == "no interactions"
    assert drawn("item popularity", nothing)[1] == "no interactions"


def test_rows_are_domains_and_columns_have_one_axis() -> None:
    later = tables(40, [2], [18_300], "a red cup that is longer")
    figure = draw_domains(
        [account("a$b$", later, True), account("b", FULL, False), account("c", BARE, False)], "all"
    )
    panels = np.array(figure.axes).reshape(3, len(PANELS))
    for column, name in enumerate(PANELS):
        full, other, bare = panels[:, column]
        assert [axes.get_title() for axes in panels[:, column]] == [name] * 3
        assert full.get_xlim() == other.get_xlim()
        if name in ("ratings", "events over time", "text lengths"):
            assert bare.texts[-1].get_text().startswith("no ")
            assert len(bare.get_xticks()) == 0
        else:
            assert bare.get_xlim() == full.get_xlim()
    assert [axes.texts[0].get_text() for axes in panels[:, 0]] == [
        "a$b$ (target)",
        "b (source)",
        "c (source)",
    ]
    low, high = panels[0, 1].get_xlim()
    assert low <= 18_000
    assert high >= 18_301


def test_the_file_is_a_picture_and_the_same_from_json(tmp_path: Path) -> None:
    domains = [account("tech", FULL, True)]
    path = plot_domains(domains, "a pair", tmp_path / "new" / "data.png")
    height, width, _ = image.imread(path).shape
    assert (width, height) == (1800, 372)
    again = plot_domains(read_json(as_json(domains)), "a pair", tmp_path / "again.png")
    assert again.read_bytes() == path.read_bytes()
