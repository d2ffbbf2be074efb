"""Reports from run folders that the tests write."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch
import yaml

from crossrec.errors import UserError
from crossrec.evaluation.evaluate import Panel
from crossrec.evaluation.ranking import Ranking
from crossrec.evaluation.results import write_results
from crossrec.evaluation.summary import Results
from crossrec.evaluation.sweeps import over_seeds, read_run, runs_table
from crossrec.report import find_runs, main, write_run_report, write_sweep_report

PNG = b"\x89PNG"


def make_run(
    folder: Path, seed: int, lambda_: float = 0.1, mu: float = 1.0, better: float = 0.5
) -> None:
    """A finished run: scratch has every item second, transferred has a share `better` first."""
    users = 30
    panel = Panel(
        [f"u{i}" for i in range(users)],
        np.arange(users),
        np.arange(users) < 12,
        np.ones(users, dtype=bool),
        torch.ones(20),
        None,
        torch.arange(users) % 20,
    )

    def evaluate(model: str, ranks: np.ndarray) -> pl.DataFrame:
        lists = torch.arange(10).expand(users, 10)
        found = torch.from_numpy(ranks)
        asked = torch.arange(users + 1)
        return panel.evaluate(
            model, Ranking(asked, found, torch.zeros(users), lists, lists.float())
        )

    second = np.full(users, 2)
    first = np.where(np.random.default_rng(seed).random(users) < better, 1, 2)
    per_user = pl.concat([evaluate("scratch", second), evaluate("transferred", first)])
    write_results(folder, per_user, Results.of(per_user, 20), f"a toy, seed {seed}", 20)
    config = {
        "seed": seed,
        "transfer": {"lambda": lambda_, "mu": mu},
        "data": {"seed": seed, "relatedness": better},
        "paths": {"data": str(folder)},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / ".hydra").mkdir()
    overrides = [
        *("+experiment=toy", f"seed={seed}", f"transfer.lambda={lambda_}"),
        *(f"paths.data={folder}", f"data.relatedness={better}"),
    ]
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(overrides))


def test_report_of_a_run_rebuilds_its_tables(tmp_path):
    make_run(tmp_path / "run", seed=0)
    before = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    plots = write_run_report(tmp_path / "run")
    output = tmp_path / "run" / "report"
    assert plots == [output / "ndcg@10.png"]
    assert plots[0].read_bytes().startswith(PNG)
    for name in ("results.csv", "comparisons.csv"):
        assert (output / name).read_bytes() == before[name]
    assert (output / "results.md").read_text().startswith(before["results.md"].decode())
    after = {p.name: p.read_bytes() for p in (tmp_path / "run").iterdir() if p.is_file()}
    assert after == before


def test_results_csv_alone_is_enough(tmp_path):
    make_run(tmp_path / "run", seed=0)
    for name in ("per_user.parquet", "metrics.json", "comparisons.csv"):
        (tmp_path / "run" / name).unlink()
    write_run_report(tmp_path / "run", tmp_path / "out")
    assert (tmp_path / "out" / "results.csv").read_text() == (
        tmp_path / "run" / "results.csv"
    ).read_text()
    assert read_run(tmp_path / "run").comparisons.is_empty()


def test_runs_that_differ_in_their_seed_alone_are_one_setting(tmp_path):
    make_run(tmp_path / "2", seed=1)
    make_run(tmp_path / "10", seed=2)
    make_run(tmp_path / "0", seed=1, lambda_=5.0)
    runs = find_runs([tmp_path])
    assert [run.name for run in runs] == ["0", "2", "10"]
    table = runs_table([read_run(run) for run in runs])
    one = {"model": "transferred", "users": "all", "metric": "ndcg@10"}
    rows = table.filter(**one)
    assert rows["setting"].to_list() == [0, 1, 1]
    assert rows["seed"].to_list() == [1, 1, 2]
    assert rows["label"].to_list() == ["", "", ""]
    single, pair = over_seeds(table).filter(**one).iter_rows(named=True)
    assert (single["lambda"], single["seeds"]) == (5.0, 1)
    assert (single["low"], single["high"]) == rows.row(0)[rows.columns.index("low") :][:2]
    a, b = rows["value"][1:]
    assert (pair["lambda"], pair["seeds"]) == (0.1, 2)
    assert pair["value"] == pytest.approx((a + b) / 2)
    # t with 1 degree of freedom times the standard error |a - b| / 2.
    assert pair["high"] - pair["value"] == pytest.approx(12.7062047 * abs(a - b) / 2)
    assert pair["significant_gains"] == 2
    scratch = table.filter(model="scratch", users="all", metric="ndcg@10")["value"][1:].mean()
    assert pair["gain"] == pytest.approx((a + b) / 2 - scratch)
    assert pair["relative_gain"] == pytest.approx((a + b) / 2 / scratch - 1)
    assert pair["gain_high"] - pair["gain_low"] == pytest.approx(pair["high"] - pair["low"])


def test_a_seed_that_ran_twice_counts_once(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name, seed=3)
    table = runs_table([read_run(run) for run in find_runs([tmp_path])])
    assert over_seeds(table)["seeds"].unique().to_list() == [1]


def test_runs_without_a_configuration_stay_apart(tmp_path):
    for name in ("a", "b"):
        make_run(tmp_path / name, seed=3)
        (tmp_path / name / "config.yaml").unlink()
    table = runs_table([read_run(run) for run in find_runs([tmp_path])])
    assert over_seeds(table)["label"].unique(maintain_order=True).to_list() == ["a", "b"]


def test_overrides_that_differ_are_the_label(tmp_path):
    make_run(tmp_path / "a", seed=0, better=0.0)
    make_run(tmp_path / "b", seed=0, better=0.9)
    plots = write_sweep_report(tmp_path)
    text = (tmp_path / "report" / "settings.md").read_text()
    assert "| setting | seeds | scratch | transferred | gain | sig. +/- |" in text
    assert "| data.relatedness=0.0 | 1 | .6309±.0000 | .6309±.0000 | +0.0% | 0 / 0 |" in text
    assert "experiment=toy" not in text
    assert [plot.name for plot in plots] == ["ndcg@10_settings.png"]


@pytest.mark.parametrize(
    ("settings", "plot"),
    [
        ([(0.0, 0.0), (0.0, 1.0), (1.0, 0.0)], "ndcg@10_lambda_mu.png"),
        ([(0.0, 1.0), (1.0, 1.0)], "ndcg@10_lambda.png"),
        ([(1.0, 0.5), (1.0, 1.0)], "ndcg@10_mu.png"),
    ],
)
def test_a_sweep_gets_the_plot_of_what_it_varies(tmp_path, settings, plot):
    for place, (lambda_, mu) in enumerate(settings):
        make_run(tmp_path / str(place), 0, lambda_, mu)
    plots = write_sweep_report(tmp_path, tmp_path / "out")
    assert [path.name for path in plots] == [plot]
    assert plots[0].read_bytes().startswith(PNG)
    assert len(pl.read_csv(tmp_path / "out" / "runs.csv")["run"].unique()) == len(settings)
    # The report's own results.csv is no run, wherever it was written.
    write_sweep_report(tmp_path)
    assert len(find_runs([tmp_path])) == len(settings)


def test_the_command_prints_the_table(tmp_path, capsys):
    make_run(tmp_path / "a", seed=0)
    assert main([str(tmp_path / "a")]) == 0
    printed = capsys.readouterr().out
    assert "transferred vs scratch, all users: NDCG@10" in printed
    assert printed.endswith(f"report: {tmp_path / 'a' / 'report' / 'report.html'}\n")
    make_run(tmp_path / "b", seed=0, lambda_=2.0)
    folders = [str(tmp_path / "a"), str(tmp_path / "b")]
    assert main([*folders, "--output", str(tmp_path / "out")]) == 0
    header = capsys.readouterr().out.splitlines()[2]
    assert header.split() == [*("lambda", "seeds", "scratch", "transferred", "gain", "sig.", "+/-")]
    assert (tmp_path / "out" / "settings.csv").exists()


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda run: (run / "results.csv").unlink(), "no run inside"),
        (lambda run: (run / "results.csv").write_text("model\nx\n"), "results.csv: lacks users"),
        (lambda run: (run / "metrics.json").write_text("{"), "metrics.json: cannot be read"),
    ],
)
def test_mistakes_are_one_message(tmp_path, capsys, break_it, message):
    make_run(tmp_path / "run", seed=0)
    break_it(tmp_path / "run")
    assert main([str(tmp_path / "run")]) == 1
    error = capsys.readouterr().err
    assert error.startswith("error: ")
    assert message in error
    assert len(error.splitlines()) == 1


def test_a_folder_that_does_not_exist_and_a_broken_configuration(tmp_path):
    with pytest.raises(UserError, match="absent: no such folder"):
        find_runs([tmp_path / "absent"])
    make_run(tmp_path / "run", seed=0)
    (tmp_path / "run" / "config.yaml").write_text("- a list")
    with pytest.raises(UserError, match=r"config\.yaml: expected a YAML dict"):
        read_run(tmp_path / "run")


def test_help_and_table_need_no_torch():
    code = "import sys, crossrec.report; print('torch' in sys.modules, 'matplotlib' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "False"]
