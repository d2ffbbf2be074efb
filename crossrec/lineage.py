"""Which code makes an artifact: a module, and all of crossrec that it imports."""

import ast
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import crossrec

PACKAGE = Path(crossrec.__file__).parent


def code_behind(*modules: str) -> tuple[Path, ...]:
    """Files of the modules and of every crossrec module that they import, directly or not.

    What is imported inside of functions counts. A module that is not crossrec's (a method of one's
    own) counts with its file, and with what it imports of crossrec.

    Args:
        modules: dotted names.

    Raises:
        ModuleNotFoundError: there is no such module.
    """
    found: dict[str, Path] = {}
    waiting = list(modules)
    while waiting:
        name = waiting.pop()
        if name in found:
            continue
        found[name] = _file(name)
        waiting += _imports(found[name])
        package = name.rpartition(".")[0]
        if _own_file(package):  # which Python runs before its modules
            waiting.append(package)
    return tuple(found[name] for name in sorted(found))


def _file(module: str) -> Path:
    file = _own_file(module)
    if file is None:
        spec = find_spec(module)
        if spec is None or spec.origin is None:
            raise ModuleNotFoundError(f"no code of {module}")
        file = Path(spec.origin)
    return file


def _own_file(module: str) -> Path | None:
    """The file of a module of crossrec; None where there is none of that name."""
    place = PACKAGE.parent.joinpath(*module.split("."))
    candidates = place.with_suffix(".py"), place / "__init__.py"
    return next((file for file in candidates if PACKAGE in file.parents and file.is_file()), None)


@cache
def _imports(file: Path) -> frozenset[str]:
    """Modules of crossrec that a file imports by their full names."""
    names = set()
    for node in ast.walk(ast.parse(file.read_bytes())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return frozenset(name for name in names if _own_file(name))
