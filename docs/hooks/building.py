"""What mkdocs calls while it builds the site: pages that are made, and parts of the README."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import reference
from docstrings import ROOT
from mkdocs.structure.files import File

MARKER = re.compile(r"^<!-- (metrics|README: (.+)) -->$", re.MULTILINE)
SHIM = "https://unpkg.com/iframe-worker/shim"  # what mkdocs-material loads without a server
FETCHED = re.compile(r"""<(?:script|img|iframe|link)\b[^>]*?(?:src|href)=["']?(https?:[^"' >]+)""")
LINK = re.compile(r"\[([^\]]+)\]\((?!https?:)([^)#]+)\)")


def on_config(config: Any) -> Any:
    """Add the pages that are made to the navigation."""
    made = [f"reference/{name}.md" for name in reference.pages()]
    config.nav.append({"Configuration": made})
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add the pages that are made."""
    for name, text in reference.pages().items():
        files.append(File.generated(config, f"reference/{name}.md", content=text))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Put in what a marker stands for."""
    return MARKER.sub(lambda found: _part(found), markdown)


def _part(found: re.Match[str]) -> str:
    if found[1] == "metrics":
        return reference.metrics()
    return section(found[2])


def section(title: str) -> str:
    """A section of the README without its heading; links into the repository become names."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    sections = dict(zip(parts[1::2], parts[2::2], strict=True))
    if title not in sections:
        raise ValueError(f"README.md has no section {title!r}; there are {', '.join(sections)}")
    return LINK.sub(lambda link: f"`{link[2]}`", sections[title].strip())


def on_post_build(config: Any) -> None:
    """Let every page load what it needs from beside it; whatever else it would fetch is refused."""
    site = Path(config.site_dir)
    for page in site.rglob("*.html"):
        worker = os.path.relpath(site / "worker.js", page.parent)
        text = page.read_text(encoding="utf-8").replace(SHIM, worker)
        page.write_text(text, encoding="utf-8")
        if fetched := FETCHED.findall(text):
            raise ValueError(f"{page.name} would fetch {fetched[0]}: the site needs no network")
