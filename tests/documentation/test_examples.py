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
QUICK = ["encoder=none", "pretraining=off", "trainer.max_epochs=2"]


@pytest.fixture
def run(command: Command, found: list[str], overlay: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs a page's command with overrides that make it quick; what the run folder has."""

    def run_(line: str, folder: Path, *more: str) -> pl.DataFrame:
        monkeypatch.syspath_prepend(overlay)
        program, flag, module, *overrides = shlex.split(line)
        assert (Path(program).name, flag, module) == ("python", "-m", "crossrec.train")
        ran = command(*overrides, *found, *more, f"hydra.run.dir={folder}")
        assert ran.code == 0, ran.err
        return pl.read_csv(folder / "results.csv")

    return run_


@pytest.fixture
def where(tmp_path: Path) -> list[str]:
    return [f"paths.artifacts={tmp_path / 'artifacts'}"]


def test_the_first_steps(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    folder = "runs/first"
    monkeypatch.chdir(tmp_path)
    line = block("index.md", "hydra.run.dir=runs/first")
    values = run(line, Path(folder), *tiny[1:], *where)
    assert {"scratch", "transferred"} <= set(values["model"])
    page = shlex.split(block("index.md", "crossrec.report runs/first"))
    assert report.main(page[3:]) == 0
    assert f"report: {folder}/report/report.html" in capsys.readouterr().out
    assert (tmp_path / folder / "report" / "report.html").exists()


def test_a_simulated_domain_is_one_file(
    run: Any, block: Block, tiny: list[str], where: list[str], overlay: Path, tmp_path: Path
) -> None:
    kits = f"data.reader.kits={overlay / 'crossrec/data/simulation/kits'}"
    line = block("adding/domain.md", "data.target=garden")
    run(line, tmp_path / "run", *tiny[1:], *where, kits)
    data = json.loads((tmp_path / "run" / "data.json").read_text())
    assert "garden" in json.dumps(data)


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
    run(line, tmp_path / "run", *QUICK, *where)


def test_a_model_is_one_file_and_one_yaml(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path
) -> None:
    line = block("adding/model.md", "model=markov")
    values = run(line, tmp_path / "run", *tiny[1:], *where)
    assert values.filter(model="transferred", users="all", metric="ndcg@10")["value"][0] > 0


def test_a_metric_is_one_function(
    run: Any, block: Block, tiny: list[str], where: list[str], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    page = (ROOT / "docs" / "pages" / "adding" / "metric.md").read_text(encoding="utf-8")
    code = page.partition('metrics.py"\n')[2].partition("```")[0]
    monkeypatch.setattr(metrics, "METRICS", metrics.METRICS)
    monkeypatch.setitem(metrics.METRICS, "f1", metrics.hit)  # taken away again behind the test
    exec(code, vars(metrics))
    values = run(block("adding/metric.md", "f1"), tmp_path / "run", *tiny[1:], *where)
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
    run(line.replace("shop/", f"{shop}/"), tmp_path / "run", *QUICK, *where)
