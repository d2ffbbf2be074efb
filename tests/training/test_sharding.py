"""Two ranks pretrain a language model in shards, and end with what one rank ends with."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import lightning
import numpy as np
import pytest
import torch
from torch.distributed.tensor import DTensor
from transformers import AutoModel

from crossrec import world
from crossrec.encoders.token_batches import Batch
from crossrec.stages.settings import Part
from crossrec.stages.trainers import sharded
from crossrec.training.checkpoint import read_checkpoint
from crossrec.training.language_modeling import shared
from crossrec.training.material import Material
from crossrec.training.options import PretrainingOptions
from crossrec.training.pretraining import pretrain
from crossrec.training.sharding import Share
from crossrec.training.text_histories import TextHistories

TWO = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
STEPS = 4
CASES: dict[str, dict[str, Any]] = {
    "masked": {"checkpoint_every": 3},  # a fresh head, which learns alone at first
    "resumed": {"checkpoint_every": 3},  # from what one rank wrote
    "lora": {"lora_rank": 2, "trainable_layers": 1},
    "cooccurrence": {"objective": "cooccurrence", "language_weight": 0.5},
    "packed": {"packing": True, "max_length": 16, "batch_tokens": 48},  # 3 rows: 2 and 1
    "simcse": {"objective": "simcse"},
}
TRAINER: dict[str, dict[str, Any]] = {
    "lora": {"accumulate_grad_batches": 2, "gradient_clip_val": 0.1},
    "simcse": {"precision": "bf16-mixed"},
}
MODEL = {"packed": "gpt"}


class Held(lightning.Callback):
    """Counts the numbers of the network's weights and of their moments that lie on this rank."""

    def on_train_end(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        moments = trainer.optimizers[0].state.values()
        tensors = [*module.parameters(), *(state["exp_avg"] for state in moments)]
        self.numbers = sum((t.to_local() if isinstance(t, DTensor) else t).numel() for t in tensors)


def run(name: str, given: Path, output: Path, checkpoint: Path) -> dict[str, Any]:
    """Pretrain a case; all that a rank has to do."""
    trainer = lightning.Trainer(
        accelerator="cpu",
        callbacks=[held := Held()],
        max_steps=STEPS,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        use_distributed_sampler=False,
        **sharded(Part({"strategy": "fsdp"}, lightning.Trainer)),
        **TRAINER.get(name, {}),
    )
    texts = json.loads((given / "texts.json").read_text())
    people = np.random.default_rng(0).permuted(np.tile(np.arange(100), (60, 1)), axis=1)[:, :6]
    histories = TextHistories(
        sorted(texts), people.flatten() * 4, np.arange(360) % 2, np.arange(61) * 6
    )
    account = pretrain(
        Material(texts, histories=histories),
        given / MODEL.get(name, "bert"),
        output,
        trainer,
        PretrainingOptions(**CASES[name]),
        checkpoint=checkpoint if "checkpoint_every" in CASES[name] else None,
    )
    taken = trainer.fit_loop.epoch_loop.batch_progress.total.completed
    return {**account, "batches": taken, "held": held.numbers}


def run_all(given: Path, folder: Path) -> None:
    """Pretrain every case; rank 0 keeps the account."""
    for name in CASES:
        output = folder / f"{world.rank()}" / name
        output.mkdir(parents=True)
        account = run(name, given, output, folder / f"{name}.safetensors")
        (output / "account.json").write_text(json.dumps(account))


def measures(account: dict[str, Any]) -> dict[str, float]:
    """The numbers of an account, but how long it took."""
    flat: dict[str, float] = {}
    for key, value in account.items():
        if isinstance(value, dict):
            flat |= {f"{key} {name}": found for name, found in measures(value).items()}
        elif value is not None and key != "seconds":
            flat[key] = value
    return flat


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(AutoModel.from_pretrained(folder).state_dict())


def apart(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> float:
    """The largest difference of two networks' weights."""
    assert first.keys() == second.keys()
    return max(float((first[key] - second[key]).abs().max()) for key in first)


def test_two_ranks_learn_what_one_learns(
    bert: Path, gpt: Path, texts: list[str], tmp_path: Path
) -> None:
    given, one, two = (tmp_path / name for name in ("given", "one", "two"))
    shutil.copytree(bert, given / "bert")
    shutil.copytree(gpt, given / "gpt")
    (given / "texts.json").write_text(json.dumps(texts))
    run_all(given, one)
    two.mkdir()
    shutil.copy(one / "masked.safetensors", two / "resumed.safetensors")
    process = subprocess.run(
        [sys.executable, *TWO, __file__, given, two],
        capture_output=True,
        text=True,
        timeout=300,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert process.returncode == 0, process.stderr
    assert "Warning" not in process.stderr

    for name in CASES:
        first, second = (
            measures(json.loads((folder / "0" / name / "account.json").read_text()))
            for folder in (one, two)
        )
        taken = first.pop("batches"), second.pop("batches")
        assert taken == ((4, 1) if name == "resumed" else (8, 8) if name == "lora" else (4, 4))
        assert second.pop("held") < 0.55 * first.pop("held")
        if name == "simcse":  # whose ranks draw by themselves what they drop
            assert first.keys() == second.keys()
            first, second = (
                {key: found[key] for key in found if not key.startswith("retrieval_after")}
                for found in (first, second)
            )
        assert any(key.startswith("retrieval_before source to target ndcg@10") for key in first)
        assert second == pytest.approx(first, rel=1e-5, abs=1e-6), name
        assert not list((two / "1" / name).glob("*.safetensors"))  # rank 0 alone writes
        expected, found = weights(one / "0" / name), weights(two / "0" / name)
        assert apart(found, expected) < 2e-6 or name == "simcse", name
        assert apart(found, weights(given / MODEL.get(name, "bert"))) > 1e-5

    left = read_checkpoint(two / "masked.safetensors")
    assert left is not None
    assert left.step == 3
    again = tmp_path / "masked"
    again.mkdir()
    assert run("masked", given, again, two / "masked.safetensors")["batches"] == 1
    # One rank goes on from what two wrote.
    assert apart(weights(again), weights(one / "0" / "masked")) < 2e-6


def test_every_row_counts_once() -> None:
    """Five rows for two ranks: the second reads a row again, which does not count."""
    dealt = [Share(rank, 2).rows(5, torch.device("cpu")) for rank in (0, 1)]
    assert [rows.tolist() for rows, _ in dealt] == [[0, 2, 4], [1, 3, 0]]
    assert [counts.tolist() for _, counts in dealt] == [[True] * 3, [True, True, False]]
    rows, counts = Share(3, 4).rows(1, torch.device("cpu"))
    assert (rows.tolist(), counts.tolist()) == ([0], [False])


def test_the_texts_of_packed_rows() -> None:
    """Rows of texts of 2 + 1, of 3, and of 1 + 2 tokens; the second of two ranks has one row."""
    batch = Batch(
        ids=torch.arange(9).view(3, 3),
        attention=torch.zeros(3, 1, 3, 3),
        targets=torch.full((3, 3), 7),
        positions=torch.tensor([[0, 1, 0], [0, 1, 2], [0, 0, 1]]),
        lengths=torch.tensor([2, 1, 3, 1, 2]),
    )
    assert batch.texts.tolist() == [2, 1, 2]
    mine, counts = shared(batch, Share(1, 2))
    assert mine.ids.tolist() == [[3, 4, 5], [0, 1, 2]]
    assert mine.targets.tolist() == [[7, 7, 7], [-100, -100, -100]]
    assert mine.lengths is not None
    assert mine.lengths.tolist() == [3, 2, 1]
    assert counts.tolist() == [True, False, False]


if __name__ == "__main__":
    world.join("cpu")
    run_all(*map(Path, sys.argv[1:]))
