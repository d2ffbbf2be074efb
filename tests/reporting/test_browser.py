"""The page in a real browser: it asks for nothing, fits a phone, and can be used by keyboard."""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from crossrec.report import main

PAGES = ("one", "many")
WIDTHS = (1280, 390)


@pytest.fixture(scope="module")
def pages(
    tmp_path_factory: pytest.TempPathFactory, finished: Callable[..., Path]
) -> dict[str, Path]:
    """The page of a single run, and that of a sweep with two data sets."""
    folder = tmp_path_factory.mktemp("pages")
    one = finished(folder / "one")
    many = folder / "many"
    for number, (lambda_, mu) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        finished(many / str(number), lambda_=lambda_, mu=mu)
    finished(many / "other", target="tools")
    for runs in (one, many):
        assert main([str(runs)]) == 0
    return {run.name: run / "report" / "report.html" for run in (one, many)}


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_whole(chromium: Any, pages: dict[str, Path], name: str, width: int) -> None:
    chromium.open(pages[name], width)
    said = [
        e
        for e in chromium.events
        if e.get("method")
        in ("Log.entryAdded", "Runtime.exceptionThrown", "Runtime.consoleAPICalled")
    ]
    assert said == []
    asked = [
        e["params"]["request"]["url"]
        for e in chromium.events
        if e.get("method") == "Network.requestWillBeSent"
    ]
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
    assert chromium.value("innerWidth") == width
    assert chromium.value(
        "(page => page.scrollWidth <= page.clientWidth)(document.documentElement)"
    )
    assert chromium.value("document.scripts.length") == 0
    assert chromium.value("document.querySelectorAll('img').length") == 0
    assert chromium.value("document.body.innerText").count("<script>alert('x')</script>") > 3


@pytest.mark.parametrize("name", PAGES)
def test_everything_has_a_name(chromium: Any, pages: dict[str, Path], name: str) -> None:
    chromium.open(pages[name], 1280)
    levels = chromium.value(
        "[...document.querySelectorAll('h1,h2,h3,h4,h5,h6')].map(h => +h.tagName[1])"
    )
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert chromium.value("document.querySelectorAll('table').length") > 4
    assert chromium.value(
        "[...document.querySelectorAll('table')].every(t => t.caption.innerText.trim() &&"
        " t.querySelector('thead th[scope=col]') && t.querySelector('tbody th[scope=row]'))"
    )
    assert chromium.value(
        "[...document.querySelectorAll('figure')].every(f => f.querySelector('figcaption') &&"
        " f.querySelector('[role=img]').ariaLabel.length > 30)"
    )
    ids = chromium.value("[...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids))
    links = chromium.value("[...document.querySelectorAll('nav a')].map(a => a.hash.slice(1))")
    assert links
    assert set(links) <= set(ids)


@pytest.mark.parametrize("name", PAGES)
def test_a_wide_table_scrolls_in_its_own_box(
    chromium: Any, pages: dict[str, Path], name: str
) -> None:
    chromium.open(pages[name], 390)
    boxes = "[...document.querySelectorAll('.scroll')]"
    assert chromium.value(f"{boxes}.some(b => b.scrollWidth > b.clientWidth)")
    assert chromium.value(f"{boxes}.every(b => b.clientWidth <= innerWidth && b.tabIndex === 0)")
    assert chromium.value(
        "(box => { box.scrollLeft = 1e6;"
        " return box.querySelector('tbody th[scope=row]').getBoundingClientRect().left >= 0 })"
        f"({boxes}.find(b => b.scrollWidth > b.clientWidth))"
    ), "the names of the rows are scrolled away"


def test_a_wide_window_shows_every_link_of_the_navigation(
    chromium: Any, pages: dict[str, Path]
) -> None:
    chromium.open(pages["many"], 1280)
    assert chromium.value(
        "(list => list.scrollWidth <= list.clientWidth)(document.querySelector('nav ul'))"
    )


@pytest.mark.parametrize("width", WIDTHS)
def test_no_text_is_tiny(chromium: Any, pages: dict[str, Path], width: int) -> None:
    chromium.open(pages["one"], width)
    smallest = chromium.value(
        "Math.min(...[...document.querySelectorAll('body *')]"
        ".filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))"
        ".filter(e => e.tagName !== 'SUP' && e.tagName !== 'STYLE')"
        ".map(e => { const svg = e.closest('svg');"
        " const scale = svg ? svg.getBoundingClientRect().width / svg.viewBox.baseVal.width : 1;"
        " return parseFloat(getComputedStyle(e).fontSize) * scale }))"
    )
    assert smallest >= 10.5


@pytest.mark.parametrize("dark", [False, True])
def test_text_stands_out(chromium: Any, pages: dict[str, Path], dark: bool) -> None:
    """WCAG 2.1: a contrast of 4.5 or more for text, of 3 for what is drawn."""
    chromium.open(pages["one"], 1280, dark)
    colors = chromium.value(
        "[...document.querySelectorAll('body *')]"
        ".filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))"
        ".map(e => { const style = getComputedStyle(e);"
        " return [e.closest('svg') ? style.fill : style.color,"
        " getComputedStyle(document.body).backgroundColor, e.className === 'swatch'] })"
    )
    assert len(colors) > 100
    for front, back, drawn in colors:
        assert contrast(front, back) >= (3 if drawn else 4.5), (front, back)


def contrast(front: str, back: str) -> float:
    """(L1 + 0.05) / (L2 + 0.05) of two colors like rgb(1, 2, 3)."""
    lights = []
    for color in (front, back):
        parts = [int(p) / 255 for p in color.removeprefix("rgb(").removesuffix(")").split(",")]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        lights.append(0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2])
    return (max(lights) + 0.05) / (min(lights) + 0.05)


def test_the_keyboard_reaches_everything(chromium: Any, pages: dict[str, Path]) -> None:
    chromium.open(pages["one"], 1280)
    reached, outlined = [], []
    for _ in range(60):
        chromium.press("Tab")
        reached.append(
            chromium.value("document.activeElement.className || document.activeElement.tagName")
        )
        outlined.append(chromium.value("getComputedStyle(document.activeElement).outlineStyle"))
        if reached[-1] == "BODY":
            break
    assert reached[0] == "skip"
    assert {"A", "scroll", "SUMMARY"} <= set(reached)
    assert set(outlined[: reached.index("SUMMARY")]) == {"solid"}
