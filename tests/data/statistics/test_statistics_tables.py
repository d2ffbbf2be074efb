"""The account in words, as JSON and as tables, on a target of four rows and its sources."""

import io
import json
from typing import Any

import polars as pl
import pytest
from rich.console import Console

from crossrec.data.cleaning import CleaningReport, CleaningStep
from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, TIMESTAMP, USER
from crossrec.data.statistics.account import DomainAccount, as_json, percent, read_json, sentences
from crossrec.data.statistics.matching import match
from crossrec.data.statistics.profile import profile
from crossrec.data.statistics.tables import MAX_RATING_ROWS, markdown, sheets, terminal

Tables = tuple[pl.DataFrame, pl.DataFrame]


def domain(
    pairs: list[tuple[str, str]],
    titles: dict[str, str | None],
    ratings: list[float] | None = None,
    day: int | None = None,
) -> Tables:
    """Interactions, with one rating and one time for all if any, and the catalog."""
    events = pl.DataFrame(pairs, schema={USER: pl.String, ITEM: pl.String}, orient="row")
    events = events.with_columns(
        pl.Series(RATING, ratings or [None] * len(pairs), dtype=pl.Float32),
        pl.lit(None if day is None else day * 86_400, dtype=pl.Int64).alias(TIMESTAMP),
        pl.lit(None, dtype=pl.Int64).alias(POSITION),
    )
    items = pl.DataFrame({ITEM: list(titles), "title": list(titles.values())}).with_columns(
        pl.lit(None, dtype=pl.String).alias(column) for column in ITEM_COLUMNS[2:]
    )
    return events, items.cast(pl.String)


TECH = domain(
    [("u", "t1"), ("v", "t1"), ("v", "t2"), ("w", "s")],
    {"t1": "usb cable", "t2": "red lamp", "s": None},
    [5, 5, 4, 1],
    day=18_262,
)
HOME = domain([("u", "h"), ("u", "s"), ("x", "h")], {"h": "Red lamp", "s": None})
FAR = domain([("y", "f")], {"f": None}, [0.5], day=0)
CLEANING = CleaningReport(
    "tech",
    10_000,
    12,
    (
        CleaningStep("read", 9_988, 30, 9),
        CleaningStep("with ids", 9_985, 30, 9),
        CleaningStep("within the scale", 9_981, 29, 9),
        CleaningStep("no repeat", 9_951, 29, 9),
        CleaningStep("washed", 9_951, 29, 9),
        CleaningStep("frequent enough", 4, 3, 3),
    ),
).to_dict()


def account(name: str, tables: Tables, cleaning: dict[str, Any] | None = None) -> DomainAccount:
    matched = None if name == "tech" else match(tables[0], TECH[0], tables[1], TECH[1]).to_dict()
    return DomainAccount(name, profile(*tables).to_dict(), cleaning, matched)


DOMAINS = [account("tech", TECH, CLEANING), account("home", HOME), account("far", FAR)]


def rows(title: str, domains: list[DomainAccount] = DOMAINS) -> dict[str, list[str]]:
    return {
        label: cells
        for sheet in sheets(domains)
        if sheet.title == title
        for label, cells in sheet.rows
    }


def test_sentences() -> None:
    assert sentences(DOMAINS) == [
        "tech (target): 3 users, 3 items, 4 interactions; 2020-01-01 to 2020-01-01; "
        "mean rating 3.75; text for 67% of items",
        "home (source): 2 users, 2 items, 3 interactions; no timestamps; no ratings; "
        "text for 50% of items",
        "far (source): 1 users, 1 items, 1 interactions; 1970-01-01 to 1970-01-01; "
        "mean rating 0.5; no text",
        "home to tech: 1 shared users (33% of the target's) with a median of 2 interactions in "
        "home; 1 shared items (33% of the target's); knows 50% of the words in the target's texts",
        "far to tech: no shared users; no shared items; no text to compare",
    ]


def test_cleaning_says_what_each_step_dropped() -> None:
    found = {label: cells[0] for label, cells in rows("cleaning").items()}
    assert list(found.items()) == [
        ("rows read", "10,000"),
        ("malformed", "12"),
        ("interactions read", "9,988"),
        ("without user or item", "3"),
        ("out of scale", "4"),
        ("repeated", "30"),
        ("not washed", "0"),
        ("dropped by k-core", "9,947"),
        ("interactions left", "4"),
        ("users left", "3"),
        ("items left", "3"),
    ]
    assert all(cells[1:] == ["-", "-"] for cells in rows("cleaning").values())


def test_steps_of_one_domain_only_stand_before_what_is_left() -> None:
    other = {**CLEANING, "steps": [*CLEANING["steps"], CleaningStep("late", 3, 3, 3).__dict__]}
    two = [DOMAINS[0], account("home", HOME, other)]
    labels = list(rows("cleaning", two))
    assert labels[-4:] == ["not late", "interactions left", "users left", "items left"]
    assert rows("cleaning", two)["not late"] == ["-", "1"]


def test_without_cleaning_or_sources_there_are_no_such_tables() -> None:
    alone = [account("tech", TECH)]
    assert [sheet.title for sheet in sheets(alone)] == ["domain", "ratings", "text"]
    assert len(sentences(alone)) == 1


def test_sizes() -> None:
    found = rows("domain")
    assert found["interactions"] == ["4", "3", "1"]
    assert found["density"] == ["44%", "75%", "100%"]
    assert found["per user: 50 / 90 / 100%"] == ["1 / 1.8 / 2", "1.5 / 1.9 / 2", "1 / 1 / 1"]
    assert found["first"] == ["2020-01-01", "-", "1970-01-01"]


def test_ratings_of_different_scales_stand_in_order() -> None:
    assert list(rows("ratings").items()) == [
        ("missing", ["0", "3", "0"]),
        ("mean", ["3.75", "-", "0.5"]),
        ("0.5", ["-", "-", "100%"]),
        ("1", ["25%", "-", "-"]),
        ("4", ["25%", "-", "-"]),
        ("5", ["50%", "-", "-"]),
    ]
    assert rows("ratings", [account("tech", HOME)]) == {}
    many = domain(
        [("u", f"i{k}") for k in range(MAX_RATING_ROWS + 1)],
        {"i0": None},
        [float(k) for k in range(MAX_RATING_ROWS + 1)],
    )
    assert list(rows("ratings", [account("tech", many)])) == ["missing", "mean"]


def test_text_of_what_any_domain_has() -> None:
    found = rows("text")
    assert found["title: of items"] == ["67%", "50%", "0%"]
    assert found["title: of interactions"] == ["75%", "67%", "0%"]
    assert found["title words: 50 / 99 / 100%"] == ["2 / 2 / 2", "2 / 2 / 2", "-"]
    assert not any(label.startswith(("brand", "image")) for label in found)


def test_match_with_each_source() -> None:
    found = rows("shared with tech")
    assert found["users"] == ["1", "0"]
    assert found["their share of source events"] == ["67%", "0%"]
    assert found["their source events: 50 / 90 / 100%"] == ["2 / 2 / 2", "-"]
    assert found["items"] == ["1", "0"]
    assert found["target items with a source title"] == ["1", "0"]
    assert found["words of target texts known"] == ["50%", "0%"]
    assert found["nearest source text (cosine)"] == ["0.500", "-"]


def test_json_there_and_back() -> None:
    again = read_json(as_json(DOMAINS))
    assert as_json(again) == as_json(DOMAINS)
    assert sheets(again) == sheets(DOMAINS)
    assert sentences(again) == sentences(DOMAINS)
    assert json.loads(as_json(DOMAINS))[0]["name"] == "tech"


def test_markdown_has_every_cell() -> None:
    text = markdown(DOMAINS, "tech with home and far")
    lines = text.splitlines()
    assert lines[0] == "# tech with home and far"
    assert lines[2] == f"- {sentences(DOMAINS)[0]}"
    assert "| domain | tech (target) | home (source) | far (source) |" in lines
    for sheet in sheets(DOMAINS):
        for label, cells in sheet.rows:
            assert f"| {label} | {' | '.join(cells)} |" in lines


@pytest.mark.parametrize("n_sources", [1, 4])
def test_the_terminal_shows_every_cell_in_80_columns(n_sources: int) -> None:
    names = ["[bold]x", "home_and_kitchen", "grocery_and_food", "far"][:n_sources]
    domains = [DOMAINS[0], *(account(name, HOME) for name in names)]
    written = io.StringIO()
    console = Console(file=written, width=80, color_system=None)
    console.print(terminal(domains, "caption"))
    shown = written.getvalue()
    assert shown.startswith("caption")
    assert "…" not in shown
    for name in names:
        assert name in shown
    found = " ".join(shown.split())
    for sheet in sheets(domains):
        for start in range(0, len(sheet.columns), 3):
            for label, cells in sheet.rows:
                assert " ".join([label, *cells[start : start + 3]]) in found


@pytest.mark.parametrize(
    ("share", "expected"),
    [
        (0, "0%"),
        (1e-9, "<0.01%"),
        (0.0046, "0.46%"),
        (0.046, "4.6%"),
        (0.456, "46%"),
        (0.9962, "99.62%"),
        (0.99999, ">99.99%"),
        (1, "100%"),
    ],
)
def test_percent(share: float, expected: str) -> None:
    assert percent(share) == expected
