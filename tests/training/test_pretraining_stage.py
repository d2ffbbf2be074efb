"""Every objective by one word on the command line, and what the stage keeps, says and refuses."""

import json
import logging
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import hydra
import polars as pl
import pytest
import yaml
from hydra.core.global_hydra import GlobalHydra
from transformers import AutoModel

from crossrec.configuration.composing import CONF, compose
from crossrec.errors import UserError
from crossrec.stages.collecting import collect
from crossrec.stages.pretraining import NO_OPTIONS, pretrain_encoder
from crossrec.stages.staging import Staging
from crossrec.training.options import PretrainingOptions

Stage = Callable[..., tuple[Path, Staging]]


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def stage(tiny: list[str], reader: Path, artifacts: Path, tmp_path: Path) -> Stage:
    """Runs the stages up to pretraining with overrides; the language model and the staging."""
    said = [setting for setting in tiny if setting not in ("encoder=none", "pretraining=off")]
    said += ["encoder=huggingface", f"encoder.model={reader}", f"paths.artifacts={artifacts}"]

    def run(*overrides: str) -> tuple[Path, Staging]:
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            settings = compose(hydra.compose("train", [*said, *overrides]), tmp_path)
        staging = Staging(settings.artifacts)
        model = pretrain_encoder(settings, staging, collect(settings, staging))
        assert model is not None
        return model.folder, staging

    return run


def test_the_files_say_what_the_code_says() -> None:
    written = yaml.safe_load((CONF / "pretraining" / "default.yaml").read_text())
    assert {key: written.pop(key) for key in NO_OPTIONS} == {
        "enabled": True, "max_steps": 100, "corpus": None,
    }  # fmt: skip
    assert written == asdict(PretrainingOptions())


@pytest.mark.parametrize(
    ("said", "measured"),
    [
        (["pretraining=default"], ["accuracy", "perplexity"]),
        (["pretraining=field_masking"], ["accuracy", "perplexity"]),
        (["pretraining.packing=true"], ["accuracy", "perplexity"]),
        (["pretraining=simcse"], []),
        (["pretraining=cooccurrence"], []),
        (["pretraining=cooccurrence", "pretraining.language_weight=0.5"], ["perplexity"]),
    ],
    ids=" ".join,
)
def test_by_one_word(
    stage: Stage, caplog: pytest.LogCaptureFixture, said: list[str], measured: list[str]
) -> None:
    caplog.set_level(logging.INFO, "crossrec")
    folder, staging = stage(*said, "pretraining.max_steps=2", "pretraining.batch_tokens=256")
    account = json.loads((folder / "pretraining.json").read_text())
    assert account["steps"] == 2
    for name in measured:
        before, after = account[f"{name}_before"], account[f"{name}_after"]
        # Two steps teach a little; that a whole token is hit at once is a matter of luck.
        assert before > after > 1 if name == "perplexity" else min(before, after) >= 0
    assert measured or "perplexity_before" not in account
    before, after = account["retrieval_before"], account["retrieval_after"]
    assert set(before) == set(after) == {
        "source", "target", "source to target", "target to source",
    }  # fmt: skip
    for direction, found in after.items():
        assert found["ndcg@10_low"] <= found["ndcg@10"] <= found["ndcg@10_high"]
        assert f"beside an item, {direction}: ndcg@10 " in caplog.text
    assert AutoModel.from_pretrained(folder).config.hidden_size == 16
    assert not list(staging.store.folder.glob(".*"))


def test_the_run_and_its_logger_keep_what_was_measured(
    tiny: list[str], reader: Path, command: Callable[..., Any], tmp_path: Path
) -> None:
    said = [setting for setting in tiny if setting not in ("encoder=none", "pretraining=off")]
    said += ["encoder=huggingface", f"encoder.model={reader}", "pretraining.max_steps=2"]
    said += ["encoder.whiten_dim=8", "pretraining.batch_tokens=64", "logger=csv"]
    ran = command(*said, f"hydra.run.dir={tmp_path}")
    assert ran.code == 0, ran.err
    account = json.loads((tmp_path / "pretraining.json").read_text())
    curve = pl.read_csv(tmp_path / "curves" / "pretrain" / "metrics.csv")
    for name, measured in (
        ("valid/perplexity", "perplexity"),
        ("valid/accuracy", "accuracy"),
    ):
        logged = curve[name].drop_nulls().to_list()
        expected = [account[f"{measured}_{when}"] for when in ("before", "head", "after")]
        assert logged == pytest.approx([value for value in expected if value is not None])
    beside = curve.select("step", "valid/ndcg@10_target").drop_nulls().rows()
    assert beside == [
        (step, pytest.approx(account[f"retrieval_{when}"]["target"]["ndcg@10"]))
        for step, when in ((0, "before"), (2, "after"))
    ]
    before, after = account["accuracy_before"], account["accuracy_after"]
    assert f", accuracy {before:.3f} -> {after:.3f}" in ran.out


def test_how_often_it_is_saved_changes_no_artifact(stage: Stage) -> None:
    short = ["pretraining.max_steps=2", "pretraining.batch_tokens=64"]
    first, _ = stage(*short)
    assert stage(*short, "pretraining.checkpoint_every=1")[0] == first
    assert stage(*short, "pretraining.temperature=0.1")[0] != first


def test_a_corpus_is_tokenized_once(stage: Stage, artifacts: Path, tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("A lamp of oak\nA pan of steel\n")
    said = ["pretraining.max_steps=1", "pretraining.batch_tokens=64", f"pretraining.corpus={file}"]
    folder, staging = stage(*said)
    corpus = artifacts / staging.used["corpus"]
    assert json.loads((corpus / "tokens.json").read_text())["texts"] == 2
    moved = tmp_path / "elsewhere.txt"
    file.rename(moved)
    again, staging = stage(*said[:2], f"pretraining.corpus={moved}", "pretraining.mask_share=0.3")
    assert again != folder
    assert artifacts / staging.used["corpus"] == corpus
    moved.write_text("A lamp of oak\nA pan of steel\nAnd more\n")
    _, staging = stage(*said[:2], f"pretraining.corpus={moved}")
    assert artifacts / staging.used["corpus"] != corpus


def test_vectors_of_a_corpus_are_made_after_the_prefix(
    stage: Stage, artifacts: Path, tmp_path: Path
) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("A lamp\nA pan\n")
    tokens = {}
    for objective in ("simcse", "masked"):
        for prefix in ("''", "'a '"):
            said = [f"pretraining.objective={objective}", f"encoder.prefix={prefix}"]
            said += ["pretraining.max_steps=1", "pretraining.batch_tokens=64"]
            _, staging = stage(*said, f"pretraining.corpus={file}")
            account = json.loads((artifacts / staging.used["corpus"] / "tokens.json").read_text())
            tokens[objective, prefix] = account["tokens"]
    assert tokens["simcse", "'a '"] == tokens["simcse", "''"] + 2  # one in each text
    assert tokens["masked", "'a '"] == tokens["masked", "''"]


def test_a_corpus_that_nothing_reads_is_refused(stage: Stage, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("A lamp\n")
    said = ["pretraining=cooccurrence", f"pretraining.corpus={tmp_path / 'a.txt'}"]
    with pytest.raises(UserError, match=r"set pretraining.language_weight above 0"):
        stage(*said)
    with pytest.raises(UserError, match=r"none.txt does not exist: expected a .txt file"):
        stage(f"pretraining.corpus={tmp_path / 'none.txt'}")
