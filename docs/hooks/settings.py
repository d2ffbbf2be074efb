"""What each YAML file of conf/ sets: keys, defaults, what comments and docstrings say of them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml
from docstrings import ROOT, arguments, docstring

CONF = ROOT / "conf"
LINK = re.compile(r"\$\{([\w.]+)\}")


@dataclass(frozen=True)
class Setting:
    """A key as it is written on a command line, what it is by default, and what is said of it."""

    key: str
    default: str
    said: str


@dataclass(frozen=True)
class Option:
    """A YAML file of a group.

    Attributes:
        comment: the lines above its content.
        about: the docstring of its component without arguments; "" where it has none.
        target: the component's dotted name, or "".
        base: the option that it changes, or "".
        settings: its keys; of an option with a base those that differ from it.
    """

    group: str
    name: str
    comment: str
    about: str
    target: str
    base: str
    settings: tuple[Setting, ...]


def groups() -> list[str]:
    """The groups of conf/, by name."""
    return sorted(path.name for path in CONF.iterdir() if path.is_dir())


def experiments() -> dict[str, str]:
    """Name of an experiment -> its file, as it is."""
    files = sorted((CONF / "experiment").glob("*.yaml"))
    return {file.stem: file.read_text(encoding="utf-8") for file in files}


def options(group: str) -> list[Option]:
    """The options of a group, by name."""
    found = [_option(group, file) for file in sorted((CONF / group).glob("*.yaml"))]
    # A comment is written once; options with the same component, or without any, share it.
    shared = {
        (option.target, s.key): s.said
        for option in reversed(found)
        for s in option.settings
        if s.said
    }
    return [
        Option(
            **{
                **vars(option),
                "settings": tuple(
                    Setting(s.key, s.default, s.said or shared.get((option.target, s.key), ""))
                    for s in option.settings
                ),
            }
        )
        for option in found
    ]


def command_settings() -> list[Setting]:
    """What train.yaml itself sets."""
    lines = (CONF / "train.yaml").read_text(encoding="utf-8").splitlines()
    node = yaml.compose("\n".join(lines))
    return [s for s in _leaves(node, "", lines) if not s.key.startswith(("defaults", "hydra."))]


def defaults() -> dict[str, str]:
    """Group -> the option that it has where nothing is said."""
    content = yaml.safe_load((CONF / "train.yaml").read_text(encoding="utf-8"))
    named = {
        k: v for entry in content["defaults"] if isinstance(entry, dict) for k, v in entry.items()
    }
    return {k: ",".join(v) if isinstance(v, list) else str(v) for k, v in named.items()}


def _option(group: str, file: Path) -> Option:
    lines = file.read_text(encoding="utf-8").splitlines()
    above = []
    for line in lines:
        if not line.startswith("#"):
            break
        if not line.startswith("# @package"):
            above.append(line.removeprefix("#").removeprefix(" "))
    settings: dict[str, Setting] = {}
    said: dict[str, str] = {}
    target = ""
    bases = _bases(file)
    for source in [*bases, file]:
        text = source.read_text(encoding="utf-8").splitlines()
        node = yaml.compose("\n".join(text))
        for setting in _leaves(node, f"{group}.", text):
            old = settings.get(setting.key)
            settings[setting.key] = Setting(
                setting.key, setting.default, setting.said or (old.said if old else "")
            )
        for place, mapping in _components(node, group):
            target = target or mapping["_target_"]
            for name, meaning in arguments(mapping["_target_"]).items():
                link = LINK.fullmatch(str(mapping.get(name)))
                said.setdefault(link[1] if link else f"{place}.{name}", meaning)
    hidden = {f"{group}.name", f"{group}.defaults"}
    base = bases[-1].stem if bases else ""
    same = {(s.key, s.default) for s in _option(group, bases[-1]).settings} if bases else set()
    kept = (s for s in settings.values() if s.key not in hidden and (s.key, s.default) not in same)
    return Option(
        group,
        file.stem,
        "\n".join(above),
        docstring(target).partition("\nArgs:")[0].strip(),
        target,
        base,
        tuple(Setting(s.key, s.default, s.said or said.get(s.key, "")) for s in kept),
    )


def _bases(file: Path) -> list[Path]:
    """The files that an option builds on, the lowest first."""
    content = yaml.safe_load(file.read_text(encoding="utf-8")) or {}
    listed = [entry for entry in content.get("defaults", []) if isinstance(entry, str)]
    bases = [file.with_name(f"{entry}.yaml") for entry in listed if entry != "_self_"]
    return [path for base in bases for path in (*_bases(base), base)]


def _components(node: yaml.Node, place: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Every mapping with a `_target_`: where it stands, and its keys with their values as text."""
    if not isinstance(node, yaml.MappingNode):
        return
    named = {key.value: value for key, value in node.value}
    if "_target_" in named:
        plain = {k: v.value for k, v in named.items() if isinstance(v, yaml.ScalarNode)}
        yield place, plain
    for name, value in named.items():
        yield from _components(value, f"{place}.{name}")


def _leaves(node: yaml.Node, prefix: str, lines: list[str]) -> Iterator[Setting]:
    """Every key with a value of its own; a mapping in braces is one value."""
    inside = any(key.value == "_target_" for key, _ in node.value)
    for key, value in node.value:
        if isinstance(value, yaml.MappingNode) and not value.flow_style:
            yield from _leaves(value, f"{prefix}{key.value}.", lines)
            continue
        start, end = value.start_mark, value.end_mark
        text = " ".join(
            line[start.column if row == start.line else 0 : end.column if row == end.line else None]
            for row, line in enumerate(lines[: end.line + 1])
            if row >= start.line
        )
        link = LINK.fullmatch(text)
        # What a component gets from another key is set there.
        if key.value.startswith("_") or (inside and link):
            continue
        yield Setting(
            prefix + key.value, f"that of {link[1]}" if link else text, _comment(lines, end)
        )


def _comment(lines: list[str], end: yaml.Mark) -> str:
    """What stands behind a value, with the comment lines that go on below it."""
    behind = lines[end.line][end.column :].strip() if end.line < len(lines) else ""
    if not behind.startswith("#"):
        return ""
    said = [behind]
    for line in lines[end.line + 1 :]:
        if not line.strip().startswith("#"):
            break
        said.append(line.strip())
    return " ".join(part.removeprefix("#").strip() for part in said)
