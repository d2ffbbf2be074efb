"""The configuration reference and the table of metrics, as Markdown."""

from __future__ import annotations

import ast
import html
import re
from textwrap import dedent

import settings
from docstrings import ROOT, docstring
from settings import Option, Setting

from crossrec.configuration.values import RULES

ABOUT = {
    "cleaning": "Which raw events are kept.",
    "content": "What is read of an item; several in brackets: `content=[text,image]`.",
    "data": "Which pair of domains, and how its files are read.",
    "encoder": "The language model that reads item texts.",
    "end_to_end": "Whether the language model learns together with the recommender.",
    "evaluation": "What is measured, and at which list lengths.",
    "experiment": "Settings that belong together; `+experiment=NAME` loads them.",
    "logger": "Where learning curves and results are mirrored.",
    "model": "The recommender whose weights are carried.",
    "objective": "The loss of the recommender.",
    "paths": "Where files lie.",
    "pretraining": "How the language model is continued on the texts at hand.",
    "reranking": "Whether a language model puts the best items in a new order.",
    "split": "Which events are train, valid and test.",
    "trainer": "Lightning's Trainer: what it takes may be set (`+trainer.KEY=VALUE` for more).",
    "training": "How the recommender is trained, in the source, from scratch and in transfer.",
    "transfer": "The method that carries what the source taught.",
}
"""A line for each group of conf/; where there is none, what its first option's file says."""
IN_EVERY_FILE = {
    "data.source": "the domain that is carried from; a list names several",
    "data.target": "the domain that is carried to",
    "data.simulated": "whether nobody in the data exists; the caption of a table says so",
}
"""What keys mean that every data set has, where its file says nothing more particular."""


def pages() -> dict[str, str]:
    """Name of a page -> its Markdown: `index`, and one for each group."""
    made = {"index": _index()}
    for group in settings.groups():
        made[group] = _experiments() if group == "experiment" else _group(group)
    return made


def metrics() -> str:
    """A table of what is measured, from the docstrings that define it."""
    module = "crossrec.evaluation"
    tree = ast.parse((ROOT / "crossrec/evaluation/metrics.py").read_text(encoding="utf-8"))
    (known,) = (node.value for node in tree.body if isinstance(node, ast.AnnAssign))
    assert isinstance(known, ast.Dict)
    pairs = zip(known.keys, known.values, strict=True)
    named = [(ast.unparse(k).strip("'"), f"{module}.metrics.{ast.unparse(v)}") for k, v in pairs]
    named += [("coverage", f"{module}.coverage.coverage")]
    named += [(name, f"{module}.beyond_accuracy.{name}") for name in ("novelty", "diversity")]
    shape = re.compile(r"; \(U,\) float64")  # for those who read code
    rows = [(f"`{n}@k`", _text(shape.sub("", _head(docstring(t))))) for n, t in named]
    return _table(("metric", "what it is"), rows)


def _index() -> str:
    default = settings.defaults()
    rows = [
        (
            f"[`{group}`]({group}.md)",
            _about(group),
            _names(group),
            f"`{default[group]}`" if group in default else "",
        )
        for group in settings.groups()
    ]
    return "\n\n".join(
        [
            "# Configuration reference",
            "Made from the files in `conf/` and the docstrings of what they name. "
            "A group's option is chosen by `group=option`, a key is set by `group.key=value`; "
            "a key that nothing would read is refused.",
            _table(("group", "what it is", "options", "default"), rows),
            "## Beside the groups",
            _settings(settings.command_settings()),
        ]
    )


def _about(group: str) -> str:
    return ABOUT.get(group) or _text(settings.options(group)[0].comment)


def _names(group: str) -> str:
    return ", ".join(f"`{option.name}`" for option in settings.options(group))


def _group(group: str) -> str:
    default = settings.defaults().get(group, "")
    found = settings.options(group)
    links = ", ".join(f"[`{option.name}`](#{option.name})" for option in found)
    parts = [f"# {group}", _about(group), *([links] if len(found) > 4 else [])]
    for option in found:
        mark = " (default)" if option.name in default.split(",") else ""
        parts += [f"## {group}={option.name}{mark} {{ #{option.name} }}", *_option(option)]
    return "\n\n".join(parts)


def _option(option: Option) -> list[str]:
    parts = [_text(option.comment)] if option.comment else []
    if option.base:
        parts.append(f"As `{option.group}={option.base}`, but for what the table has.")
    elif option.about:
        parts.append(_paragraphs(option.about))
    if option.target:
        parts.append(f"Code: `{option.target}`")
    parts.append(_settings(option.settings) if option.settings else "No settings of its own.")
    return parts


def _experiments() -> str:
    parts = ["# experiment", ABOUT["experiment"]]
    for name, content in settings.experiments().items():
        body = content.removeprefix("# @package _global_\n").rstrip()
        parts += [f"## +experiment={name}", f"```yaml\n{body}\n```"]
    return "\n\n".join(parts)


def _settings(rows: list[Setting] | tuple[Setting, ...]) -> str:
    cells = [
        (
            f"`{s.key}`",
            "must be given" if s.default == "???" else f"`{s.default}`",
            _said(s),
        )
        for s in rows
    ]
    return _table(("key", "default", "what it is"), cells)


def _said(setting: Setting) -> str:
    """What is said of a key, and what it must be where there is a rule."""
    rule = RULES.get(setting.key)
    said = setting.said or IN_EVERY_FILE.get(setting.key)
    parts = [_text(said.removesuffix("."))] if said else []
    if rule and rule.expected != "text":
        parts.append(f"*{_text(rule.expected)}*")
    return "; ".join(parts)


def _head(text: str) -> str:
    """A docstring up to its arguments."""
    return text.partition("\nArgs:")[0].strip()


def _paragraphs(text: str) -> str:
    """A docstring as Markdown: indented parts, formulas mostly, stay as they are."""
    parts = []
    for part in _head(text).split("\n\n"):
        if part.startswith("    "):
            parts.append(f"```text\n{dedent(part)}\n```")
        elif part.startswith(("- ", "1. ")):
            parts.append("\n".join(_text(line, keep=True) for line in part.splitlines()))
        else:
            parts.append(_text(part))
    return "\n\n".join(parts)


def _text(plain: str, keep: bool = False) -> str:
    """Plain text so that Markdown shows it as it is; what stands in backticks is code."""
    pieces = re.split(r"(`[^`]+`)", plain if keep else " ".join(plain.split()))
    return "".join(
        piece
        if piece.startswith("`")
        else re.sub(r"([*_|\[\]])", r"\\\1", html.escape(piece, quote=False))
        for piece in pieces
    )


def _table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(_cell(cell) for cell in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return re.sub(r"(?<!\\)\|", r"\\|", text)
