"""A killed pretraining goes on, and ends with the weights of one that was not, to the byte."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import hydra
import numpy as np
import pytest
from hydra.core.global_hydra import GlobalHydra
from safetensors import safe_open

from crossrec.configuration.composing import CONF, compose
from crossrec.stages.collecting import collect
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.staging import Staging
from crossrec.training import language_model_training
from crossrec.training.checkpoint import Checkpoint, read_checkpoint
from crossrec.training.material import Material
from crossrec.training.text_histories import TextHistories

Learn = Callable[..., dict[str, Any]]
OBJECTIVES: dict[str, dict[str, Any]] = {
    "masked": {},
    "masked accumulated": {"trainer": {"accumulate_grad_batches": 2}},
    "lora": {"lora_rank": 2},
    "simcse": {"objective": "simcse", "language_weight": 0.5},
    "cooccurrence": {"objective": "cooccurrence"},
    "packed": {"packing": True, "max_length": 16, "batch_tokens": 64},
}


class Killed(Exception):
    """Stands for the end of a process."""


def material(texts: list[str]) -> Material:
    """Ten people with six texts each."""
    codes = np.arange(60) * 7 % len(texts)
    return Material(texts, histories=TextHistories(texts, codes, codes % 2, np.arange(0, 61, 6)))


def die_after(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends when a checkpoint of this step is written."""
    write = language_model_training.write_checkpoint

    def dying(file: Path, partial: Path, checkpoint: Checkpoint) -> None:
        write(file, partial, checkpoint)
        if checkpoint.step == step:
            raise Killed

    monkeypatch.setattr(language_model_training, "write_checkpoint", dying)


@pytest.mark.parametrize("name", OBJECTIVES)
def test_the_weights_are_those_of_an_undisturbed_run(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:  # fmt: skip
    options = {"learning_rate": 1e-3, "batch_tokens": 128, "checkpoint_every": 2}
    options |= OBJECTIVES[name]
    read, file = material(texts), tmp_path / "checkpoint"
    whole = learn(read, bert, tmp_path / "whole", 9, **options)
    for step in (2, 6):  # killed twice; a fresh head learns alone for 3 steps
        with monkeypatch.context() as patch:
            die_after(step, patch)
            with pytest.raises(Killed):
                learn(read, bert, tmp_path / "killed", 9, checkpoint=file, **options)
    resumed = learn(read, bert, tmp_path / "killed", 9, checkpoint=file, **options)
    first, second = (tmp_path / name / "model.safetensors" for name in ("whole", "killed"))
    assert first.read_bytes() == second.read_bytes()
    for account in (whole, resumed):
        assert account.pop("seconds") > 0
    assert whole == resumed
    assert not (tmp_path / "killed" / "checkpoint.partial").exists()


def test_a_checkpoint_is_safetensors_and_json(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path
) -> None:
    file = tmp_path / "checkpoint"
    learn(texts, bert, tmp_path / "out", 3, checkpoint=file, checkpoint_every=2, head_share=0.0)
    with safe_open(file, framework="pt") as stored:
        names = set(stored.keys())
        assert set(stored.metadata()) == {"state", "sha256"}
    assert {name.split(":")[0] for name in names} == {"weight", "moment"}
    assert {name.rpartition(".")[2] for name in names if name.startswith("moment")} == {
        "step", "exp_avg", "exp_avg_sq",
    }  # fmt: skip
    read = read_checkpoint(file)
    assert read is not None
    assert read.step == 2
    assert read.account["measures"]["perplexity_before"] > 1


def test_a_damaged_checkpoint_is_said_and_left(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "checkpoint"
    file.write_bytes(b"half of it")
    account = learn(texts, bert, tmp_path / "out", 2, checkpoint=file)
    assert account["steps"] == 2
    assert "is damaged" in caplog.text
    assert read_checkpoint(tmp_path / "none") is None


def test_a_killed_command_goes_on(
    command: Callable[..., Any], tiny: list[str], reader: Path, tmp_path: Path
) -> None:
    """SIGKILL after the first checkpoint; the same command again; and the artifact of a run that
    nothing happened to."""
    said = [setting for setting in tiny if setting not in ("encoder=none", "pretraining=off")]
    said += ["encoder=huggingface", f"encoder.model={reader}", "encoder.whiten_dim=8",
             "pretraining=cooccurrence", "pretraining.batch_tokens=256",
             "pretraining.checkpoint_every=3", "trainer.max_epochs=1"]  # fmt: skip
    where = [f"paths.artifacts={tmp_path / 'killed'}", f"hydra.run.dir={tmp_path / 'run'}"]
    steps = "pretraining.max_steps=8"
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, *said, steps, *where],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )
    assert process.wait(timeout=120) == -signal.SIGKILL
    left = [path.name for path in (tmp_path / "killed").glob(".pretrain-*.safetensors")]
    assert len(left) == 1
    ran = command(*said, steps, *where)
    assert ran.code == 0, ran.err
    assert not list((tmp_path / "killed").glob(".*"))
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        settings = compose(hydra.compose("train", [*said, steps]), tmp_path)
    staging = Staging(tmp_path / "whole")
    undisturbed = replace(settings, artifacts=tmp_path / "whole")
    pretrain_encoder(undisturbed, staging, collect(undisturbed, staging))
    one, other = (
        next((tmp_path / name).glob("pretrain-*/model.safetensors")) for name in ("killed", "whole")
    )
    assert one.parent.name == other.parent.name
    assert one.read_bytes() == other.read_bytes()
    assert "beside an item, source: ndcg@10" in ran.out


KILLED = """
import os, signal, sys
from crossrec import train
from crossrec.training import language_model_training as training

write = training.write_checkpoint

def dying(file, partial, checkpoint):
    write(file, partial, checkpoint)
    if checkpoint.step == 3:
        os.kill(os.getpid(), signal.SIGKILL)

training.write_checkpoint = dying
train.command()
"""
