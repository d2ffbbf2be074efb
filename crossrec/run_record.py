"""What makes a run reproducible, written into its folder before anything else happens."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

import crossrec
from crossrec.evaluation.origin import config_digest

PACKAGES = ("torch", "lightning", "transformers", "polars", "numpy", "scipy", "hydra-core")


def write_record(folder: Path, config: str, seed: int) -> None:
    """Write config.yaml and record.json (versions, commit, machine, seed, digest, command).

    Args:
        folder: the run folder.
        config: the resolved configuration as YAML.
        seed: the run's seed.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(config)
    record = {
        "crossrec": crossrec.__version__,
        "commit": _git("rev-parse", "HEAD"),
        "uncommitted_changes": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "python": platform.python_version(),
        "packages": {name: metadata.version(name) for name in PACKAGES},
        "machine": {"processor": platform.machine(), "cores": os.cpu_count()},
        "seed": seed,
        "config_digest": config_digest(yaml.safe_load(config)),
        "command": sys.argv,
    }
    (folder / "record.json").write_text(json.dumps(record, indent=1) + "\n")


def complete_record(
    folder: Path,
    fingerprint: str,
    artifacts: dict[str, str],
    validation: dict[str, dict[str, float]],
    costs: Mapping[str, Any],
    privacy: Mapping[str, Any] | None,
) -> None:
    """Add to record.json what a finished run was measured on and made of.

    Args:
        folder: the run folder.
        fingerprint: of the data.
        artifacts: stage -> name of its artifact, weights among them.
        validation: row of the table -> metric -> what it reached in validation.
        costs: stage -> what it cost (see `staging.Staging.costs`).
        privacy: the budget that privacy=dp spent; None without it.
    """
    file = folder / "record.json"
    record = json.loads(file.read_text())
    record |= {"data_fingerprint": fingerprint, "artifacts": artifacts, "validation": validation}
    record["costs"] = costs
    if privacy is not None:
        record["privacy"] = privacy
    file.write_text(json.dumps(record, indent=1) + "\n")


def _git(*arguments: str) -> str | None:
    """What git says of the checkout that crossrec runs from; None outside of one."""
    here = Path(crossrec.__file__).parent
    try:
        done = subprocess.run(
            ["git", "-C", str(here), *arguments], capture_output=True, text=True, timeout=10
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
