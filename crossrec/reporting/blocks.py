"""What a report is made of, before it is HTML, Markdown or LaTeX."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["", "best", "second"]


@dataclass(frozen=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what stands there.
        mark: whether it is the best or the second best of its column and block.
        dagger: a sign behind it that the table's note explains.
    """

    text: str
    mark: Mark = ""
    dagger: str = ""


@dataclass(frozen=True)
class Rows:
    """Rows that belong together, under a title if it has one; the first cell names the row."""

    title: str
    rows: Sequence[Sequence[Cell]]


@dataclass(frozen=True)
class Table:
    """A table with its caption.

    Attributes:
        name: of its label, and of files.
        caption: what it shows.
        header: one title a column; the first is that of the rows' names.
        blocks: its rows, in groups.
        note: how to read it; "" where there is nothing to say.
        words: how many columns, from the left, hold words; numbers in the others stand right.
    """

    name: str
    caption: str
    header: Sequence[str]
    blocks: Sequence[Rows]
    note: str = ""
    words: int = 1


@dataclass(frozen=True)
class Panel:
    """One drawing of a figure: its title and an <svg> element that is safe to put into a page."""

    title: str
    svg: str


@dataclass(frozen=True)
class Series:
    """An entry of a legend: what is drawn in which color and by which marker."""

    name: str
    color: str
    marker: str


@dataclass(frozen=True)
class Figure:
    """Panels side by side under one caption.

    Attributes:
        caption: what it shows.
        alt: what it says, for those who do not see it.
        panels: drawings.
        legend: of all panels; empty where the panels speak for themselves.
    """

    caption: str
    alt: str
    panels: Sequence[Panel]
    legend: Sequence[Series] = ()


@dataclass(frozen=True)
class Suggestion:
    """A recommended item: title, score, and why if the run says so."""

    title: str
    score: str
    reason: str


@dataclass(frozen=True)
class Example:
    """A user: what they did, what was held out, and what is recommended.

    Attributes:
        name: of the user.
        about: kind of user.
        histories: domain -> titles, oldest first.
        held_out: title, and where each model ranks it.
        lists: domain -> recommendations, best first.
    """

    name: str
    about: str
    histories: Sequence[tuple[str, Sequence[str]]]
    held_out: Sequence[tuple[str, str]]
    lists: Sequence[tuple[str, Sequence[Suggestion]]]


@dataclass(frozen=True)
class Heading:
    """A title inside of a section."""

    text: str


Block = Table | Figure | Example | Heading | str
"""A part of a section; a str is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A part of a report.

    Attributes:
        name: its anchor.
        title: its heading.
        blocks: what stands below it.
    """

    name: str
    title: str
    blocks: Sequence[Block]


@dataclass(frozen=True)
class Report:
    """A whole report.

    Attributes:
        title: its heading.
        subtitle: what was measured on what.
        verdict: who wins, by how much and how surely: a headline, then details.
        facts: short facts, (name, value).
        sections: in their order.
    """

    title: str
    subtitle: str
    verdict: Sequence[str]
    facts: Sequence[tuple[str, str]]
    sections: Sequence[Section]
