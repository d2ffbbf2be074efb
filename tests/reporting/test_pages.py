"""Pages of run folders: what stands on them, and what they say where something is missing."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from crossrec.report import main

Finished = Callable[..., Path]
SECTIONS = ("comparison", "history", "popularity", "bias", "curves", "map", "examples", "cost")


def page_of(*folders: Path, output: Path | None = None) -> str:
    options = ["--output", str(output)] if output else []
    assert main([*map(str, folders), *options]) == 0
    return ((output or folders[0] / "report") / "report.html").read_text(encoding="utf-8")


def section(page: str, name: str) -> str:
    return page.split(f'<section id="{name}"')[1].split("</section>")[0]


def test_a_run_has_every_section(tmp_path: Path, finished: Finished) -> None:
    run = finished(tmp_path / "run", title="Copper Pan")
    page = page_of(run)
    assert re.findall(r'<section id="([a-z]+)"', page) == [*SECTIONS, "origin"]
    assert re.search(r"transferred over scratch: [+]\d.*(significant gain|no sig)", page)
    assert section(page, "comparison").count("<svg") == 5  # user groups
    assert section(page, "history").count("<svg") == 2
    assert section(page, "map").count("30 of home, 30 of electronics") == 2  # caption and alt
    examples = section(page, "examples")
    assert examples.count("<details") == 2
    assert "because Copper Pan" in examples
    assert re.search(r"scratch: rank \d+, transferred: rank \d+", examples)
    assert "4,321" in section(page, "cost")
    assert "Energy was not counted" in section(page, "cost")
    assert "train.py" not in page
    assert "python -m crossrec.train" in section(page, "origin")
    assert len(page) < 500_000
    bias = pl.read_csv(run / "report" / "popularity_bias.csv")
    assert bias["head_share"].to_list() == pytest.approx([0.4] * 3)  # 4 of the first 10 items
    assert bias["coverage"].to_list() == pytest.approx([0.5] * 3)
    assert {"by_history.csv", "by_popularity.csv", "cost.csv", "report.md", "report.tex"} <= {
        path.name for path in (run / "report").iterdir()
    }


def test_energy_stands_beside_seconds_where_it_was_counted(
    tmp_path: Path, finished: Finished
) -> None:
    def counted(run: Path, **joules: float) -> None:
        record = json.loads((run / "record.json").read_text())
        for stage, value in joules.items():
            record["costs"][stage]["joules"] = value
        record["costs"]["transfer"]["reused"] = len(joules) > 1
        (run / "record.json").write_text(json.dumps(record))

    counted(one := finished(tmp_path / "one"), transfer=1234.0)
    cost = section(page_of(one), "cost")
    assert cost.count("1.23 kJ") == 2  # of the stage, and of all: that of evaluate is not known
    assert "whatever else ran on it" in cost
    runs = tmp_path / "runs"
    counted(finished(runs / "a", lambda_=1.0), transfer=5000.0, evaluate=70.0)
    finished(runs / "b", lambda_=2.0)
    cost = section(page_of(runs), "cost")
    assert "70 J" in cost
    assert "kJ" not in cost  # what was reused is another run's


def test_a_folder_of_an_earlier_version_still_gives_a_page(
    tmp_path: Path, finished: Finished
) -> None:
    run = finished(tmp_path / "run")
    for name in ("catalog.parquet", "examples.parquet", "recommendations.parquet", "record.json"):
        (run / name).unlink()
    shutil.rmtree(run / "curves")
    per_user = pl.read_parquet(run / "per_user.parquet").drop("truth_items", "truth_ranks")
    per_user.write_parquet(run / "per_user.parquet")
    page = page_of(run)
    assert "run again" in section(page, "popularity")
    assert "No learning curves" in section(page, "curves")
    assert "did not keep any users" in section(page, "examples")
    assert "did not count" in section(page, "cost")
    assert section(page, "history").count("<svg") == 2


def test_what_pretraining_measured_stands_there(tmp_path: Path, finished: Finished) -> None:
    run = finished(tmp_path / "run")
    assert "pretraining" not in section(page_of(run), "curves")
    beside = {"ndcg@10": 0.25, "ndcg@10_low": 0.2, "ndcg@10_high": 0.3, "users": 1234}
    alone = {**beside, "ndcg@10": 0.5, "ndcg@10_low": None, "ndcg@10_high": None}
    account = {
        "perplexity_before": 81.04,
        "perplexity_after": 27.0,
        "steps": 100,
        "retrieval_before": {"target": beside},
        "retrieval_after": {"target": alone},
    }
    (run / "pretraining.json").write_text(json.dumps(account))
    shown = section(page_of(run), "curves")
    assert "before and after 100 steps" in shown
    cells = re.findall(r"<t[dh][^>]*>([^<]*)</t[dh]>", shown)
    assert cells[-6:-3] == ["perplexity", "81.04", "27"]
    assert cells[-3].startswith("beside an item, target: NDCG@10 (1,234 users)")
    assert cells[-2:] == ["0.2500 [0.2000, 0.3000]", "0.5000"]
    (run / "pretraining.json").write_text("[")
    assert main([str(run)]) == 1


def test_results_csv_alone_gives_a_page(tmp_path: Path, finished: Finished) -> None:
    run = finished(tmp_path / "run")
    for path in run.iterdir():
        if path.name != "results.csv":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    page = page_of(run)
    assert "transferred has the best NDCG@10" in page
    assert "<table" in section(page, "comparison")


def test_a_map_whose_vectors_are_gone_says_so(tmp_path: Path, finished: Finished) -> None:
    run = finished(tmp_path / "run")
    shutil.rmtree(tmp_path / "artifacts")
    assert "artifact encode-1 is missing" in section(page_of(run), "map")


@pytest.mark.parametrize("name", ["examples.parquet", "recommendations.parquet", "record.json"])
def test_a_broken_file_is_one_message(
    tmp_path: Path, finished: Finished, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    run = finished(tmp_path / "run")
    (run / name).write_text("[broken")
    assert main([str(run)]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert f"{name}: cannot be read" in error
    assert len(error.splitlines()) == 1


def test_a_sweep_has_a_surface_and_every_setting(tmp_path: Path, finished: Finished) -> None:
    for number, (lambda_, mu) in enumerate(((0, 0), (0, 1), (1, 0), (1, 1))):
        finished(tmp_path / "sweep" / str(number), lambda_=lambda_, mu=mu, title="Pan")
    page = page_of(tmp_path / "sweep")
    assert section(page, "surface").count("<svg") == 5
    assert "l2_sp lambda=1 mu=0 (of 4)" in section(page, "comparison")  # by validation
    assert section(page, "cost").count('<th scope="row">') == 4
    assert "gain of l2_sp over scratch" in section(page, "history")
    assert "Of run 2: l2_sp." in section(page, "examples")
    assert len(pl.read_csv(tmp_path / "sweep" / "report" / "leaderboard.csv")) > 0


def test_several_folders_of_two_data_sets(tmp_path: Path, finished: Finished) -> None:
    runs = [finished(tmp_path / name, target=name) for name in ("tools", "toys")]
    page = page_of(*runs, output=tmp_path / "out")
    assert "<h1>home → tools, home → toys</h1>" in page
    for name in SECTIONS[:-1]:
        assert re.findall(r'<h3 class="data">home -&gt; (\w+)', section(page, name)) == [
            "tools",
            "toys",
        ]
    assert (tmp_path / "out" / "by_history_2.csv").exists()


def test_lists_of_one_domain_and_no_reasons(tmp_path: Path, finished: Finished) -> None:
    """Methods with a network of their own recommend in the target alone."""
    run = finished(tmp_path / "run", title="Pan")
    lists = pl.read_parquet(run / "recommendations.parquet").filter(domain="electronics")
    lists.drop("reason").write_parquet(run / "recommendations.parquet")
    examples = section(page_of(run), "examples")
    assert "Recommended in electronics" in examples
    assert "Recommended in home" not in examples
    assert "because" not in examples
