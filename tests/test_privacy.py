"""What leaves the owner of a source, from the command line: weights, and no row of data."""

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file, save_file

from crossrec import weights
from crossrec.data.pseudonyms import pseudonym, read_key
from crossrec.serving.opening import Run
from crossrec.serving.problems import Unknown
from crossrec.serving.service import Service

Command = Callable[..., Any]
SALT = "a-salt-that-must-not-be-found-anywhere"


@pytest.fixture
def owner(command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """`python -m crossrec.weights`, run as `command` runs crossrec.train."""
    from crossrec import train

    def run(*overrides: object) -> Any:
        with monkeypatch.context() as patched:
            patched.setattr(train, "command", lambda: weights.answer(weights.main))
            return command(*overrides)

    return run


def without_data(tiny: list[str]) -> list[str]:
    return [setting for setting in tiny if not setting.startswith("paths.")]


def at(folder: Path) -> list[str]:
    """One owner's data and artifacts."""
    return [f"paths.data={folder}/data", f"paths.artifacts={folder}/artifacts"]


def domains_in(folder: Path) -> set[str]:
    return {path.name for path in (folder / "data").glob("marketplace-*/*")}


def said(text: str) -> str:
    return " ".join(text.split())


def test_weights_cross_and_rows_do_not(
    owner: Command, command: Command, tiny: list[str], tmp_path: Path
) -> None:
    settings = without_data(tiny)
    theirs, mine = tmp_path / "theirs", tmp_path / "mine"
    ran = owner(*settings, *at(theirs), f"hydra.run.dir={theirs}/run")
    assert ran.code == 0, ran.err
    assert domains_in(theirs) == {"home"}  # no file of a target was made or looked for
    handed = theirs / "run" / "handover"
    assert {path.name for path in handed.iterdir()} == {"weights.safetensors", "source.json"}
    record = json.loads((theirs / "run" / "record.json").read_text())  # the owner's, beside it
    assert record["artifacts"].keys() == {"collect", "source"}
    assert 0 <= record["validation"]["source"]["ndcg@10"] <= 1
    assert (theirs / "run" / "config.yaml").is_file()
    about = json.loads((handed / "source.json").read_text())
    assert about["suggested"] == {"lambda_": 1.0, "mu": 1.0}
    assert about["ids"] is None
    assert "item_ids" not in load_file(handed / "weights.safetensors")

    shutil.move(handed, tmp_path / "received")
    shutil.rmtree(theirs)  # nothing else of the source exists from here on
    run = mine / "run"
    received = f"source_weights={tmp_path / 'received'}"
    ran = command(*settings, *at(mine), received, f"hydra.run.dir={run}")
    assert ran.code == 0, ran.err
    assert domains_in(mine) == {"electronics"}
    table = pl.read_csv(run / "results.csv")
    assert {"scratch", "zero-shot", "transferred"} <= set(table["model"])
    record = json.loads((run / "record.json").read_text())
    sealed = load_file(mine / "artifacts" / record["artifacts"]["source"] / "weights.safetensors")
    original = load_file(tmp_path / "received" / "weights.safetensors")
    assert sealed.keys() == original.keys()
    assert all(torch.equal(sealed[name], original[name]) for name in sealed)
    anchored = command(
        *settings, *at(mine), received, "transfer.lambda=1e8", f"hydra.run.dir={run}2"
    )
    assert anchored.code == 0, anchored.err
    record = json.loads((mine / "run2" / "record.json").read_text())
    moved = load_file(mine / "artifacts" / record["artifacts"]["transfer"] / "weights.safetensors")
    for name, value in original.items():  # lambda -> infinity: W = W_s
        torch.testing.assert_close(moved[name], value, rtol=0, atol=1e-5)

    service = Service(Run(run, None, "cpu"))
    lists = pl.read_parquet(run / "recommendations.parquet")
    user = lists["user_id"][0]
    served = service.recommend(user, [], "target", 5)["transferred"]
    assert [item["item"] for item in served] == lists["item_id"][:5].to_list()
    assert service.about()["domains"]["home"] == {"side": "source", "items": 0, "rows": []}
    with pytest.raises(Unknown, match="another owner's"):
        service.recommend(user, [], "home", 5)


@pytest.fixture(scope="module")
def handed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A two-tower W_s of random numbers, as a source's owner would hand it over."""
    from crossrec.data.download import digest
    from crossrec.models.two_tower import TwoTower

    folder = tmp_path_factory.mktemp("handed")
    model = TwoTower(n_users=1, n_items=2, n_context=0, content=None)
    kept = {n: p.detach() for n, p in model.named_parameters() if not n.startswith("item_")}
    save_file(kept, folder / "weights.safetensors")
    about = {
        "format": 1,
        "sha256": digest(folder / "weights.safetensors", "sha256"),
        "model": {"_target_": "crossrec.models.two_tower.TwoTower"},
        "reading": None,
        "suggested": {},
        "privacy": None,
        "ids": None,
    }
    (folder / "source.json").write_text(json.dumps(about))
    return folder


def flip(folder: Path) -> None:
    data = bytearray((folder / "weights.safetensors").read_bytes())
    data[-1] ^= 1
    (folder / "weights.safetensors").write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "a flipped bit": (flip, "its sha256 differs"),
    "no description": (lambda f: (f / "source.json").unlink(), "has no source.json"),
    "no weights": (lambda f: (f / "weights.safetensors").unlink(), "has no weights.safetensors"),
    "not JSON": (lambda f: (f / "source.json").write_text("{"), "source.json is damaged"),
    "of the future": (
        lambda f: (f / "source.json").write_text('{"format": 2}'),
        "is of format 2, and this version of crossrec reads 1",
    ),
}


@pytest.mark.parametrize("what", DAMAGE)
def test_damaged_weights_are_told_in_one_line(
    what: str, command: Command, tiny: list[str], handed: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "received"
    shutil.copytree(handed, folder)
    DAMAGE[what][0](folder)
    ran = command(*tiny, f"source_weights={folder}", f"hydra.run.dir={tmp_path}/run")
    assert ran.code == 1
    assert "error: source_weights=" in ran.err
    assert DAMAGE[what][1] in said(ran.err)
    assert "Traceback" not in ran.err


REFUSED = {
    "model.dim=32": "does not fit this model: TwoTower with other sizes",
    "model=mf": "does not fit this model",
    "privacy=dp": "its owner chooses privacy=dp",
    "transfer=cmf": "CMF reads more of the source",
    "transfer=ewc": "EWC reads more of the source than its weights",
    "transfer.per_source_interaction=true": "L2SP reads more of the source than its weights",
}


@pytest.mark.parametrize("setting", REFUSED)
def test_what_does_not_fit_weights_alone_is_refused(
    setting: str, command: Command, tiny: list[str], handed: Path, tmp_path: Path
) -> None:
    ran = command(
        *tiny,
        f"source_weights={handed}",
        setting,
        *at(tmp_path)[1:],
        f"hydra.run.dir={tmp_path}/run",
    )
    assert ran.code == 1
    assert REFUSED[setting] in said(ran.err)
    assert "Traceback" not in ran.err


NOT_PRIVATE = {
    "model=lightgcn": "cannot train LightGCN, which computes with the interactions themselves",
    "model=neumf": "needs a score that is an inner product, which that of NeuMF is not",
    "objective=bpr": "trains with objective=softmax alone",
    "transfer=dann": "DANN",
    "trainer=ddp trainer.accelerator=cpu": "privacy=dp trains in one process",
    "encoder=minilm pretraining=default": "use pretraining=off",
    "privacy.epsilon=0": "privacy.epsilon must be a number > 0",
}


@pytest.mark.parametrize("setting", NOT_PRIVATE)
def test_what_would_go_around_the_noise_is_refused(
    setting: str, command: Command, tiny: list[str], tmp_path: Path
) -> None:
    ran = command(*tiny, "privacy=dp", *setting.split(), f"hydra.run.dir={tmp_path}/run")
    assert ran.code == 1
    assert NOT_PRIVATE[setting] in said(ran.err)
    assert "Traceback" not in ran.err


def test_a_private_run_says_so_and_reads_no_event_of_the_source(
    command: Command, tiny: list[str], tmp_path: Path
) -> None:
    run = tmp_path / "run"
    small = ["privacy=dp", "privacy.epochs=1", "privacy.users_per_step=30"]
    ran = command(*tiny, *small, *at(tmp_path)[1:], f"hydra.run.dir={run}")
    assert ran.code == 0, ran.err
    record = json.loads((run / "record.json").read_text())
    assert 7.9 < record["privacy"]["epsilon"] <= 8
    assert record["privacy"]["unit"] == "user"
    assert (
        "W_source by DP-SGD, epsilon <= 8 a user, and no event" in (run / "results.md").read_text()
    )
    artifact = tmp_path / "artifacts" / record["artifacts"]["source"]
    account = json.loads((artifact / "training.json").read_text())
    assert account["privacy"] == record["privacy"]
    moved = load_file(
        tmp_path / "artifacts" / record["artifacts"]["transfer"] / "weights.safetensors"
    )
    assert len(moved["item_ids"]) == 30  # the target's own: no source item is in any history


def test_users_are_known_by_hashes_alone(
    owner: Command,
    command: Command,
    tiny: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TEST_SALT", SALT)
    settings = [*tiny, "model=mf", "identity.salt=env:TEST_SALT", f"paths.artifacts={tmp_path}/a"]
    ran = owner(*settings, f"hydra.run.dir={tmp_path}/theirs")
    assert ran.code == 0, ran.err
    handed = tmp_path / "theirs" / "handover"
    received = f"source_weights={handed}"
    ran = command(*settings, received, "transfer.lambda=1e8", f"hydra.run.dir={tmp_path}/mine")
    assert ran.code == 0, ran.err
    record = json.loads((tmp_path / "mine" / "record.json").read_text())
    artifacts = {stage: tmp_path / "a" / name for stage, name in record["artifacts"].items()}
    mine = pl.read_parquet(artifacts["collect"] / "users.parquet").to_series().to_list()
    about = json.loads((handed / "source.json").read_text())
    shared = set(mine) & set(about["ids"]["users"])
    assert len(shared) == 60  # the same person has the same hash at both owners

    key = read_key("env:TEST_SALT")
    files = Path(next(s for s in tiny if s.startswith("paths.data=")).removeprefix("paths.data="))
    raw = set()
    for file in files.glob("marketplace-*/*/*.jsonl*"):
        raw |= users_of(file)
    assert {pseudonym(user, key, "user") for user in raw} >= set(mine)
    theirs = load_file(handed / "weights.safetensors")["user_embedding"]
    moved = load_file(artifacts["transfer"] / "weights.safetensors")["user_embedding"]
    for user in sorted(shared)[:10]:  # and their row of W_s is theirs in the target, too
        source_row = theirs[about["ids"]["users"].index(user)]
        torch.testing.assert_close(moved[mine.index(user)], source_row, rtol=0, atol=1e-5)

    for file in tmp_path.rglob("*"):
        if file.is_file():
            content = file.read_bytes()
            assert SALT.encode() not in content, file
            if file.suffix != ".safetensors":
                assert not any(user.encode() in content for user in sorted(raw)[:20]), file


def users_of(file: Path) -> set[str]:
    """The user ids in a file of reviews."""
    text = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
    rows = map(json.loads, text.splitlines())
    return {row["user_id"] for row in rows if "user_id" in row}
