"""The README's promise: a method is one file and one YAML, and nothing else has to change."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[1]
METHODS = sorted((REPOSITORY / "conf" / "transfer").glob("*.yaml"))


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


@pytest.fixture(scope="module")
def written() -> dict[str, str]:
    """Code and configuration: each file's text by its path."""
    files = [*(REPOSITORY / "crossrec").rglob("*.py"), *(REPOSITORY / "conf").rglob("*.yaml")]
    return {file.relative_to(REPOSITORY).as_posix(): file.read_text() for file in files}


@pytest.mark.parametrize("method", METHODS, ids=lambda file: file.stem)
def test_two_files_make_a_method_and_only_methods_built_on_it_know_it(
    written: dict[str, str], method: Path
) -> None:
    target = yaml.safe_load(method.read_text())["method"]["_target_"]
    module = target.rpartition(".")[0]
    own = {module.replace(".", "/") + ".py", f"conf/transfer/{method.name}"}
    assert own <= set(written)
    knowing = {name for name, text in written.items() if re.search(rf"\b{module}\b", text)} - own
    methods = {name for name in knowing if name.startswith("crossrec/transfer/")}
    # The row zero-shot is where fine-tuning starts.
    known_to_all = {"crossrec/training/fitting.py"} if method.stem == "finetune" else set()
    assert knowing - methods == known_to_all
