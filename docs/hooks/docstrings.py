"""Docstrings of the package by dotted name. Code is read, not imported: nothing waits for torch."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
ARGUMENT = re.compile(r"^(\w+(?:, \w+)*): ")


@cache
def definition(target: str) -> ast.ClassDef | ast.FunctionDef | None:
    """The class or function of a dotted name of ours; None for others."""
    module, _, name = target.rpartition(".")
    path = ROOT.joinpath(*module.split("."))
    file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    if not target.startswith("crossrec.") or not file.exists():
        return None
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return node
        if isinstance(node, ast.ImportFrom) and any(alias.name == name for alias in node.names):
            return definition(f"{node.module}.{name}")
    return None


def docstring(target: str) -> str:
    """The docstring of a dotted name of ours; "" where there is none."""
    node = definition(target)
    return (ast.get_docstring(node) or "") if node else ""


def arguments(target: str) -> dict[str, str]:
    """Name -> what the docstring's `Args:` says of it; names in one line share what is said."""
    said: dict[str, str] = {}
    names: list[str] = []
    for line in docstring(target).partition("Args:\n")[2].splitlines():
        if line.strip() and not line.startswith("    "):
            break  # the next section
        text = line.removeprefix("    ")
        if found := ARGUMENT.match(text):
            names = found[1].split(", ")
            text = text[found.end() :]
        for name in names:
            said[name] = f"{said.get(name, '')} {text.strip()}".strip()
    return said
