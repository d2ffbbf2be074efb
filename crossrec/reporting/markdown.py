"""A report as Markdown: its words and its tables."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crossrec.evaluation.tables import markdown_line
from crossrec.reporting.blocks import Cell, Heading, Report, Section, Table

MARKS = {"": "{}", "best": "**{}**", "second": "<u>{}</u>"}


def markdown(report: Report) -> str:
    """The text of report.md; drawings and example users stand in report.html alone."""
    lines = [f"# {escaped(report.title)}", "", escaped(report.subtitle), ""]
    lines += [f"- {escaped(line)}" for line in report.verdict]
    lines += [f"- {escaped(name)}: {escaped(value)}" for name, value in report.facts]
    for section in report.sections:
        lines += _section(section)
    return "\n".join([*lines, ""])


def escaped(text: str) -> str:
    """Text in which nothing is markup; line breaks are spaces."""
    return re.sub(r"([\\`*_\[<|])", r"\\\1", re.sub(r"\s+", " ", text))


def _section(section: Section) -> Iterator[str]:
    shown = [block for block in section.blocks if isinstance(block, str | Heading | Table)]
    if all(isinstance(block, Heading) for block in shown):
        return
    yield from ("", f"## {escaped(section.title)}")
    for block in shown:
        yield ""
        if isinstance(block, str):
            yield escaped(block)
        elif isinstance(block, Heading):
            yield f"### {escaped(block.text)}"
        else:
            yield from _table(block)


def _table(table: Table) -> Iterator[str]:
    yield f"{escaped(table.caption)}"
    for rows in table.blocks:
        yield ""
        if rows.title:
            yield from (f"**{escaped(rows.title)}**", "")
        yield markdown_line([escaped(name) for name in table.header])
        numbers = len(table.header) - table.words
        yield markdown_line(["---"] * table.words + ["---:"] * numbers)
        yield from (markdown_line([_cell(cell) for cell in row]) for row in rows.rows)
    if table.note:
        yield from ("", escaped(table.note))


def _cell(cell: Cell) -> str:
    return MARKS[cell.mark].format(escaped(cell.text)) + cell.dagger
