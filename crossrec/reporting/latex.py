r"""Tables as LaTeX: booktabs, best bold, second underlined, daggers for significance.

report.tex is a fragment: \input{report} in a document with \usepackage{booktabs,graphicx}. Each
table is a float of its own, scaled down if it is wider than the text. Tables of words alone (what
the rows are, what made the runs) stay on the page.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from crossrec.reporting.blocks import Cell, Report, Rows, Table

SIGNS = {
    "\\": r"\textbackslash{}",
    **{sign: f"\\{sign}" for sign in "&%$#_{}"},
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    '"': "''",
    "±": r"$\pm$",
    "→": r"$\to$",
    "↓": r"$\downarrow$",
    "†": r"$^\dagger$",
    "‡": r"$^\ddagger$",
    "–": "--",
}
MINUS = re.compile(r"(?<![\w-])-(?=\.?\d)")  # of a number, and no hyphen
MARKS = {"": "{}", "best": r"\textbf{{{}}}", "second": r"\underline{{{}}}"}
HEAD = r"""% Made by python -m crossrec.report; needs \usepackage{booktabs,graphicx}.
"""


def latex(report: Report) -> str:
    """Every table with numbers, one float after the other."""
    blocks = [block for section in report.sections for block in section.blocks]
    tables = [
        latex_table(block)
        for block in blocks
        if isinstance(block, Table) and block.words < len(block.header)
    ]
    return "\n".join([HEAD, *tables])


def escaped(text: str) -> str:
    """Text in which nothing is a command; line breaks are spaces."""
    signs = "".join(SIGNS.get(sign, sign) for sign in text)
    return re.sub(r"\s+", " ", MINUS.sub("$-$", signs))


def latex_table(table: Table) -> str:
    """A table environment with caption and label."""
    columns = "l" * table.words + "r" * (len(table.header) - table.words)
    lines = [
        r"\begin{table}[tbp]",
        r"\centering",
        rf"\caption{{{escaped(table.caption)}}}\smallskip",
        rf"\label{{tab:{re.sub('[^a-z0-9-]', '-', table.name.lower())}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{@{{}}{columns}@{{}}}}",
        r"\toprule",
        _line([escaped(name) for name in table.header]),
        *(line for rows in table.blocks for line in _block(rows, len(table.header))),
        r"\bottomrule",
        r"\end{tabular}}",
        *([rf"\par\smallskip\footnotesize {escaped(table.note)}"] if table.note else []),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _block(rows: Rows, width: int) -> list[str]:
    title = rf"\multicolumn{{{width}}}{{@{{}}l}}{{\emph{{{escaped(rows.title)}}}}} \\"
    head = [title] if rows.title else []
    return [r"\midrule", *head, *(_line([_cell(cell) for cell in row]) for row in rows.rows)]


def _cell(cell: Cell) -> str:
    return MARKS[cell.mark].format(escaped(cell.text)) + escaped(cell.dagger)


def _line(cells: Sequence[str]) -> str:
    return " & ".join(cells) + r" \\"
