"""A report as one HTML page that needs no other file, no script and no network."""

from __future__ import annotations

import re
from itertools import count

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from crossrec.reporting.blocks import Panel, Report
from crossrec.reporting.figures import VARIABLES

SIGNS = dict(zip("osD^vPX*", "●■◆▲▼✚✖★", strict=True))


def html(report: Report) -> str:
    """The page. Whatever stands in the report is text: nothing in it can become markup."""
    numbers = count(1)

    def drawing(panel: Panel) -> Markup:
        """The drawing, with ids that no other drawing of the page has."""
        mine = f"d{next(numbers)}-"
        svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>{mine}", panel.svg)
        return Markup(svg)

    pages = Environment(
        loader=PackageLoader("crossrec.reporting"), autoescape=True, undefined=StrictUndefined
    )
    pages.filters |= {
        "drawing": drawing,
        "kind": lambda block: type(block).__name__,
        "sign": SIGNS.__getitem__,
        "variable": lambda color: VARIABLES.get(color, color),
    }
    style = Markup(pages.get_template("page.css").render())
    return pages.get_template("page.html").render(report=report, style=style)
