"""Overrides, as they stand on a command line: composed, written, and kept as an experiment."""

import re
from collections.abc import Sequence
from typing import Any

import hydra
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from omegaconf import DictConfig, open_dict

from crossrec.configuration.composing import CONF, explain
from crossrec.errors import UserError

PLAIN = re.compile(r"[A-Za-z_][\w./@+-]*|\[.*\]|\{.*\}")  # text that needs no quotes
PLACES = ("paths", "logger", "hydra")  # say where a run writes, not what it is


def compose_overrides(overrides: Sequence[str]) -> tuple[DictConfig, dict[str, str | None]]:
    """The configuration that the command has with these overrides, and the option of each group.

    Raises:
        UserError: they do not compose.
    """
    try:
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            cfg = hydra.compose("train", list(overrides), return_hydra_config=True)
    except HydraException as error:
        raise UserError(explain(error, list(overrides))) from error
    with open_dict(cfg):
        choices: dict[str, str | None] = cfg.pop("hydra").runtime.choices
    return cfg, choices


def key_of(override: str) -> str:
    """What an override sets: "+transfer.mu=1" -> "transfer.mu"."""
    return override.partition("=")[0].strip().lstrip("+~")


def merge(*lists: Sequence[str]) -> list[str]:
    """Overrides one after the other; of those that set the same, the last stands."""
    return list({key_of(override): override for part in lists for override in part}.values())


def written(key: str, value: Any) -> str:
    """An override that sets a key to a value of YAML's kinds."""
    return f"{key}={_text(value)}"


def _text(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{','.join(map(_text, value))}]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_text(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, str) and not PLAIN.fullmatch(value):
        return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
    return str(value)


def as_experiment(overrides: Sequence[str], comment: str) -> str:
    """Overrides as an experiment file, which `+experiment=NAME` loads.

    Where a run reads and writes is left out.

    Args:
        comment: one line, above the content.

    Raises:
        UserError: an override removes something, which a file cannot say, or sweeps.
    """
    defaults: list[Any] = []
    node: dict[str, Any] = {}
    for override in OverridesParser.create().parse_overrides(list(overrides)):
        key, said = override.key_or_group, override.input_line
        if override.is_delete() or override.is_sweep_override():
            raise UserError(f"{said}: a sweep takes plain overrides alone, key=value or +key=value")
        if key.partition(".")[0] in PLACES:
            continue
        value = override.value()
        if key == "experiment":
            defaults.insert(0, value)
        elif (CONF / key).is_dir():
            defaults.append({("" if override.is_add() else "override ") + f"/{key}": value})
        else:
            *groups, name = key.split(".")
            inner = node
            for group in groups:
                inner = inner.setdefault(group, {})
            inner[name] = value
    parts: list[dict[str, Any]] = [{"defaults": [*defaults, "_self_"]}] if defaults else []
    dumped = [yaml.safe_dump(part, sort_keys=False) for part in (*parts, node) if part]
    return "\n".join(["# @package _global_", f"# {comment}", *dumped])
