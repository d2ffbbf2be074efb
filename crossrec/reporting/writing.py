"""A report in its four forms: page, Markdown, LaTeX, and the numbers behind it as CSV."""

from __future__ import annotations

from pathlib import Path

from crossrec.reporting.behavior import Files
from crossrec.reporting.blocks import Report
from crossrec.reporting.html import html
from crossrec.reporting.latex import latex
from crossrec.reporting.markdown import markdown


def write_report(report: Report, files: Files, output: Path) -> None:
    """Write report.html, report.md, report.tex and a CSV file for each table of numbers."""
    output.mkdir(parents=True, exist_ok=True)
    for name, text in (
        ("report.html", html(report)),
        ("report.md", markdown(report)),
        ("report.tex", latex(report)),
    ):
        (output / name).write_text(text, encoding="utf-8")
    for name, table in files.items():
        table.write_csv(output / f"{name}.csv")
