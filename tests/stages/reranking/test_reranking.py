"""The command with a judge and a writer: what they leave, what is kept, what they refuse."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

Command = Callable[..., Any]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the runs of this file share."""
    return tmp_path_factory.mktemp("artifacts")


def stages(out: str) -> dict[str, str]:
    return dict(re.findall(r"(transfer|tune|judge|reasons) +(made|reused) ", out))


def test_a_judge_and_a_writer(
    command: Command, tiny: list[str], shared: Path, judge_folder: Path, tmp_path: Path
) -> None:
    base = [
        *tiny,
        f"paths.artifacts={shared}",
        "reranking=smollm2",
        f"reranking.model={judge_folder}",
        "reranking.users=25",
        "reranking.candidates=8",
        "trainer.enable_progress_bar=false",
    ]
    plain = tmp_path / "plain"
    ran = command(*base, f"hydra.run.dir={plain}")
    assert ran.code == 0, ran.err
    assert stages(ran.out) == {"transfer": "made", "judge": "made"}
    table = pl.read_csv(plain / "reranking.csv")
    assert set(table["model"]) == {"transferred", "judge", "reranked"}
    assert {"ndcg@10", "hit@10"} <= set(table["metric"])
    account = json.loads((plain / "reranking.json").read_text())
    assert account["test"]["users"] == 25
    assert account["test"]["asked"] > 0
    assert 0 <= account["weight"] <= 1
    reached = account["valid/ndcg@10"]
    assert list(reached) == ["0", *(f"0.{n}" for n in range(1, 10)), "1"]
    assert account["weight"] <= float(max(reached, key=lambda weight: reached[weight]))
    text = (plain / "reranking.md").read_text()
    assert "25 test users" in text
    assert "SIMULATED" in text
    # The sample's transferred row is that of the same users in the results table.
    per_user = pl.read_parquet(plain / "per_user.parquet").filter(pl.col("model") == "transferred")
    own = table.filter(model="transferred", metric="hit@10")["value"].item()
    assert own * 25 == pytest.approx(round(own * 25))
    assert own * 25 <= per_user["hit@10"].sum()
    assert set(pl.read_csv(plain / "results.csv")["model"]).isdisjoint({"judge", "reranked"})

    # Another weight of the transfer is another transferred model; the tuned judge is the same.
    tuned = [*base, "reranking.tune_steps=2", "reranking.tune_layers=1"]
    writer = [f"recommend.writer={judge_folder}", "recommend.writer_users=2"]
    ran = command(*tuned, *writer, f"hydra.run.dir={tmp_path / 'tuned'}")
    assert ran.code == 0, ran.err
    made = dict.fromkeys(("tune", "judge", "reasons"), "made")
    assert stages(ran.out) == {"transfer": "reused"} | made
    assert re.search(r"AUC of held-out train events [\d.]+ -> [\d.]+", ran.out)
    assert re.search(r"\d+ of \d+ lines hold", ran.out)
    again = command(*tuned, *writer, "transfer.mu=0.5", f"hydra.run.dir={tmp_path / 'again'}")
    assert again.code == 0, again.err
    assert stages(again.out) == made | {"transfer": "made", "tune": "reused"}
    lists = pl.read_parquet(tmp_path / "tuned" / "recommendations.parquet")
    assert {"reason", "because_item_id", "because_domain"} <= set(lists.columns)
    assert not lists["reason"].has_nulls()
    named = lists.drop_nulls("because_item_id")
    assert named["reason"].str.starts_with('Because of "').all()
    assert set(named.filter(domain="electronics")["because_domain"]) == {"home", "electronics"}
    assert set(named.filter(domain="home")["because_domain"]) == {"home"}


def test_likelihood_of_texts(
    command: Command, tiny: list[str], shared: Path, judge_folder: Path, tmp_path: Path
) -> None:
    ran = command(
        *tiny,
        f"paths.artifacts={shared}",
        *("reranking=smollm2", f"reranking.model={judge_folder}", "reranking.users=10"),
        *("reranking.score=likelihood", f"hydra.run.dir={tmp_path}"),
    )
    assert ran.code == 0, ran.err
    assert "(likelihood)" in (tmp_path / "reranking.md").read_text()


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (
            ["reranking.prompt={tmp}/bad.txt"],
            r"reranking.prompt=.*bad.txt: nothing fills .*\{who\}",
        ),
        (["reranking.prompt={tmp}/none.txt"], "reranking.prompt=.*none.txt: cannot be read"),
        (
            ["reranking.score=likelihood", "reranking.prompt={tmp}/early.txt"],
            r"reranking.prompt=.*early.txt: it must end with \{item\}",
        ),
        (["reranking.score=likelihood", "reranking.tune_steps=3"], "use reranking.score=yes_no"),
        (["reranking.score=maybe"], "reranking.score must be one of yes_no, likelihood"),
        (["reranking.model={tmp}"], "reranking.model=.* has no config.json"),
        (["reranking.candidates=1"], "reranking.candidates must be a whole number >= 2"),
        (["recommend.writer={tmp}"], "recommend.writer=.* has no config.json"),
        (["recommend.writer_users=0"], "recommend.writer_users must be a whole number >= 1"),
    ],
)
def test_what_is_refused_before_anything_is_trained(
    command: Command,
    tiny: list[str],
    judge_folder: Path,
    tmp_path: Path,
    overrides: list[str],
    said: str,
) -> None:
    (tmp_path / "bad.txt").write_text("{history} {item} {who}")
    (tmp_path / "early.txt").write_text("{history} {item}?")
    ran = command(
        *tiny,
        *("reranking=smollm2", f"reranking.model={judge_folder}"),
        *(override.replace("{tmp}", str(tmp_path)) for override in overrides),
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert ran.code == 1
    assert re.search(said, ran.err), ran.err
    assert "Traceback" not in ran.err
    assert not list((tmp_path / "artifacts").glob("source-*"))
