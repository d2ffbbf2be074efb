"""The worked examples and the first steps of the documentation, run as they stand there."""

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crossrec import report
from crossrec.evaluation import metrics

Command = Callable[..., Any]
Block = Callable[[str, str], str]
ROOT = Path(__file__).resolve().parents[2]
UNTESTED = "evaluation.test=false"  # a run that stops at validation draws nothing
QUICK = [UNTESTED, "encoder=none", "pretraining=off", "trainer.max_epochs=1"]


@pytest.fixture
def run(command: Command, found: list[str], overlay: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a page's command with overrides that make it quick; what was reached in validation."""

    def run_(line: str, folder: str | Path, *more: str) -> dict[str, dict[str, float]]:
        monkeypatch.syspath_prepend(overlay)
        program, flag, module, *overrides = shlex.split(line)
        assert (Path(program).name, flag, module) == ("python", "-m", "crossrec.train")
        ran = command(*overrides, *found, *more, f"hydra.run.dir={folder}")
        assert ran.code == 0, ran.err
        return dict(json.loads((Path(folder) / "record.json").read_text())["validation"])

    return run_


@pytest.fixture(scope="module")
def where(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Artifacts that the runs of this file share."""
    return [f"paths.artifacts={tmp_path_factory.mktemp('artifacts')}"]


def test_the_first_steps(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    run(block("index.md", "hydra.run.dir=runs/first"), "runs/first", *tiny[1:], *where)
    values = pl.read_csv("runs/first/results.csv")
    assert {"scratch", "transferred"} <= set(values["model"])
    assert report.find_runs([Path("runs/first")])  # what the next command on the page reads


def test_a_simulated_domain_is_one_file(
    run: Any, block: Block, tiny: list[str], where: list[str], overlay: Path, tmp_path: Path
) -> None:
    kits = f"data.reader.kits={overlay / 'crossrec/data/simulation/kits'}"
    line = block("adding/domain.md", "data.target=garden")
    small = [f"+data.reader.sizes.garden.{what}=40" for what in ("users", "shared_users", "items")]
    reached = run(line, tmp_path / "run", *tiny[1:], *where, UNTESTED, kits, *small)
    assert reached["transferred"]["ndcg@10"] > 0


def test_a_raw_format_is_one_file_and_one_yaml(
    run: Any, block: Block, where: list[str], tmp_path: Path
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for domain in ("web", "app"):
        events = [
            {
                "who": f"u{user}",
                "what": f"{domain} {(user + step) % 12}",
                "when": 1000 * step + user,
            }
            for user in range(40)
            for step in range(5)
        ]
        (logs / f"{domain}.jsonl").write_text("\n".join(map(json.dumps, events)))
    line = block("adding/domain.md", "data=event_log").replace("logs", str(logs))
    assert run(line, tmp_path / "run", *QUICK, *where)["transferred"]["ndcg@10"] > 0


def test_a_model_is_one_file_and_one_yaml(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path
) -> None:
    line = block("adding/model.md", "model=markov")
    reached = run(line, tmp_path / "run", *tiny[1:], *where, UNTESTED)
    assert reached["transferred"]["ndcg@10"] > 0


def test_a_metric_is_one_function(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    page = (ROOT / "docs" / "pages" / "adding" / "metric.md").read_text(encoding="utf-8")
    code = page.partition('metrics.py"\n')[2].partition("```")[0]
    monkeypatch.setattr(metrics, "METRICS", metrics.METRICS)
    monkeypatch.setitem(metrics.METRICS, "f1", metrics.hit)  # taken away again behind the test
    exec(code, vars(metrics))
    run(block("adding/metric.md", "f1"), tmp_path / "run", *tiny[1:], *where)
    values = pl.read_csv(tmp_path / "run" / "results.csv")
    users = pl.read_parquet(tmp_path / "run" / "per_user.parquet")
    assert {"f1@5", "f1@10", "ndcg@5"} <= set(values["metric"])
    # One held-out item each: 2 / (k + 1) where it was found, else 0.
    assert set(users["f1@5"].round(6)) <= {0.0, round(2 / 6, 6)}


def test_tables_of_ones_own(run: Any, block: Block, where: list[str], tmp_path: Path) -> None:
    page = (ROOT / "docs" / "pages" / "data.md").read_text(encoding="utf-8")
    shop = tmp_path / "shop"
    for domain in ("books", "films"):
        (shop / domain).mkdir(parents=True)
        for table in ("interactions", "items"):
            example = page.partition(f'shop/books/{table}.csv"\n')[2].partition("```")[0]
            header, *rows = example.splitlines()
            if table == "interactions":
                rows += [
                    f"u{user},{domain}{(user + step) % 15},4,{1_700_000_000 + 60 * step}"
                    for user in range(40)
                    for step in range(5)
                ]
            (shop / domain / f"{table}.csv").write_text("\n".join([header, *rows]))
    line = block("data.md", "crossrec.train +experiment=table_pair data.source=shop/books "
        "data.target=shop/films\n")  # fmt: skip
    reached = run(line.replace("shop/", f"{shop}/"), tmp_path / "run", *QUICK, *where)
    assert reached["transferred"]["ndcg@10"] > 0
