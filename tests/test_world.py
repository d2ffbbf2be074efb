"""Runs that several processes share: what one finds, two find, and rank 0 alone writes."""

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crossrec import world
from crossrec.errors import UserError

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
STARTED = {"RANK": "1", "WORLD_SIZE": "4", "GROUP_WORLD_SIZE": "2", "TORCHELASTIC_RUN_ID": "x"}


def test_two_ranks_find_what_one_finds(
    command: Callable[..., Any], tiny: list[str], reader: Path, tmp_path: Path
) -> None:
    """The whole command by torchrun: equal metrics, equal curves within float error.

    The language model is pretrained in shards, and the recommenders as by trainer=ddp.
    """
    said = [setting for setting in tiny if setting not in ("encoder=none", "pretraining=off")]
    said += ["encoder=huggingface", f"encoder.model={reader}", "encoder.whiten_dim=8"]
    said += ["pretraining.max_steps=2", "pretraining.batch_tokens=64"]
    said += ["trainer.log_every_n_steps=1"]
    said += ["trainer.accelerator=cpu", "training.events_per_batch=64"]
    said += ["model.dropout=0", "model.past_dropout=0"]  # which ranks draw by themselves

    def where(name: str) -> list[str]:
        return [f"paths.artifacts={tmp_path / name}", f"hydra.run.dir={tmp_path / name}-run"]

    two = subprocess.Popen(
        [sys.executable, *TWO, "-m", "crossrec.train", *said, "trainer=fsdp", *where("two")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert command(*said, *where("one")).code == 0
    out, err = two.communicate(timeout=300)
    assert two.returncode == 0, err
    for told in ("pretrain   made", "source     made", "run folder:"):
        assert out.count(told) == 1
    # The number of ranks is no part of what pretraining depends on.
    pretrained = [path.name for path in (tmp_path / "one").glob("pretrain-*")]
    assert [path.name for path in (tmp_path / "two").glob("pretrain-*")] == pretrained
    assert not list((tmp_path / "two").glob(".*"))
    assert {path.name for path in (tmp_path / "one-run").iterdir()} == {
        path.name for path in (tmp_path / "two-run").iterdir()
    }
    for stage in ("pretrain", "source", "scratch", "transfer"):
        curves = [
            pl.read_csv(tmp_path / f"{name}-run" / "curves" / stage / "metrics.csv")
            for name in ("one", "two")
        ]
        assert curves[0].columns == curves[1].columns
        for column in {*curves[0].columns} - {"pretraining/tokens_per_second"}:
            first, second = (curve[column].drop_nulls().to_list() for curve in curves)
            assert first == pytest.approx(second, rel=1e-4), (stage, column)
    results = [pl.read_csv(tmp_path / f"{name}-run" / "results.csv") for name in ("one", "two")]
    ranking = pl.col("metric").str.contains("ndcg|recall|mrr|hit")
    first, second = (table.filter(ranking)["value"].to_list() for table in results)
    assert first == pytest.approx(second, nan_ok=True)


def test_a_sweep_of_several_processes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    from crossrec import train

    monkeypatch.setattr(sys, "argv", ["crossrec.train", "-m", "transfer.lambda=0,1"])
    with pytest.raises(SystemExit, match=r"4 processes were started for a sweep.*trainer=ddp"):
        train.command()


def test_what_torchrun_started(monkeypatch: pytest.MonkeyPatch) -> None:
    assert (world.n_ranks(), world.rank(), world.leads()) == (1, 0, True)
    monkeypatch.setenv("RANK", "1")  # of somebody else: torchrun sets all of them
    assert world.rank() == 0
    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    assert (world.n_ranks(), world.rank(), world.n_machines(), world.leads()) == (4, 1, 2, False)
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UserError, match="3 processes on 2 machines: start as many on each"):
        world.check_machines()


def test_what_slurm_started(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SLURM_NTASKS", "4")  # of a job's shell, which is one process
    monkeypatch.setenv("SLURM_PROCID", "0")
    assert world.n_ranks() == 1
    for name, value in {"STEP_NUM_TASKS": "4", "STEP_NUM_NODES": "2", "PROCID": "3"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    assert (world.n_ranks(), world.rank(), world.n_machines()) == (4, 3, 2)


def test_a_trainer_of_one_process_is_refused(
    tiny: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from crossrec.configuration.rehearsal import check_trainer
    from crossrec.stages.settings import Part

    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    part = Part({"accelerator": "cpu", "devices": 1, "strategy": "auto"}, lambda **_: None)
    with pytest.raises(UserError, match=re.escape("4 processes were started for one run")):
        check_trainer(part)


def test_how_ranks_share_a_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """By trainer=ddp one rank pretrains a language model, by trainer=fsdp all of them do."""
    from crossrec.stages.settings import Part
    from crossrec.stages.trainers import sharded, shards, strategy_of

    ddp, fsdp = (
        Part({"strategy": strategy}, lambda **_: None)
        for strategy in ("ddp_spawn_find_unused_parameters_true", "fsdp")
    )
    assert strategy_of(ddp) == "ddp_spawn_find_unused_parameters_true"
    assert strategy_of(fsdp) == "auto"  # one rank has everything
    alone = {"strategy": "auto", "devices": 1, "num_nodes": 1}
    assert sharded(fsdp) == sharded(ddp) == alone
    for name, value in STARTED.items():
        monkeypatch.setenv(name, value)
    assert strategy_of(ddp) == strategy_of(fsdp) == "ddp_find_unused_parameters_true"
    assert sharded(ddp) == alone
    assert (shards(ddp), shards(fsdp)) == (False, True)
    made = sharded(fsdp)
    assert type(made.pop("strategy")).__name__ == "ModelParallelStrategy"
    assert made == {"devices": 2, "num_nodes": 2}


def test_a_precision_that_shards_do_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    from functools import partial

    import lightning
    from lightning.pytorch.utilities import rank_zero_only

    from crossrec.configuration.rehearsal import check_trainer
    from crossrec.stages.settings import Part

    monkeypatch.setattr(rank_zero_only, "rank", 0)  # which a trainer sets for the whole process
    for name, value in (STARTED | {"WORLD_SIZE": "2", "LOCAL_RANK": "1"}).items():
        monkeypatch.setenv(name, value)
    refused, taken = (
        Part(
            {"accelerator": "cpu", "devices": 1, "strategy": "fsdp"},
            partial(lightning.Trainer, accelerator="cpu", precision=precision),
        )
        for precision in ("16-mixed", "bf16-mixed")
    )
    check_trainer(taken)
    with pytest.raises(UserError, match=r"trainer: .* precision among: 32-true, bf16-mixed"):
        check_trainer(refused)
