"""What a row of results stands on: enough to find the run that made it, and to make it again."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:  # a run writes its record before anything heavy is imported
    import polars as pl

APART = ("paths", "hydra", "logger", "name")  # configuration that says nothing about the numbers
NO_INPUTS = ("seed", "checkpoint_minutes")  # nor do these keys, wherever they stand
ORIGIN = ("seed", "config", "fingerprint", "commit", "versions")
"""Columns: the seed, what `config_digest` gives, the data's fingerprint, the commit (with a + where
files had changed since), and the versions of crossrec, Python and the packages that compute."""


def config_digest(config: Mapping[str, Any]) -> str:
    """12 hex digits of a resolved configuration: what decides its numbers, but for the seed.

    Where files lie makes no difference: of absolute paths the last part counts.

    Args:
        config: made of plain values.
    """
    kept = {key: value for key, value in config.items() if key not in APART}
    text = json.dumps(_placeless(kept), sort_keys=True, separators=(",", ":"))
    return sha256(text.encode()).hexdigest()[:12]


def origin_of(folder: Path) -> dict[str, str | None]:
    """ORIGIN of a run folder, from its record; None where it says nothing (earlier versions)."""
    path = folder / "record.json"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return dict.fromkeys(ORIGIN)
    versions = {name: record.get(name) for name in ("crossrec", "python")}
    versions |= record.get("packages", {})
    commit = record.get("commit")
    return {
        "seed": None if record.get("seed") is None else str(record["seed"]),
        "config": record.get("config_digest"),
        "fingerprint": record.get("data_fingerprint"),
        "commit": commit and commit[:10] + "+" * bool(record.get("uncommitted_changes")),
        "versions": " ".join(f"{name} {found}" for name, found in versions.items() if found),
    }


def with_origin(values: pl.DataFrame, folder: Path, fingerprint: str | None = None) -> pl.DataFrame:
    """A table with the columns of ORIGIN behind its own.

    Args:
        values: rows that a run made.
        folder: of the run.
        fingerprint: of the data, while the record does not have it yet.
    """
    import polars as pl

    origin = origin_of(folder)
    origin["fingerprint"] = origin["fingerprint"] or fingerprint
    return values.with_columns(pl.lit(origin[key], pl.String).alias(key) for key in ORIGIN)


def joined(folders: Iterable[str | Path]) -> dict[str, str | None]:
    """ORIGIN of a row over several runs: what they say, each once, with a space (a semicolon
    between versions) in between."""
    found = [origin_of(Path(folder)) for folder in folders]
    text: dict[str, str | None] = {}
    for key in ORIGIN:
        said = dict.fromkeys(value for origin in found if (value := origin[key]))
        text[key] = ("; " if key == "versions" else " ").join(said) or None
    return text


def _placeless(node: Any) -> Any:
    if isinstance(node, Mapping):
        return {str(key): _placeless(value) for key, value in node.items() if key not in NO_INPUTS}
    if isinstance(node, list):
        return [_placeless(value) for value in node]
    if isinstance(node, str) and Path(node).is_absolute():
        return Path(node).name
    return node
