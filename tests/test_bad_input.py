"""Whatever a user gets wrong: one clear message, a non-zero exit, and nothing half-made."""

import gzip
import json
import os
import re
import resource
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from crossrec.errors import UserError
from crossrec.transfer.method import check_overlap
from crossrec.transfer.parameters.finetune import Finetune

Command = Callable[..., Any]
CORES = os.cpu_count() or 1


def refused(ran: Any, *words: str) -> None:
    """One message on stderr that has the words, and exit code 1."""
    assert ran.code == 1
    assert "Traceback" not in ran.out + ran.err
    assert len(re.findall(r"\berror: ", ran.err)) == 1
    assert len(ran.err.strip().splitlines()) == 1
    for word in words:
        assert word in ran.err, ran.err


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ("transfer.lamda=1", "there is no setting transfer.lamda; did you mean transfer.lambda?"),
        ("trnsfer.lambda=1", "there is no setting trnsfer.lambda; did you mean transfer?"),
        ("mdoel=sasrec", "there is no setting mdoel; did you mean model?"),
        ("data=amazn2023", "there is no data=amazn2023; did you mean amazon2023?"),
        ("logger=comet", "there is no logger=comet; there are csv, tensorboard, wandb"),
        ("+experiment=hom_to_electronics", "did you mean home_to_electronics?"),
        ("experiment=table_pair", "write +experiment=..."),
        ("+experiment=table_pair", "data.source and data.target must be given"),
        ("+training.lerning_rate=1", "'lerning_rate'; did you mean learning_rate?"),
        ("+sede=1", "has no setting 'sede'; did you mean seed?"),
        ("transfer.lambda=0,1", "--multirun"),
        ("transfer.lambda=", "transfer.lambda must be a number, got ''"),
        ("seed=abc", "seed must be a whole number >= 0 and <= 4294967295, got 'abc'"),
        ("data.source=100", "data.source must be text, or a list of texts, got 100"),
        ("paths.artifacts=null", "paths.artifacts must be text, got None"),
        ("seed=-1", "seed must be a whole number >= 0"),
        ("trainer.max_epochs=zero", "trainer.max_epochs must be a whole number >= 1, got 'zero'"),
        ("trainer.max_epochs=0", "trainer.max_epochs must be a whole number >= 1, got 0"),
        ("evaluation.ks=[0]", "evaluation.ks must be a list, each a whole number >= 1, got [0]"),
        ("evaluation.ks=[]", "evaluation.ks must be a list"),
        ("evaluation.like_at=high", "evaluation.like_at must be a number, got 'high'"),
        ("recommend.top_n=0", "recommend.top_n must be a whole number >= 1, got 0"),
        ("split.cold_at_most=-1", "split.cold_at_most must be a whole number >= 0, got -1"),
        ("split.source_after_test=cur", "must be one of cut, keep, got 'cur'"),
        ("training.learning_rate=-1", "training.learning_rate must be a number > 0, got -1"),
        ("training.patience=null", "training.patience must be a whole number >= 1, got None"),
        ("pretraining.mask_share=1", "pretraining.mask_share must be a number > 0 and < 1"),
        ("pretraining.enabled=maybe", "pretraining.enabled must be true or false, got 'maybe'"),
        ("encoder.dtype=float8", "float32, bfloat16, float16, int8, auto, got 'float8'"),
        ("encoder.layers=last", "encoder.layers must be a list, each a whole number, got 'last'"),
        ("encoder.max_length=1", "must be a whole number >= 4, or auto, got 1"),
        ("data.rating_scale=[5,1]", "data.rating_scale must be [lowest, highest], or null"),
        ("model.dropout=1", "model.dropout must be a number >= 0 and < 1, got 1"),
        ("logger.name=comet", "logger.name must be one of csv, tensorboard, wandb, got 'comet'"),
    ],
)
def test_slips_in_settings(command: Command, tmp_path: Path, slip: str, words: str) -> None:
    refused(command(slip, f"hydra.run.dir={tmp_path}"), words)


def test_flags_of_hydra_that_do_not_go_together(command: Command) -> None:
    refused(command("-m", "seed=0,1", "--cfg", "job"), "Only one of --run, --multirun, --cfg")


@pytest.mark.parametrize(
    ("slip", "words"),
    [
        ("transfer.lambda=-1", "transfer.lambda must be >= 0, got -1"),
        ("transfer.lambda=strong", "transfer.lambda must be a number, got 'strong'"),
        ("transfer.anchor=target", "transfer.anchor must be one of source, constant"),
        ("data.relatedness=2", "data.relatedness must be between 0 and 1, got 2"),
        ("data.relatedness=high", "data.relatedness must be a number, got 'high'"),
        ("data.reader.strength=[1]", "data.reader.strength must be a number, got [1]"),
        ("+trainer.max_epoch=3", "trainer has no setting 'max_epoch'; did you mean max_epochs?"),
        ("+model.dims=3", "model has no setting 'dims'; did you mean dim?"),
        ("+data.reader.strenth=3", "data.reader has no setting 'strenth'; did you mean strength?"),
        ("model._target_=nowhere.Model", "model: Error locating target 'nowhere.Model'"),
        ("trainer.precision=bf17", "bf16-mixed, 32-true, 64-true, 64, 32, 16, bf16 or null, got"),
        ("trainer.gradient_clip_val=x", "must be a number or null, got 'x'"),
        ("trainer.accelerator=abacus", "trainer: You selected an invalid accelerator name"),
        (f"trainer.devices={CORES + 1}", f"but there are {CORES} processor cores here"),
        ("trainer.strategy=ddp", "starts this whole command again in every rank; use trainer=ddp"),
        ("trainer.strategy=foo", "trainer: You selected an invalid strategy name"),
        ("evaluation.metrics=[ndgc]", "there is no metric 'ndgc'; did you mean ndcg?"),
        ("evaluation.beyond=novelty", "evaluation.beyond must be a list of coverage, novelty"),
        ("model.hidden=2.5", "model.hidden must be a whole number >= 1, got 2.5"),
    ],
)
def test_values_that_a_component_refuses(
    command: Command, tmp_path: Path, slip: str, words: str
) -> None:
    ran = command(slip, f"hydra.run.dir={tmp_path / 'run'}", f"paths.artifacts={tmp_path / 'made'}")
    refused(ran, words)
    assert not (tmp_path / "made").exists()


def test_more_gpus_than_there_are(command: Command, tmp_path: Path) -> None:
    import torch

    there = torch.cuda.device_count()
    ran = command("trainer=gpu", f"trainer.devices={there + 1}", f"hydra.run.dir={tmp_path}")
    refused(ran, f"there are {there} GPUs here" if there else "sees no GPU here: use trainer=cpu")


def test_several_devices_need_a_strategy(command: Command, tmp_path: Path) -> None:
    if CORES < 2:
        pytest.skip("one processor core: two devices are refused before their strategy is")
    refused(command("trainer.devices=2", f"hydra.run.dir={tmp_path}"), "needs trainer=ddp")


def test_fsdp_starts_no_ranks(command: Command, tmp_path: Path) -> None:
    ran = command("trainer=fsdp", "trainer.devices=2", f"hydra.run.dir={tmp_path}")
    refused(ran, "run torchrun --nproc-per-node N -m crossrec.train trainer=fsdp")


def test_heads_must_divide_the_width(command: Command, tmp_path: Path) -> None:
    ran = command("model=sasrec", "model.n_heads=3", f"hydra.run.dir={tmp_path}")
    refused(ran, "model.dim must be divisible by model.n_heads, got 64, 3")


HEADER = {"overall": 5.0, "verified": True, "unixReviewTime": 1_500_000_000}


def review(user: int, item: int, rating: float = 5.0, day: int = 0) -> str:
    facts = {"reviewerID": f"A{user:013}", "asin": f"B{item:09}", "overall": rating}
    return json.dumps(HEADER | facts | {"unixReviewTime": 1_500_000_000 + 86_400 * day})


def good_lines() -> list[str]:
    return [review(user, user * step % 12, day=step) for user in range(30) for step in range(1, 7)]


@pytest.fixture
def amazon(command: Command, tmp_path: Path) -> Callable[..., Any]:
    """Runs an Amazon pair whose source is sound; the target's reviews are the given bytes."""
    goods = "".join(json.dumps({"asin": f"B{item:09}"}) + "\n" for item in range(12))
    for category in ("Books", "Toys"):
        (tmp_path / f"meta_{category}.json").write_text(goods)
    (tmp_path / "Books_5.json").write_text("\n".join(good_lines()))

    def run(content: bytes | None, *overrides: str, made: tuple[str, ...] = ()) -> Any:
        if content is not None:
            (tmp_path / "Toys_5.json").write_bytes(content)
        ran = command(
            "+experiment=amazon_pair",
            "data=amazon2018",
            "data.source=Books",
            "data.target=Toys",
            f"paths.data={tmp_path}",
            f"paths.artifacts={tmp_path / 'artifacts'}",
            f"hydra.run.dir={tmp_path / 'run'}",
            "encoder=none",
            "pretraining=off",
            "trainer.max_epochs=1",
            *overrides,
        )
        left = [path.name for path in (tmp_path / "artifacts").glob("*")]
        assert sorted(name.partition("-")[0] for name in left) == sorted(made)
        assert not (tmp_path / "run" / "results.csv").exists()
        return ran

    return run


def test_a_missing_file_names_url_folder_and_the_simulated_alternative(
    amazon: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for proxy in ("http_proxy", "https_proxy"):  # as without a connection: nothing listens there
        monkeypatch.setenv(proxy, "http://127.0.0.1:9")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    # urllib remembers the proxies of its first call: this one's must not be the next test's.
    monkeypatch.setattr(urllib.request, "_opener", None)
    url = "https://mcauleylab.ucsd.edu/public_datasets/data/amazon_v2/categoryFilesSmall/Toys_5"
    refused(amazon(None), url, str(tmp_path / "amazon2018"), "data=marketplace", "cannot download")
    off = amazon(None, "data.reader.download=false")
    refused(off, url, str(tmp_path / "amazon2018"), "data=marketplace", "download is switched off")


def test_a_truncated_file(amazon: Callable[..., Any], tmp_path: Path) -> None:
    whole = gzip.compress("\n".join(good_lines()).encode())
    refused(amazon(whole[:-40]), str(tmp_path / "Toys_5.json"), "truncated", "fetch it again")


def test_a_file_that_is_not_utf_8(amazon: Callable[..., Any], tmp_path: Path) -> None:
    lines = good_lines()
    lines[6] = lines[6].replace("A0", "\xe9")
    ran = amazon("\n".join(lines).encode("latin-1"))
    refused(ran, f"{tmp_path / 'Toys_5.json'}, line 7: expected UTF-8 text, found byte 0xe9")


def test_too_many_malformed_lines(amazon: Callable[..., Any], tmp_path: Path) -> None:
    lines = good_lines()
    lines[3] = lines[8] = '{"reviewerID": "A1", '
    said = f"{tmp_path / 'Toys_5.json'}: 2 of 180 lines (1.11%) cannot be used"
    refused(amazon("\n".join(lines).encode()), said, "line 4", "data.reader.max_malformed")


def test_ratings_outside_the_scale(amazon: Callable[..., Any]) -> None:
    lines = [*good_lines(), review(3, 1, rating=11.0)]
    ran = amazon("\n".join(lines).encode())
    refused(ran, "domain Toys: 1 of 181 ratings are outside the scale 1 to 5", "11", "rating_scale")


def test_a_domain_that_is_empty_after_filtering(amazon: Callable[..., Any]) -> None:
    ran = amazon("\n".join(good_lines()).encode(), "cleaning.min_item=500")
    refused(ran, "domain Toys is empty after cleaning", "cleaning.min_item (now 500)")


def test_nothing_to_train_on(amazon: Callable[..., Any]) -> None:
    pairs = [review(user, user % 12, day=9) for user in range(30)]
    made = ("collect", "source")
    ran = amazon("\n".join(pairs).encode(), "cleaning=keep_all", made=made)
    refused(ran, "domain Toys has 0 interactions to train on")


def test_no_text_for_the_language_model(amazon: Callable[..., Any], tmp_path: Path) -> None:
    for name in ("config.json", "model.safetensors"):
        (tmp_path / name).write_text("{}")
    text = ("encoder=huggingface", f"encoder.model={tmp_path}")
    ran = amazon("\n".join(good_lines()).encode(), *text, made=("collect",))
    refused(ran, "no item in train of either domain has text", "encoder=none")


def test_a_folder_that_holds_no_table(command: Command, tmp_path: Path) -> None:
    ran = command(
        "+experiment=table_pair",
        f"data.source={tmp_path}",
        "data.target=nowhere",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    refused(ran, f"{tmp_path} holds no interactions.parquet or .csv or .tsv")


class SharedItems(Finetune):
    """A method that has no meaning without items that stand in both domains."""

    needs = "items"


class SharedUsers(Finetune):
    needs = "users"


def test_a_method_without_the_overlap_it_needs() -> None:
    check_overlap(Finetune(), "home -> tech", 0, 0)
    check_overlap(SharedItems(), "home -> tech", 0, 1)
    check_overlap(SharedUsers(), "home -> tech", 1, 0)
    with pytest.raises(UserError, match=r"SharedItems needs items .* home -> tech share none"):
        check_overlap(SharedItems(), "home -> tech", 7, 0)
    with pytest.raises(UserError, match=r"SharedUsers needs users .* home -> tech share none"):
        check_overlap(SharedUsers(), "home -> tech", 0, 7)


def test_the_command_asks_for_the_overlap(
    command: Command, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "mine", SimpleNamespace(SharedItems=SharedItems))
    ran = command(
        *tiny,
        "transfer=finetune",
        "transfer.method._target_=mine.SharedItems",
        f"paths.artifacts={tmp_path}",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    refused(ran, "SharedItems needs items", "home -> electronics share none")
    assert not list(tmp_path.glob("source-*"))


@contextmanager
def small_files(size: int | None) -> Iterator[None]:
    """Bounds the size of files within the block, as a full disk would; None does not.

    No longer than the block: the limit also holds for the file that pytest itself may print into.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft if size is None else size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_full_disk(command: Command, tiny: list[str], tmp_path: Path) -> None:
    limit: int | None = None

    def run(artifacts: str, folder: str, *more: str) -> Any:
        where = [f"paths.artifacts={tmp_path / artifacts}", f"hydra.run.dir={tmp_path / folder}"]
        with small_files(limit):
            return command(*tiny, *where, *more)

    assert run("whole", "run").code == 0
    limit = 8_000
    full = "a file grew beyond the allowed size"
    refused(run("half", "first"), f"cannot write {tmp_path / 'half'}: {full}", "paths.artifacts")
    assert not list((tmp_path / "half").iterdir())
    refused(run("whole", "second"), f"cannot write {tmp_path / 'second'}: {full}", "hydra.run.dir")
    assert not (tmp_path / "second" / "results.csv").exists()
    ran = run("whole", "market", "seed=1", f"paths.data={tmp_path / 'data'}")
    refused(ran, f"cannot write the marketplace to {tmp_path / 'data'}", "paths.data")
    assert not [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
    limit = 500
    refused(run("whole", "third"), f"cannot write the run folder: {full}", "hydra.run.dir")


def test_a_run_folder_that_cannot_be(command: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    refused(command(f"hydra.run.dir={tmp_path / 'file' / 'run'}"), "a file stands where a folder")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where a run that nobody stops is, once it has been made."""
    return tmp_path_factory.mktemp("undisturbed")


@pytest.mark.parametrize(
    ("sent", "code"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143), (signal.SIGINT, 130)]
)
def test_a_run_that_is_stopped_goes_on_to_the_same_results(
    command: Command,
    tiny: list[str],
    undisturbed: Path,
    tmp_path: Path,
    sent: signal.Signals,
    code: int,
) -> None:
    def where(folder: Path) -> list[str]:
        return [f"paths.artifacts={folder}", f"hydra.run.dir={folder / 'run'}"]

    if not (undisturbed / "run" / "results.csv").exists():
        assert command(*tiny, *where(undisturbed)).code == 0
    made = tmp_path / "stopped"
    process = subprocess.Popen(
        [sys.executable, "-m", "crossrec.train", *tiny, *where(made)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        # A shell starts what it puts into the background with SIGINT ignored.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    while process.poll() is None and not list(made.glob(".source-*")):
        time.sleep(0.01)  # the training takes a hundred times as long
    process.send_signal(sent)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert list(made.glob("collect-*"))
    assert not list(made.glob("source-*"))
    assert not (made / "run" / "results.csv").exists()
    if sent != signal.SIGKILL:  # of which nobody can speak
        assert "Traceback" not in said
        assert "stopped. Nothing half-made was kept" in said
        assert not list(made.glob(".*"))
    ran = command(*tiny, *where(made))
    assert ran.code == 0, ran.err
    assert "collect    reused" in ran.out
    assert "source     made" in ran.out
    assert not list(made.glob(".*"))
    results = [folder / "run" / "results.csv" for folder in (undisturbed, made)]
    assert results[0].read_bytes() == results[1].read_bytes()
