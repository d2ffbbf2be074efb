"""The README's promise: a method is one file and one YAML, and nothing else has to change."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


def worked_example() -> tuple[str, str]:
    """The Python file and the YAML file that the README shows."""
    section = (REPOSITORY / "README.md").read_text().partition("## Adding to it")[2]
    (python,) = re.findall(r"```python\n(.*?)```", section, re.DOTALL)
    (yaml,) = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)
    return python, yaml


def test_the_worked_example_runs_with_no_other_file_changed(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, yaml = worked_example()
    package = tmp_path / "mine"
    package.mkdir()
    (package / "halfway.py").write_text(python)
    (tmp_path / "conf" / "transfer").mkdir(parents=True)
    # In the checkout both files lie beside the others; here they lie outside, and are only found.
    (tmp_path / "conf" / "transfer" / "halfway.yaml").write_text(
        yaml.replace("crossrec.transfer.parameters.halfway", "mine.halfway")
    )
    monkeypatch.syspath_prepend(tmp_path)
    run = tmp_path / "run"
    ran = command(
        *tiny,
        f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
        f"hydra.run.dir={run}",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        "transfer=halfway",
        "transfer.share=0.25",
    )
    assert ran.code == 0, ran.err
    assert "transferred" in set(pl.read_csv(run / "results.csv")["model"])
    refused = command(*tiny, f"hydra.searchpath=[file://{tmp_path / 'conf'}]",
        "transfer=halfway", "transfer.share=2")  # fmt: skip
    assert refused.code == 1
    assert "transfer.share must be >= 0 and <= 1, got 2" in refused.err
