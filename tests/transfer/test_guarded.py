"""The guard: what it mixes, what it leaves out, what it refuses, from the command line."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crossrec.errors import UserError
from crossrec.transfer.guarded import Guarded


def run_folder(tmp_path: Path) -> list[str]:
    return [f"hydra.run.dir={tmp_path / 'run'}", f"paths.artifacts={tmp_path / 'artifacts'}"]


def values(tmp_path: Path) -> dict[str, float]:
    table = pl.read_csv(tmp_path / "run" / "results.csv")
    chosen = table.filter((pl.col("users") == "all") & (pl.col("metric") == "ndcg@10"))
    return dict(chosen.select("model", "value").iter_rows())


def account(tmp_path: Path) -> dict[str, Any]:
    (file,) = (tmp_path / "artifacts").glob("guard-*/training.json")
    found: dict[str, Any] = json.loads(file.read_text())
    return found


@pytest.mark.parametrize("model", ["two_tower", "sasrec"])
def test_every_candidate_has_a_row_and_validation_chose_the_weights(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path, model: str
) -> None:
    guard = ["transfer=guarded", "+transfer.candidates.cmf={}", f"model={model}"]
    ran = command(*tiny, *run_folder(tmp_path), *guard)
    assert ran.code == 0, ran.err
    members = {"popularity", "item-knn", "ease", "scratch", "zero-shot", "finetune", "l2_sp", "cmf"}
    assert set(values(tmp_path)) == members | {"target-mix", "transferred", "oracle"}
    chosen = account(tmp_path)
    assert set(chosen["weights"]) == members
    assert sum(chosen["weights"].values()) == pytest.approx(1.0)
    assert chosen["best"] >= max(chosen["alone"].values())
    (file,) = (tmp_path / "artifacts").glob("target-mix-*/training.json")
    single = json.loads(file.read_text())
    assert set(single["weights"]) == {"popularity", "item-knn", "ease", "scratch"}
    assert single["best"] >= max(single["alone"].values())


def test_a_single_choice_is_that_model_itself(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    """Where ratings are predicted the nearest is chosen, so the row repeats that of its choice."""
    ran = command(*tiny, *run_folder(tmp_path), "transfer=guarded", "objective=rating")
    assert ran.code == 0, ran.err
    (name,) = (name for name, weight in account(tmp_path)["weights"].items() if weight)
    table = pl.read_csv(tmp_path / "run" / "results.csv")
    same = [table.filter(pl.col("model") == row).drop("model") for row in (name, "transferred")]
    assert same[0].equals(same[1])
    assert account(tmp_path)["monitor"] == "valid/rmse"
    assert account(tmp_path)["best"] == min(account(tmp_path)["alone"].values())


def test_a_candidate_whose_overlap_is_lacking_is_left_out(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    ran = command(
        *tiny,
        *run_folder(tmp_path),
        "transfer=guarded",
        "+transfer.candidates.cmf={}",
        "identity.overlap=none",
    )
    assert ran.code == 0, ran.err
    assert "cmf" not in values(tmp_path)
    assert "without cmf" in ran.err + ran.out


def test_candidates_take_their_own_settings(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    """l2_sp with lambda = 0 is fine-tuning, and its row that of finetune."""
    ran = command(
        *tiny, *run_folder(tmp_path), "transfer=guarded", "+transfer.candidates.l2_sp.lambda=0"
    )
    assert ran.code == 0, ran.err
    assert values(tmp_path)["l2_sp"] == values(tmp_path)["finetune"]


def test_what_a_run_of_a_method_made_is_there_for_the_guard(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    alone = command(*tiny, *run_folder(tmp_path), "transfer=finetune")
    made = re.search(r"transfer +made (\S+)", alone.out)
    assert made, alone.err
    guarded = command(*tiny, *run_folder(tmp_path), "transfer=guarded")
    assert re.search(rf"finetune +reused {made[1]} ", guarded.out)
    assert re.search(r"l2_sp +made transfer-", guarded.out)
    assert (tmp_path / "run" / "curves" / "finetune" / "metrics.csv").is_file()


@pytest.mark.parametrize(
    ("candidates", "said"),
    [
        (
            ["+transfer.candidates.emcrd={}"],
            "transfer.candidates: no method 'emcrd'; did you mean emcdr",
        ),
        (["+transfer.candidates.l2_sp.lamda=1"], "transfer.candidates.l2_sp"),
        (["~transfer.candidates.finetune", "~transfer.candidates.l2_sp"], "names no method"),
        (["+transfer.candidates.guarded={}"], "guarded cannot"),
    ],
)
def test_what_cannot_be_guarded_is_told_at_once(
    command: Callable[..., Any], tiny: list[str], candidates: list[str], said: str
) -> None:
    ran = command(*tiny, "transfer=guarded", *candidates)
    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err


def test_a_guard_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="names no method"):
        Guarded({})
