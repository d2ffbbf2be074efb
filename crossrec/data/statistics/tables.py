"""The account of a target and its sources as tables, for the terminal and for Markdown."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from rich import box
from rich.console import Group
from rich.table import Table
from rich.text import Text

from crossrec.data.statistics.account import DomainAccount, percent, sentences
from crossrec.data.statistics.profile import ANY
from crossrec.evaluation.tables import markdown_line

NONE = "-"
MAX_RATING_ROWS = 12
TERMINAL_COLUMNS = 3  # as many as stand in 80 characters
DROPPED = {
    "with ids": "without user or item",
    "within the scale": "out of scale",
    "no repeat": "repeated",
    "rated high enough": "rated too low",
    "frequent enough": "dropped by k-core",
    "before the target's test": "after the target's test",
    "in the split": "left out by the split",
}
"""What a step of cleaning leaves -> what it drops."""

Row = tuple[str, list[str]]
Numbers = Mapping[str, Any]
Fact = Callable[[Numbers], str]


@dataclass(frozen=True)
class Sheet:
    """A table: what it is about, a name a column, and rows of a label with a cell a column."""

    title: str
    columns: list[str]
    rows: list[Row]


def terminal(domains: Sequence[DomainAccount], caption: str) -> Group:
    """What a command prints: the sentences, then the tables.

    Args:
        domains: the target, then its sources.
        caption: the first line.
    """
    parts: list[Table | Text] = [Text(caption, style="bold"), *map(Text, sentences(domains))]
    for sheet in sheets(domains):
        for start in range(0, len(sheet.columns), TERMINAL_COLUMNS):
            shown = slice(start, start + TERMINAL_COLUMNS)
            table = Table(
                box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
            )
            table.add_column(Text(sheet.title), no_wrap=True)
            for column in sheet.columns[shown]:
                header = Text(column.replace(" (", "\n("))
                table.add_column(header, justify="right", overflow="fold")
            for label, cells in sheet.rows:
                table.add_row(Text(label), *cells[shown])
            parts += [Text(), table]
    return Group(*parts)


def markdown(domains: Sequence[DomainAccount], caption: str) -> str:
    """The same as Markdown."""
    lines = [f"# {caption}", "", *(f"- {sentence}" for sentence in sentences(domains))]
    for sheet in sheets(domains):
        lines += ["", markdown_line([sheet.title, *sheet.columns])]
        lines += [markdown_line(["---"] + ["---:"] * len(sheet.columns))]
        lines += [markdown_line([label, *cells]) for label, cells in sheet.rows]
    return "\n".join(lines) + "\n"


def sheets(domains: Sequence[DomainAccount]) -> list[Sheet]:
    """The tables that have something to say: cleaning, sizes, ratings, text, match."""
    titles = [domain.title for domain in domains]
    profiles = [domain.profile for domain in domains]
    sources = domains[1:]
    matches = [source.match for source in sources if source.match is not None]
    found = [
        Sheet("cleaning", titles, _cleaning([domain.cleaning for domain in domains])),
        Sheet("domain", titles, _sizes(profiles)),
        Sheet("ratings", titles, _ratings([profile["ratings"] for profile in profiles])),
        Sheet("text", titles, _text(profiles)),
        Sheet(
            f"shared with {domains[0].name}", [source.name for source in sources], _match(matches)
        ),
    ]
    return [sheet for sheet in found if sheet.rows]


def _cleaning(reports: Sequence[Numbers | None]) -> list[Row]:
    """From lines to what is left; a step that a domain did not take is a dash."""
    accounts = [_steps(report) if report else {} for report in reports]
    ends = ["interactions left", "users left", "items left"]
    names = dict.fromkeys(name for account in accounts for name in account if name not in ends)
    labels = [*names, *ends] if names else []
    return [(label, [account.get(label, NONE) for account in accounts]) for label in labels]


def _steps(report: Numbers) -> dict[str, str]:
    steps = report["steps"]
    counts = {
        "rows read": report["n_lines"],
        "malformed": report["n_malformed"],
        "interactions read": steps[0]["interactions"],
    }
    for before, step in pairwise(steps):
        name = DROPPED.get(step["step"], f"not {step['step']}")
        counts[name] = before["interactions"] - step["interactions"]
    for what in ("interactions", "users", "items"):
        counts[f"{what} left"] = steps[-1][what]
    return {name: f"{count:,}" for name, count in counts.items()}


def _sizes(profiles: Sequence[Numbers]) -> list[Row]:
    facts: dict[str, Fact] = {
        "users": lambda p: f"{p['users']:,}",
        "items": lambda p: f"{p['items']:,}",
        "items with interactions": lambda p: f"{p['active_items']:,}",
        "interactions": lambda p: f"{p['interactions']:,}",
        "repeated": lambda p: f"{p['repeated']:,}",
        "density": lambda p: percent(p["density"]),
        "per user: 50 / 90 / 100%": lambda p: _quantiles(p["per_user"], "50", "90", "100"),
        "per item: 50 / 90 / 100%": lambda p: _quantiles(p["per_item"], "50", "90", "100"),
        "Gini of items": lambda p: f"{p['item_gini']:.3f}",
        "first": lambda p: p["times"]["first"] if p["times"] else NONE,
        "last": lambda p: p["times"]["last"] if p["times"] else NONE,
        "with a timestamp": lambda p: percent(p["timestamps"]),
        "with a position": lambda p: percent(p["positions"]),
    }
    return _rows(facts, profiles)


def _ratings(ratings: Sequence[Numbers]) -> list[Row]:
    """Share of each value in those that are known, unless the values are too many for a table."""
    if not any(known["known"] for known in ratings):
        return []
    shares = [
        {
            (one["low"], one["high"]): percent(one["count"] / known["known"])
            for one in known["histogram"]
        }
        for known in ratings
    ]
    bins = sorted({of_value for of_domain in shares for of_value in of_domain})
    rows = [
        ("missing", [f"{known['missing']:,}" for known in ratings]),
        ("mean", [_known(known["mean"], "{:.3g}".format) for known in ratings]),
    ]
    if len(bins) <= MAX_RATING_ROWS:
        rows += [
            (f"{low:g}", [of_domain.get((low, high), NONE) for of_domain in shares])
            for low, high in bins
        ]
    return rows


def _text(profiles: Sequence[Numbers]) -> list[Row]:
    """Who has it, and how long it is, for what any domain has."""
    rows: list[Row] = []
    for kind in ("text", "media"):
        for column in profiles[0][kind]:
            fields = [profile[kind][column] for profile in profiles]
            if not any(field["items"] for field in fields) and column != ANY:
                continue
            rows.append((f"{column}: of items", [percent(field["items"]) for field in fields]))
            events = [percent(field["interactions"]) for field in fields]
            rows.append((f"{column}: of interactions", events))
            if kind == "text":
                words = [_quantiles(field["words"], "50", "99", "100") for field in fields]
                rows.append((f"{column} words: 50 / 99 / 100%", words))
    return rows


def _match(matches: Sequence[Numbers]) -> list[Row]:
    facts: dict[str, Fact] = {
        "users": lambda m: f"{m['users']['count']:,}",
        "of target users": lambda m: percent(m["users"]["of_target"]),
        "of source users": lambda m: percent(m["users"]["of_source"]),
        "their share of target events": lambda m: percent(m["users"]["of_target_interactions"]),
        "their share of source events": lambda m: percent(m["users"]["of_source_interactions"]),
        "their source events: 50 / 90 / 100%": lambda m: _quantiles(
            m["source_history"], "50", "90", "100"
        ),
        "items": lambda m: f"{m['items']['count']:,}",
        "of target items": lambda m: percent(m["items"]["of_target"]),
        "of source items": lambda m: percent(m["items"]["of_source"]),
        "target events with them": lambda m: percent(m["items"]["of_target_interactions"]),
        "source events with them": lambda m: percent(m["items"]["of_source_interactions"]),
        "target items with a source title": lambda m: f"{m['text']['equal_titles']:,}",
        "words of target texts known": lambda m: _known(m["text"]["known_words"], percent),
        "nearest source text (cosine)": lambda m: _known(m["text"]["to_source"], "{:.3f}".format),
        "nearest target text (cosine)": lambda m: _known(m["text"]["to_target"], "{:.3f}".format),
    }
    return _rows(facts, matches) if matches else []


def _rows(facts: Mapping[str, Fact], columns: Sequence[Numbers]) -> list[Row]:
    return [(label, [fact(numbers) for numbers in columns]) for label, fact in facts.items()]


def _known(number: float | None, form: Callable[[float], str]) -> str:
    return NONE if number is None else form(number)


def _quantiles(spread: Numbers, *percents: str) -> str:
    """10 / 24 / 45"""
    if not spread["quantiles"]:
        return NONE
    return " / ".join(f"{round(spread['quantiles'][one], 1):,.10g}" for one in percents)
