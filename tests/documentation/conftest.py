"""The documentation's pages, and what stands in them."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HOOKS = str(ROOT / "docs" / "hooks")
if HOOKS not in sys.path:  # as mkdocs has it while it builds
    sys.path.append(HOOKS)

BLOCK = re.compile(r'^```(\w+)(?: title="([^"]+)")?\n(.*?)^```$', re.MULTILINE | re.DOTALL)


@pytest.fixture(scope="session")
def overlay(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the worked examples add to the checkout.

    Python files become modules `worked.NAME`, found where this folder is on the path, and YAML
    files of conf/ name them so; `kits/` holds the package's kits and the one that is added.
    """
    from crossrec.data.simulation.kit_files import KITS

    root = tmp_path_factory.mktemp("overlay")
    files = {}
    for page in sorted((ROOT / "docs" / "pages" / "adding").glob("*.md")):
        for _, title, content in BLOCK.findall(page.read_text(encoding="utf-8")):
            if title and not (ROOT / title).exists():
                files[title] = content
    readme = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Adding to it")[2]
    named = [content for kind, _, content in BLOCK.findall(readme) if kind in ("python", "yaml")]
    titles = re.findall(r"`((?:crossrec|conf)/\S*halfway\.\w+)`", readme)
    files |= dict(zip(titles, named, strict=True))
    modules = {
        title.removesuffix(".py").replace("/", "."): f"worked.{Path(title).stem}"
        for title in files
        if title.endswith(".py")
    }
    for title, content in files.items():
        for module, here in modules.items():
            content = content.replace(f"{module}.", f"{here}.")
        place = root / (f"worked/{Path(title).name}" if title.endswith(".py") else title)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(content, encoding="utf-8")
    kits = root / "crossrec/data/simulation/kits"
    for kit in KITS.glob("*.yaml"):
        (kits / kit.name).write_bytes(kit.read_bytes())
    return root


@pytest.fixture(scope="session")
def found(overlay: Path) -> list[str]:
    """Overrides that make what the examples add be found."""
    return [f"hydra.searchpath=[file://{overlay / 'conf'}]"]


@pytest.fixture(scope="session")
def block() -> Callable[[str, str], str]:
    """(page, words) -> the one command of the page that has the words in it."""

    def only(page: str, words: str) -> str:
        text = (ROOT / "docs" / "pages" / page).read_text(encoding="utf-8")
        commands = [c for kind, _, c in BLOCK.findall(text) if kind == "bash" and words in c]
        assert len(commands) == 1, f"{page} has {len(commands)} commands with {words!r}"
        return commands[0].strip()

    return only
