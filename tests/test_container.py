"""The Dockerfile: what it copies is there and sent, and it installs what the lock says."""

import importlib.util
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("steps", ROOT / "experiments/container/steps.py")
assert spec is not None
assert spec.loader is not None
steps = importlib.util.module_from_spec(spec)
spec.loader.exec_module(steps)


def test_what_is_copied_is_sent_and_no_more(tmp_path: Path) -> None:
    rules = (ROOT / ".dockerignore").read_text().split()
    found = steps.instructions((ROOT / "Dockerfile").read_text())
    copied = {word for kind, rest in found if kind == "COPY" for word in rest.split()[:-1]}
    assert copied == {rule[1:] for rule in rules if rule.startswith("!")}
    for source in copied:
        steps.copy(ROOT, source, tmp_path, source if (ROOT / source).is_dir() else "./", rules)
    assert (tmp_path / "conf" / "train.yaml").is_file()
    assert (tmp_path / "crossrec" / "train.py").is_file()
    assert not list(tmp_path.rglob("__pycache__"))
    with pytest.raises(SystemExit, match="nothing of it is in the context"):
        steps.copy(ROOT, "tests", tmp_path, "./", rules)


def test_it_installs_the_lock_alone() -> None:
    found = steps.instructions((ROOT / "Dockerfile").read_text())
    runs = [rest for kind, rest in found if kind == "RUN"]
    install = "python -m pip install --no-cache-dir "
    assert runs == [
        f'{install}--index-url "$TORCH_INDEX" "$(grep ^torch== requirements.lock)"',
        f"{install}-r requirements.lock",
        f"{install}--no-deps -e .",
    ]
    assert ("ENTRYPOINT", '["python", "-m"]') in found
