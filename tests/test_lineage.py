"""The code behind an artifact: all that a module imports of crossrec, and nothing else."""

import subprocess
import sys
from pathlib import Path

import pytest

from crossrec.lineage import PACKAGE, code_behind

MODULES = (
    "crossrec.training.fitting",
    "crossrec.transfer.parameters.lora",
    "crossrec.stages.baselines",
)


def names(*modules: str) -> set[str]:
    return {file.relative_to(PACKAGE).as_posix() for file in code_behind(*modules)}


@pytest.mark.parametrize("module", MODULES)
def test_all_that_python_imports_is_in_it(module: str) -> None:
    """Seen from outside: what a fresh interpreter has loaded after the import."""
    script = (
        f"import sys, {module}; "
        "print(*[m.__file__ for n, m in sys.modules.items() if n.split('.')[0] == 'crossrec'])"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = {Path(file) for file in ran.stdout.split()}
    assert len(loaded) > 3
    assert loaded <= set(code_behind(module))


def test_a_method_knows_its_own_code_and_not_that_of_others() -> None:
    code = names("crossrec.training.fitting", "crossrec.transfer.parameters.l2_sp")
    assert {"transfer/parameters/l2_sp.py", "transfer/anchor.py", "losses.py"} <= code
    assert "transfer/parameters/finetune.py" in code  # which l2_sp imports
    assert not any(name.startswith(("transfer/preferences", "transfer/sequences")) for name in code)
    assert "transfer/parameters/lora.py" not in code


def test_a_method_of_ones_own_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = tmp_path / "my_method.py"
    own.write_text(
        "import math\n\ndef late():\n    from crossrec.transfer.preferences import cmf\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    code = code_behind("my_method")
    assert own in code
    assert PACKAGE / "transfer" / "preferences" / "cmf.py" in code  # imported inside of a function
    assert PACKAGE / "transfer" / "preferences" / "shared_ids.py" in code  # and what that imports


def test_the_order_of_names_makes_no_difference() -> None:
    assert code_behind(*MODULES) == code_behind(*reversed(MODULES))


def test_a_module_that_is_not_there() -> None:
    with pytest.raises(ModuleNotFoundError, match="no_such_method"):
        code_behind("no_such_method")
