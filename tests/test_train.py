"""The command: what its settings mean, what it leaves behind, and what a second run repeats."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml

from crossrec.evaluation.origin import ORIGIN

Command = Callable[..., Any]
MODELS = {"popularity", "item-knn", "ease", "scratch", "zero-shot", "transferred", "oracle"}
METRICS = {f"{name}@10" for name in ("recall", "precision", "ndcg", "mrr", "hit")}
BEYOND = {"coverage@10", "novelty@10", "rmse", "mae", "like_accuracy"}
STAGES = ("collect", "pretrain", "encode", "source", "scratch", "transfer", "baselines")
ALL = set(STAGES)


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the runs of this file share."""
    return tmp_path_factory.mktemp("artifacts")


def said_of_stages(out: str) -> dict[str, str]:
    """Stage -> "made" or "reused", as the log says."""
    return dict(re.findall(rf"({'|'.join(STAGES)}) +(made|reused) ", out))


def test_what_a_run_leaves_and_what_the_next_one_repeats(
    command: Command, tiny: list[str], shared: Path, reader: Path, tmp_path: Path
) -> None:
    run = tmp_path / "first"
    settings = [
        *(setting for setting in tiny if setting not in ("encoder=none", "pretraining=off")),
        "encoder=huggingface",
        f"encoder.model={reader}",
        "encoder.whiten_dim=8",
        "pretraining.max_steps=3",
        f"paths.artifacts={shared}",
    ]
    ran = command(*settings, f"hydra.run.dir={run}", "evaluation.ks=[10,5]")
    assert ran.code == 0, ran.err
    assert said_of_stages(ran.out) == dict.fromkeys(STAGES, "made")
    for line in ran.out.splitlines()[: 2 * len(STAGES)]:
        assert re.match(r"\[\d\d:\d\d:\d\d\] (\w|          )", line), line
        assert len(line) <= 100
    assert ran.out.rstrip().endswith(f"run folder: {run}")

    results = pl.read_csv(run / "results.csv")
    assert results.columns == ["model", "users", "metric", "value", "low", "high", *ORIGIN]
    assert set(results["model"]) == MODELS
    assert set(results["users"]) == {"all", "cold", "warm", "shared", "other"}
    wanted = METRICS | {name.replace("10", "5") for name in METRICS} | BEYOND
    assert set(results["metric"]) >= wanted | {"diversity@10", "diversity@5"}
    assert (results["low"] <= results["value"]).all()
    assert (results["value"] <= results["high"]).all()

    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["data"]["reader"]["relatedness"] == config["data"]["relatedness"] == 0.7
    record = json.loads((run / "record.json").read_text())
    assert record["seed"] == 0
    assert {"torch", "lightning", "transformers"} <= record["packages"].keys()
    assert record["artifacts"].keys() == set(STAGES)
    assert all((shared / name).is_dir() for name in record["artifacts"].values())
    metrics = json.loads((run / "metrics.json").read_text())
    assert f"fingerprint {record['data_fingerprint']})" in metrics["caption"]
    assert "SIMULATED" in metrics["caption"]
    assert (run / "results.md").read_text().count("|") > 100
    per_user = pl.read_parquet(run / "per_user.parquet")
    cell = pl.col("model") == "transferred"
    mean = per_user.filter(cell)["ndcg@10"].mean()
    row = results.filter(cell & (pl.col("users") == "all") & (pl.col("metric") == "ndcg@10"))
    assert row["value"].item() == pytest.approx(mean)
    lists = pl.read_parquet(run / "recommendations.parquet")
    assert set(lists["domain"]) == {"home", "electronics"}
    assert list((run / "report").glob("*.png"))

    # A run that changes only lambda repeats neither pretraining nor source training.
    again = command(*settings, "transfer.lambda=0.3", f"hydra.run.dir={tmp_path / 'second'}")
    assert again.code == 0, again.err
    assert said_of_stages(again.out) == dict.fromkeys(STAGES, "reused") | {"transfer": "made"}
    made = [path.name.partition("-")[0] for path in shared.glob("[a-z]*-*")]
    assert sorted(made) == sorted([*STAGES, "transfer", "describe"])  # one drawing of the data
    assert not list(shared.glob(".*"))


def test_the_same_command_twice_gives_the_same_bytes(
    command: Command, tiny: list[str], tmp_path: Path
) -> None:
    for name in "ab":
        where = [f"paths.artifacts={tmp_path / name}", f"hydra.run.dir={tmp_path / name / 'run'}"]
        assert command(*tiny, *where).code == 0
    first, second = (tmp_path / name / "run" / "results.csv" for name in "ab")
    assert first.read_bytes() == second.read_bytes()


@pytest.mark.parametrize(
    ("change", "made"),
    [
        ("transfer.mu=0.5", {"transfer"}),
        ("transfer=finetune", {"transfer"}),
        ("trainer.max_epochs=1", {"source", "scratch", "transfer"}),
        ("trainer.precision=bf16-mixed", {"source", "scratch", "transfer"}),
        ("objective=rating", {"source", "scratch", "transfer"}),
        ("model=mf", {"source", "scratch", "transfer"}),
        ("data.relatedness=0", ALL - {"pretrain", "encode"}),
        ("seed=1", ALL - {"pretrain", "encode"}),
        ("split=temporal", ALL - {"pretrain", "encode"}),
        ("split.cold_at_most=100", set()),
        ("split.cold_at_most=0", set()),
    ],
)
def test_a_setting_repeats_what_it_changes(
    command: Command, tiny: list[str], shared: Path, tmp_path: Path, change: str, made: set[str]
) -> None:
    base = [*tiny, f"paths.artifacts={shared}"]
    if not (shared / "base").exists():
        assert command(*base, f"hydra.run.dir={shared / 'base'}").code == 0
    ran = command(*base, change, f"hydra.run.dir={tmp_path / 'run'}")
    assert ran.code == 0, ran.err
    assert {stage for stage, how in said_of_stages(ran.out).items() if how == "made"} == made
    results = pl.read_csv(tmp_path / "run" / "results.csv")
    history = {"cold"} if change == "split.cold_at_most=100" else {"warm", "cold"}
    users = {"all", "shared", "other", *history}
    assert set(results.drop_nulls("value")["users"]) == users
    if change == "trainer.max_epochs=1":
        assert "epoch 1 of 1" in ran.out
    if change == "data.relatedness=0":
        assert set(results["model"]) == MODELS
    if change == "seed=1":
        assert json.loads((tmp_path / "run" / "record.json").read_text())["seed"] == 1


def tables(folder: Path, n_users: int = 30, **columns: bool) -> Path:
    """A domain of one's own: everyone has six of twelve items; the columns that are asked for."""
    folder.mkdir(parents=True)
    events = [
        (f"u{user}", f"i{(user * step) % 12}") for user in range(n_users) for step in range(1, 7)
    ]
    frame = pl.DataFrame(events, schema=["user_id", "item_id"], orient="row").unique(
        maintain_order=True
    )
    number = pl.int_range(len(frame))
    if columns.get("rating"):
        frame = frame.with_columns(rating=number % 5 + 1)
    if columns.get("timestamp"):
        frame = frame.with_columns(timestamp=1_400_000_000 + number * 1000)
    if columns.get("items"):
        named = [
            (f"i{item}", f"Chair of oak number {item}" if item % 3 else None) for item in range(12)
        ]
        pl.DataFrame(named, schema=["item_id", "title"], orient="row").write_csv(
            folder / "items.tsv", separator="\t"
        )
    if columns.get("parquet"):
        frame.write_parquet(folder / "interactions.parquet")
    else:
        frame.write_csv(folder / "interactions.csv")
    return folder


@pytest.mark.parametrize(
    ("change", "pair"),
    [
        ("data.target=electronics:Electronics", "home -> electronics:Electronics"),
        ("data.source=[home,news]", "home+news -> electronics"),
        ("split=cold_users", "home -> electronics"),
        ("split=few_shot", "home -> electronics"),
        ("split=cold_items", "home -> electronics"),
    ],
)
def test_pairs_and_splits_of_other_shapes(
    command: Command, tiny: list[str], shared: Path, tmp_path: Path, change: str, pair: str
) -> None:
    sizes = {"users": 90, "shared_users": 60, "items": 40}
    news = [f"+data.reader.sizes.news.{name}={value}" for name, value in sizes.items()]
    where = [f"paths.artifacts={shared}", f"hydra.run.dir={tmp_path}"]
    ran = command(*tiny, *news, change, *where)
    assert ran.code == 0, ran.err
    caption = (tmp_path / "results.md").read_text().replace("\n", " ")
    assert f"{pair} (SIMULATED" in caption
    results = pl.read_csv(tmp_path / "results.csv")
    assert {"scratch", "transferred", "oracle"} <= set(results["model"])
    assert (tmp_path / "data.md").read_text().count("(source)") >= pair.count("+") + 1


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"rating": True, "timestamp": True, "items": True},
        {"timestamp": True, "parquet": True},
        {"rating": True, "parquet": True, "items": True},
    ],
    ids=lambda columns: "+".join(columns) or "ids",
)
def test_ones_own_tables(
    command: Command,
    reader: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    columns: dict[str, bool],
) -> None:
    monkeypatch.chdir(tmp_path)  # relative paths count from where one stands
    tables(Path("mine/shoes"), **columns)
    tables(Path("mine/hats"), n_users=20, **columns)
    text = [f"encoder.model={reader}", "encoder=huggingface", "encoder.whitening=none"]
    ran = command(
        "+experiment=table_pair",
        "data.source=mine/shoes",
        "data.target=hats",
        "paths.data=mine",
        "paths.artifacts=made",
        "hydra.run.dir=here",
        "trainer.max_epochs=1",
        "pretraining=off",
        *("cleaning=default", "split.cold_at_most=0"),  # where nobody is cold
        *(text if columns.get("items") else ["encoder=none"]),
    )
    assert ran.code == 0, ran.err
    results = pl.read_csv("here/results.csv")
    assert set(results["model"]) == MODELS - {"oracle"}
    assert set(results.drop_nulls("value")["users"]) == {"all", "warm"}
    metrics = set(results["metric"])
    assert ("rmse" in metrics) == columns.get("rating", False)
    assert ("diversity@10" in metrics) == columns.get("items", False)
    assert "SIMULATED" not in ran.out
    assert list(Path("made").glob("transfer-*"))


def test_an_amazon_pair(command: Command, tmp_path: Path) -> None:
    for category in ("Industrial_and_Scientific", "Office_Products"):
        rows = [
            {
                "overall": 5.0 - user % 3,
                "verified": True,
                "reviewerID": f"A{user:013}",
                "asin": f"B{(user * step) % 12:09}",
                "unixReviewTime": 1_500_000_000 + step * 86_400,
            }
            for user in range(30)
            for step in range(1, 7)
        ]
        goods = [{"asin": f"B{item:09}", "title": f"Tool {item}"} for item in range(12)]
        for name, lines in ((f"{category}_5.json", rows), (f"meta_{category}.json", goods)):
            (tmp_path / name).write_text("".join(json.dumps(line) + "\n" for line in lines))
    ran = command(
        "+experiment=amazon_pair",
        "data=amazon2018",
        "data.source=Industrial_and_Scientific",
        "data.target=Office_Products",
        f"paths.data={tmp_path}",
        f"paths.artifacts={tmp_path / 'artifacts'}",
        f"hydra.run.dir={tmp_path / 'run'}",
        "encoder=none",
        "pretraining=off",
        "trainer.max_epochs=1",
    )
    assert ran.code == 0, ran.err
    results = pl.read_csv(tmp_path / "run" / "results.csv")
    assert set(results["model"]) == MODELS - {"oracle"}
    assert "rmse" in set(results["metric"])
    assert "amazon2018: Industrial_and_Scientific -> Office_Products" in " ".join(ran.out.split())


def test_the_first_line_comes_before_anything_heavy(tiny: list[str], tmp_path: Path) -> None:
    run = [sys.executable, "-X", "importtime", "-m", "crossrec.train", *tiny]
    start = time.monotonic()
    process = subprocess.Popen(
        [*run, f"paths.artifacts={tmp_path}", f"hydra.run.dir={tmp_path / 'run'}"],
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "imports").open("w"),
        text=True,
    )
    assert process.stdout is not None
    assert "home_to_electronics: home -> electronics, seed 0" in process.stdout.readline()
    assert time.monotonic() - start < 10
    process.terminate()
    process.wait()
    slips = [["--help"], ["transfer.lamda=1"], ["data=amazn2023"], ["recommend.top_n=0"]]
    for slip in slips:
        ran = subprocess.run(
            [*run[:5], *slip, f"hydra.run.dir={tmp_path / 'slip'}"], capture_output=True, text=True
        )
        loaded = {line.rpartition("|")[2].strip() for line in ran.stderr.splitlines()}
        assert "omegaconf" in loaded, ran.stderr
        assert not loaded & {"torch", "lightning", "transformers", "polars", "matplotlib"}, slip


def test_help_says_what_one_may_say(command: Command) -> None:
    ran = command("--help")
    assert ran.code == 0
    for words in (
        "python -m crossrec.train +experiment=home_to_electronics",
        "transfer.lambda",
        "experiment: amazon_pair, home_to_electronics",
        "learning_rate",
    ):
        assert words in ran.out
