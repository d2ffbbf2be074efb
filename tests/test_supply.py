"""What the lock brings in: everything is pinned, and another file than the locked one is found."""

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

REPOSITORY = Path(__file__).resolve().parents[1]
LOCK, HASHES = REPOSITORY / "requirements.lock", REPOSITORY / "requirements.hashes"


@pytest.fixture(scope="module")
def supply() -> ModuleType:
    spec = importlib.util.spec_from_file_location("supply", REPOSITORY / ".ci" / "supply.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def report(tmp_path: Path) -> Callable[[dict[str, Any]], Path]:
    """Writes what pip would say that it installed: file name -> sha256."""

    def write(files: dict[str, str]) -> Path:
        items = []
        for file, sha256 in files.items():
            name, version = file.split("-")[:2]
            about = {"url": f"https://x/{file}", "archive_info": {"hashes": {"sha256": sha256}}}
            items.append({"metadata": {"name": name, "version": version}, "download_info": about})
        (tmp_path / "report.json").write_text(json.dumps({"install": items}))
        return tmp_path / "report.json"

    return write


@pytest.mark.parametrize("lock", sorted(REPOSITORY.rglob("requirements.lock")), ids=str)
def test_locks_pin_everything_exactly(supply: ModuleType, lock: Path) -> None:
    assert len(supply.pins(lock)) > 5


@pytest.mark.parametrize("line", ["numpy>=2", "numpy", "numpy==2.*", "./numpy.whl", "a==1\nA==2"])
def test_what_is_no_pin_is_named(supply: ModuleType, line: str, tmp_path: Path) -> None:
    (tmp_path / "lock").write_text(f"# comment\n{line}\n")
    with pytest.raises(SystemExit, match=r"lock, line [23]: "):
        supply.pins(tmp_path / "lock")


def test_hashes_are_of_what_is_locked(supply: ModuleType) -> None:
    locked = supply.pins(LOCK)
    hashes = supply.written_hashes(HASHES)
    assert len(hashes) > 50
    for pin, sha256 in hashes.items():
        name, version = pin.split("==")
        assert locked[name] == version
        assert len(bytes.fromhex(sha256)) == 32


def test_another_wheel_than_the_locked_one_is_found(
    supply: ModuleType, report: Callable[..., Path], tmp_path: Path
) -> None:
    lock, hashes = tmp_path / "lock", tmp_path / "hashes"
    lock.write_text("pure==1.0\nbuilt==2.0\n")
    wheels = {"pure-1.0-py3-none-any.whl": "aa", "built-2.0-cp311-cp311-linux.whl": "bb"}
    supply.main("write-hashes", str(report(wheels)), str(lock), str(hashes))
    assert supply.written_hashes(hashes) == {"pure==1.0": "aa"}
    supply.check_hashes(report({**wheels, "built-2.0-cp311-cp311-linux.whl": "cc"}), lock, hashes)
    with pytest.raises(SystemExit, match=r"pure==1\.0: its wheel has the sha256 ee"):
        supply.check_hashes(report({**wheels, "pure-1.0-py3-none-any.whl": "ee"}), lock, hashes)
    lock.write_text("pure==1.1\nbuilt==2.0\n")
    with pytest.raises(SystemExit, match=r"pure==1\.0 is not what .* pins"):
        supply.check_hashes(report(wheels), lock, hashes)


def test_the_licenses_of_all_locked_packages_are_listed(supply: ModuleType) -> None:
    text = (REPOSITORY / "LICENSES.md").read_text()
    listed = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert listed[1:] == sorted(supply.pins(LOCK))
    assert "not stated" not in text
