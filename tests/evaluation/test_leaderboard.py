"""Methods over many runs: who is chosen, who is compared with whom, and how surely."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from crossrec.errors import UserError
from crossrec.evaluation.leaderboard import leaderboard
from crossrec.evaluation.leaderboard_tables import leaderboard_markdown
from crossrec.evaluation.significance import mean_interval, paired_test
from crossrec.evaluation.sweeps import read_run
from crossrec.report import find_runs, main

Values = Sequence[float]


def make(
    folder: Path,
    rows: dict[str, Values],
    validation: dict[str, float],
    overrides: Sequence[str] = (),
    seed: int = 0,
    fingerprint: str = "f",
    metric: str = "ndcg@10",
    model: str = "x.TwoTower",
    transfer: str = "l2_sp",
    simulated: bool = False,
) -> None:
    """A finished run: a value a user for each row of its table."""
    folder.mkdir(parents=True)
    n = len(next(iter(rows.values())))
    frames = [
        pl.DataFrame(
            {
                "model": [row] * n,
                "user_id": [f"u{i}" for i in range(n)],
                "group": ["warm"] * n,
                "shared": [i % 2 == 0 for i in range(n)],
                metric: list(map(float, values)),
            }
        )
        for row, values in rows.items()
    ]
    pl.concat(frames).write_parquet(folder / "per_user.parquet")
    pl.DataFrame(
        {"model": ["scratch"], "users": ["all"], "metric": [metric]}
        | {key: [0.0] for key in ("value", "low", "high")}
    ).write_csv(folder / "results.csv")
    found = {row: {metric: value} for row, value in validation.items()}
    record = {"data_fingerprint": fingerprint, "validation": found}
    (folder / "record.json").write_text(json.dumps(record))
    config = {
        "seed": seed,
        "transfer": {"name": transfer, "overrides": list(overrides)},
        "model": {"_target_": model},
        "data": {"source": "a/home", "target": "b/tools", "simulated": simulated},
    }
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(
        yaml.safe_dump([f"seed={seed}", f"transfer={transfer}", *overrides])
    )


def board(folder: Path, **where: str) -> dict[str, dict]:
    table = leaderboard([read_run(run) for run in find_runs([folder])])
    where = {"users": "all", "metric": "ndcg@10", **where}
    return {row["method"]: row for row in table.filter(**where).iter_rows(named=True)}


def test_validation_chooses_the_setting_and_test_does_not(tmp_path):
    rows = {"popularity": [0.1, 0.2], "scratch": [0.2, 0.2], "zero-shot": [0.1, 0.1]}
    better = ["transfer.rank=1"], {"transferred": 0.3}, [0.2, 0.3]
    worse = ["transfer.rank=2"], {"transferred": 0.2}, [0.9, 0.9]
    for name, (options, validation, values) in {"a": better, "b": worse}.items():
        make(tmp_path / name, {**rows, "transferred": values}, validation, options)
    row = board(tmp_path)["l2_sp"]
    assert (row["options"], row["settings"]) == ("transfer.rank=1", 2)
    assert row["value"] == pytest.approx(0.25)
    assert list(board(tmp_path)) == ["popularity", "scratch", "zero-shot", "l2_sp"]
    assert board(tmp_path)["zero-shot"]["gain_scratch"] == pytest.approx(-0.1)


def test_an_error_is_chosen_by_its_lowest_value(tmp_path):
    for name, reached in {"a": 1.2, "b": 0.9}.items():
        rows = {"scratch": [1.0, 1.1], "popularity": [0.9, 0.9], "transferred": [reached] * 2}
        options = [f"transfer.rank={name}"]
        make(tmp_path / name, rows, {"transferred": reached}, options, metric="rmse")
    # What is measured here is a value a user; the column of a real table is derived from errors.
    for path in tmp_path.glob("*/per_user.parquet"):
        frame = pl.read_parquet(path).with_columns(
            n_ratings=1.0, squared_error=pl.col("rmse") ** 2, absolute_error="rmse", like_right=1.0
        )
        frame.drop("rmse").write_parquet(path)
    rows = board(tmp_path, metric="rmse")
    assert rows["l2_sp"]["options"] == "transfer.rank=b"
    assert rows["l2_sp"]["reference"] == "popularity"
    assert rows["l2_sp"]["gain_reference"] == pytest.approx(0.0)


def test_settings_are_compared_by_the_seeds_that_all_have(tmp_path):
    """The chosen setting ran again with more seeds, in which it reached less in validation."""
    for name, option, seed, reached in (
        ("a", "1", 0, 0.5),
        ("b", "2", 0, 0.4),
        ("c", "1", 1, 0.1),
    ):
        rows = {"scratch": [0.1, 0.2], "transferred": [reached, 0.1]}
        make(tmp_path / name, rows, {"transferred": reached}, [f"transfer.rank={option}"], seed)
    row = board(tmp_path)["l2_sp"]
    assert (row["options"], row["seeds"]) == ("transfer.rank=1", 2)


def test_users_are_paired_by_their_means_over_seeds(tmp_path):
    generator = np.random.default_rng(0)
    base, gain = generator.random((2, 40)), generator.random((2, 40)) * 0.2
    for seed in (0, 1):
        rows = {"ease": [0.1] * 40, "scratch": base[seed], "transferred": base[seed] + gain[seed]}
        make(tmp_path / str(seed), rows, {}, seed=seed)
    row = board(tmp_path)["l2_sp"]
    test = paired_test((base + gain).mean(axis=0), base.mean(axis=0))
    assert row["gain_scratch"] == pytest.approx(gain.mean())
    assert row["relative_gain_scratch"] == pytest.approx(gain.mean() / base.mean())
    assert row["p_holm_scratch"] == pytest.approx(test.p)  # one method: nothing to correct
    seeds = mean_interval((base + gain).mean(axis=1))
    assert (row["seeds"], row["value"], row["low"]) == (2, *map(pytest.approx, seeds[:2]))
    shared = board(tmp_path, users="shared")["l2_sp"]
    assert shared["gain_scratch"] == pytest.approx(gain[:, ::2].mean())


@pytest.mark.parametrize("simulated", [True, False])
def test_simulated_users_of_different_worlds_are_different_users(tmp_path, simulated):
    """Real ones are the same in every split that a seed draws."""
    generator = np.random.default_rng(1)
    base, own = generator.random((2, 30)), generator.random((2, 30))
    for seed in (0, 1):
        rows = {"scratch": base[seed], "transferred": own[seed]}
        where = tmp_path / str(seed)
        make(where, rows, {}, seed=seed, fingerprint=str(seed), simulated=simulated)
    pair = (own.ravel(), base.ravel()) if simulated else (own.mean(axis=0), base.mean(axis=0))
    assert board(tmp_path)["l2_sp"]["p_holm_scratch"] == pytest.approx(paired_test(*pair).p)


def test_where_nobody_is_shared_there_are_no_groups_by_overlap(tmp_path):
    make(tmp_path / "a", {"scratch": [0.1, 0.3], "transferred": [0.3, 0.4]}, {})
    assert board(tmp_path, users="shared").keys() == {"scratch", "l2_sp"}
    path = tmp_path / "a" / "per_user.parquet"
    pl.read_parquet(path).with_columns(shared=False).write_parquet(path)
    assert board(tmp_path, users="other") == board(tmp_path, users="shared") == {}
    assert board(tmp_path, users="all").keys() == {"scratch", "l2_sp"}


def test_holm_corrects_over_the_methods(tmp_path):
    generator = np.random.default_rng(2)
    base = generator.random(50)
    own = {name: base + generator.normal(0.05, 0.1, 50) for name in ("l2_sp", "ewc", "lora")}
    for name, values in own.items():
        make(tmp_path / name, {"scratch": base, "transferred": values}, {}, transfer=name)
    smallest, middle, largest = sorted(own, key=lambda name: paired_test(own[name], base).p)
    p = {name: paired_test(values, base).p for name, values in own.items()}
    rows = board(tmp_path)
    assert rows[smallest]["p_holm_scratch"] == pytest.approx(3 * p[smallest])
    assert rows[middle]["p_holm_scratch"] == pytest.approx(2 * p[middle])
    assert rows[largest]["p_holm_scratch"] == pytest.approx(max(p[largest], 2 * p[middle]))


def test_every_model_has_its_scratch_and_the_best_single_row_is_that_of_the_group(tmp_path):
    """u0 and u2 are shared: SASRec serves them best, matrix factorization everybody."""
    mf, sasrec = [0.1, 0.9, 0.1, 0.9], [0.3, 0.1, 0.3, 0.1]
    for name, base in {"MF": mf, "SASRec": sasrec}.items():
        rows = {"ease": [0.2] * 4, "scratch": base, "transferred": [x + 0.1 for x in base]}
        options, reached = [f"model={name}"], {"transferred": base[0]}
        make(tmp_path / name, rows, reached, options, model=f"x.{name}")
    rows = board(tmp_path)
    assert list(rows) == ["ease", "scratch MF", "l2_sp", "scratch SASRec"]
    assert rows["l2_sp"]["options"] == "model=SASRec"
    assert rows["l2_sp"]["gain_scratch"] == pytest.approx(0.1)  # that of the same run
    assert rows["l2_sp"]["reference"] == "scratch MF"
    assert board(tmp_path, users="shared")["l2_sp"]["reference"] == "scratch SASRec"


def test_rows_of_a_guard_are_methods_and_data_sets_stand_apart(tmp_path):
    rows = {"scratch": [0.1, 0.3], "cmf": [0.2, 0.4], "transferred": [0.3, 0.3]}
    for name in ("0", "0.7"):
        options = [f"data.relatedness={name}", "+transfer.candidates.cmf.alpha=0.5"]
        make(tmp_path / name, rows, {}, options, transfer="guarded")
    table = leaderboard([read_run(run) for run in find_runs([tmp_path])])
    titles = ["home -> tools data.relatedness=0", "home -> tools data.relatedness=0.7"]
    assert sorted(table["data"].unique()) == titles
    one = table.filter(data=titles[0], users="all")
    assert one["method"].to_list() == ["scratch", "cmf", "guarded"]
    assert one["options"].to_list() == ["", "", ""]  # what all runs have is not told
    text = leaderboard_markdown(table, None)
    assert "| cmf | 1 | .3000±1.2706 | +50.0%* | +50.0%* |" in text


def test_a_row_of_a_guard_tells_its_own_options_alone(tmp_path):
    rows = {"scratch": [0.1, 0.3], "cmf": [0.2, 0.4], "transferred": [0.3, 0.3]}
    guard = ["~transfer.candidates.l2_sp", "+transfer.candidates.cmf.alpha=0.5", "seed=0"]
    make(tmp_path / "a", rows, {}, [*guard, "+transfer.candidates.ewc={}"], transfer="guarded")
    make(tmp_path / "b", {"scratch": [0.1, 0.3], "transferred": [0.2, 0.3]}, {}, transfer="lora")
    found = board(tmp_path)
    assert found["cmf"]["options"] == "+transfer.candidates.cmf.alpha=0.5"
    assert found["scratch"]["options"] == ""
    assert "~transfer.candidates.l2_sp" in found["guarded"]["options"]


def test_a_reference_that_is_asked_for(tmp_path, capsys):
    """All others are compared with it, and Holm's correction runs over them."""
    generator = np.random.default_rng(3)
    base = generator.random(50)
    rows = {"ease": base - 0.1, "scratch": base + generator.normal(0.02, 0.1, 50)}
    rows |= {"cmf": base + generator.normal(0.03, 0.1, 50), "transferred": base}
    for name in "ab":
        make(tmp_path / name, rows, {}, seed=ord(name))
    runs = [read_run(run) for run in find_runs([tmp_path])]
    table = leaderboard(runs, "l2_sp").filter(users="all", metric="ndcg@10")
    found = {row["method"]: row for row in table.iter_rows(named=True)}
    p = {name: paired_test(rows[name], base).p for name in ("ease", "scratch", "cmf")}
    assert found["ease"]["p_holm_reference"] == pytest.approx(3 * p["ease"], abs=1e-12)
    low, high = sorted(p[name] for name in ("scratch", "cmf"))
    expected = {min(1.0, 2 * low), max(min(1.0, 2 * low), high)}
    corrected = {found[name]["p_holm_reference"] for name in ("scratch", "cmf")}
    assert sorted(corrected) == pytest.approx(sorted(expected))
    assert found["l2_sp"]["p_holm_reference"] is None
    assert main([str(tmp_path), "--against", "cmf"]) == 0
    assert "over cmf" in capsys.readouterr().out
    assert main([str(tmp_path / "a"), "--against", "cmf"]) == 0  # of a single run, too
    assert "over cmf" in capsys.readouterr().out
    assert main([str(tmp_path), "--against", "cnf"]) == 1
    assert "--against cnf: no such row; there are cmf, ease" in capsys.readouterr().err


def test_errors_and_rankings_do_not_compete(tmp_path):
    """Validation RMSE and validation NDCG say nothing of each other."""
    rows = {"scratch": [0.1, 0.3], "transferred": [0.3, 0.3]}
    reached = {"scratch": 0.9, "transferred": 0.9}
    make(tmp_path / "a", rows, reached, ["objective=softmax"])
    make(tmp_path / "b", rows, reached, ["objective=rating"])
    record = json.loads((tmp_path / "b" / "record.json").read_text())
    record["validation"] = {row: {"rmse": 0.9} for row in reached}
    (tmp_path / "b" / "record.json").write_text(json.dumps(record))
    names = ["scratch by ndcg@10", "l2_sp by ndcg@10", "scratch by rmse", "l2_sp by rmse"]
    assert list(board(tmp_path)) == names
    assert board(tmp_path)["l2_sp by rmse"]["reference"].startswith("scratch")


def test_the_command_writes_it(tmp_path, capsys):
    for seed in (0, 1):
        rows = {"scratch": [0.1, 0.3], "transferred": [0.3, 0.4]}
        make(tmp_path / str(seed), rows, {}, seed=seed)
    assert main([str(tmp_path)]) == 0
    assert "over best single" in capsys.readouterr().out
    kept = pl.read_csv(tmp_path / "report" / "leaderboard.csv")
    assert kept.filter(users="all", method="l2_sp")["value"].item() == pytest.approx(0.35)
    assert "| l2_sp | 2 |" in (tmp_path / "report" / "leaderboard.md").read_text()


def test_what_cannot_be_read_is_named(tmp_path):
    make(tmp_path / "a", {"scratch": [0.1, 0.3]}, {})
    path = tmp_path / "a" / "per_user.parquet"
    pl.read_parquet(path).drop("shared").write_parquet(path)
    with pytest.raises(UserError, match=r"per_user.parquet: cannot be read .*column shared"):
        leaderboard([read_run(tmp_path / "a")])
