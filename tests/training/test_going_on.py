"""A killed training of a recommender goes on at an epoch, and ends with the bits it would have."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import pytest
import torch
from lightning.pytorch.loggers import CSVLogger
from torch import Tensor, nn

from crossrec.data.pair import DomainPair
from crossrec.encoders.content import Content
from crossrec.models.interface import Recommender
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training import resuming
from crossrec.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from crossrec.training.fitting import build_model, fit_source, fit_target
from crossrec.training.objectives import BPR, Softmax
from crossrec.training.pair_training import fit_pair
from crossrec.training.resuming import Progress, stored_in
from crossrec.training.watching import Watch
from crossrec.transfer.content.dann import DANN
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.pair_model import PairModel
from crossrec.transfer.parameters.l2_sp import L2SP
from crossrec.transfer.parameters.lora import LoRA
from crossrec.transfer.parameters.unfreeze import Unfreeze
from crossrec.transfer.preferences.cmf import CMF
from crossrec.transfer.preferences.dcdcsr import DCDCSR
from crossrec.transfer.preferences.emcdr import EMCDR

TRAINING = {
    "learning_rate": 0.01,
    "weight_decay": 0.01,
    "events_per_batch": 64,
    "averaging": 0,
    "patience": 3,
}
EPOCHS = 6
Fit = Callable[[Callable[..., L.Trainer], Progress | None], tuple[nn.Module, dict[str, Any]]]


class Killed(Exception):
    """Stands for the end of a process."""


@pytest.fixture(scope="module")
def source_weights(small_pair: DomainPair) -> dict[str, Tensor]:
    model = tower(small_pair, "source")
    return {name: p.detach().clone() for name, p in model.named_parameters()}


def tower(pair: DomainPair, side: str) -> Recommender:
    domain = getattr(pair, side)
    content = torch.randn(domain.n_items + domain.n_context, 6, generator=torch.manual_seed(9))
    return build_model(lambda **sizes: TwoTower(dim=8, hidden=16, **sizes), domain, content, 0)


def sasrec(pair: DomainPair, make_trainer: Any, progress: Progress | None) -> Any:
    """Dropout and drawn negatives: every step takes random numbers."""
    model = build_model(
        lambda **sizes: SASRec(dim=8, dropout=0.3, max_history=6, **sizes), pair.source, None, 0
    )
    return model, fit_source(model, pair.source, BPR(), make_trainer, TRAINING, 0, progress)


def uneven(pair: DomainPair, make_trainer: Any, progress: Progress | None) -> Any:
    """Epochs of more, and of fewer, batches than the first has."""
    model = build_model(lambda **sizes: SASRec(dim=8, **sizes), pair.target, None, 0)
    training = TRAINING | {"events_per_batch": 32}
    return model, fit_source(model, pair.target, Softmax(), make_trainer, training, 6, progress)


def averaged(pair: DomainPair, make_trainer: Any, progress: Progress | None) -> Any:
    """The average of the weights goes on, too, and the weights beside it."""
    model = tower(pair, "source")
    training = TRAINING | {"averaging": 0.9}
    return model, fit_source(model, pair.source, Softmax(), make_trainer, training, 0, progress)


def carrying(method: Callable[[], TransferMethod]) -> Callable[..., Any]:
    def run(
        pair: DomainPair, weights: dict[str, Tensor], make_trainer: Any, progress: Progress | None
    ) -> Any:
        model = tower(pair, "target")
        account = fit_target(
            model, pair, pair.target, weights, method(), Softmax(), make_trainer, TRAINING, 0,
            progress=progress,
        )  # fmt: skip
        return model, account

    return run


def network(make: Callable[[], PairModel]) -> Callable[..., Any]:
    def run(
        pair: DomainPair, weights: dict[str, Tensor], make_trainer: Any, progress: Progress | None
    ) -> Any:
        model = make()
        content = Content(None, None, None)
        return model, fit_pair(model, pair, content, BPR, make_trainer, TRAINING, 0, progress)

    return run


WAYS = {
    "sasrec": lambda pair, weights, make_trainer, progress: sasrec(pair, make_trainer, progress),
    "uneven": lambda pair, weights, make_trainer, progress: uneven(pair, make_trainer, progress),
    "averaged": lambda pair, weights, make_trainer, progress: averaged(
        pair, make_trainer, progress
    ),
    "l2_sp": carrying(lambda: L2SP(0.1)),
    "lora": carrying(lambda: LoRA(rank=2, dropout=0.2)),
    "unfreeze": carrying(lambda: Unfreeze(every=2)),
    "dann": carrying(lambda: DANN(hidden=4, warm_up=9)),
    "cmf": network(lambda: CMF(dim=4)),
    "emcdr in phases": network(lambda: EMCDR(dim=4)),
    "dcdcsr in phases": network(lambda: DCDCSR(dim=4)),
}


def trainer(folder: Path, seen: list[float]) -> Callable[..., L.Trainer]:
    def make(callbacks: list[L.Callback]) -> L.Trainer:
        watch = Watch(lambda metric, best, count: seen.append(best))
        return L.Trainer(
            accelerator="cpu",
            max_epochs=EPOCHS,
            callbacks=[*callbacks, watch],
            logger=CSVLogger(folder, name="", version=""),
            log_every_n_steps=2,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            num_sanity_val_steps=0,
            use_distributed_sampler=False,
        )

    return make


def die_at(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process ends right after a checkpoint has been written for the so-and-so-many-th time."""
    write, left = resuming.write_checkpoint, [number]

    def dying(file: Path, partial: Path, checkpoint: Checkpoint) -> None:
        write(file, partial, checkpoint)
        left[0] -= 1
        if not left[0]:
            raise Killed

    monkeypatch.setattr(resuming, "write_checkpoint", dying)


@pytest.mark.parametrize("name", WAYS)
def test_the_weights_are_those_of_an_undisturbed_training(
    small_pair: DomainPair, larger_pair: DomainPair, source_weights: dict[str, Tensor],
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str,
) -> None:  # fmt: skip
    way, pair = WAYS[name], larger_pair if name == "uneven" else small_pair
    whole, account = way(pair, source_weights, trainer(tmp_path / "a", []), None)
    progress = Progress(tmp_path / "progress", tmp_path / "partial", 0)
    deaths = 0
    for number in (1, 2, 3):  # each of them later than the one before
        with monkeypatch.context() as patch:
            die_at(number, patch)
            random.seed(number)
            torch.manual_seed(number)  # another process has other random numbers
            try:
                way(pair, source_weights, trainer(tmp_path / f"b{number}", []), progress)
            except Killed:
                deaths += 1
    assert deaths >= 2
    torch.manual_seed(99)
    resumed, same = way(pair, source_weights, trainer(tmp_path / "c", []), progress)
    assert same == account
    one, other = dict(whole.named_parameters()), dict(resumed.named_parameters())
    assert one.keys() == other.keys()
    assert all(torch.equal(one[key], other[key]) for key in one)
    curves = [(tmp_path / folder / "metrics.csv").read_bytes() for folder in "ac"]
    assert curves[0] == curves[1]
    assert not progress.partial.exists()


def test_what_watches_a_training_is_told_of_no_epoch_twice(
    small_pair: DomainPair, source_weights: dict[str, Tensor], tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    way = WAYS["l2_sp"]
    whole: list[float] = []
    way(small_pair, source_weights, trainer(tmp_path, whole), None)
    progress = Progress(tmp_path / "progress", tmp_path / "partial", 0)
    seen: list[float] = []
    die_at(3, monkeypatch)
    with pytest.raises(Killed):
        way(small_pair, source_weights, trainer(tmp_path, seen), progress)
    assert len(seen) == 3
    way(small_pair, source_weights, trainer(tmp_path, seen), progress)
    assert seen == whole


def test_no_checkpoint_is_written_before_it_is_due(
    small_pair: DomainPair, source_weights: dict[str, Tensor], tmp_path: Path
) -> None:
    progress = Progress(tmp_path / "progress", tmp_path / "partial", 60)
    WAYS["l2_sp"](small_pair, source_weights, trainer(tmp_path, []), progress)
    assert not progress.file.exists()


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    state = {
        "loops": {"epoch": 3, "done": [True, None, 1.5, float("inf")]},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(2.0)}}, "betas": (0.9, 0.99)}],
        "global_step": 7,
        "tied": [torch.arange(3), torch.arange(3)[1:]],
    }
    file = tmp_path / "checkpoint"
    resuming.SafeCheckpoints(tmp_path / "partial").save_checkpoint(state, file)
    found = stored_in(file)
    assert found is not None
    assert found["loops"] == state["loops"]
    assert found["optimizer_states"][0]["betas"] == (0.9, 0.99)
    assert torch.equal(found["optimizer_states"][0]["state"][0]["step"], torch.tensor(2.0))
    assert torch.equal(found["tied"][1], torch.tensor([1, 2]))
    with pytest.raises(TypeError, match="plain values, not a PosixPath"):
        resuming.SafeCheckpoints(tmp_path / "partial").save_checkpoint(
            {"global_step": 0, "a": tmp_path}, file
        )


@pytest.mark.parametrize("place", [20, -3])  # in the header, in a tensor
def test_a_flipped_byte_in_a_checkpoint_is_noticed(
    tmp_path: Path, place: int, caplog: pytest.LogCaptureFixture
) -> None:
    file = tmp_path / "checkpoint"
    write_checkpoint(file, tmp_path / "partial", Checkpoint(1, {"w": torch.ones(9)}, {}))
    assert read_checkpoint(file) is not None
    content = bytearray(file.read_bytes())
    content[place] ^= 1
    file.write_bytes(content)
    assert read_checkpoint(file) is None
    assert "is damaged" in caplog.text


def test_a_killed_command_goes_on(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed after the second epoch of the source, and after the second of scratch."""
    settings = [*tiny, "trainer.max_epochs=4", "training.checkpoint_minutes=0"]

    def run(name: str) -> Any:
        return command(
            *settings, f"paths.artifacts={tmp_path / name}", f"hydra.run.dir={tmp_path / name}/run"
        )

    for number in (2, 4):  # the source has one checkpoint more to write
        with monkeypatch.context() as patch:
            die_at(number, patch)
            with pytest.raises(Killed):
                run("killed")
    left = [path.name.split("-")[0] for path in (tmp_path / "killed").glob(".*.safetensors")]
    assert left == [".scratch"]
    ran = run("killed")
    assert ran.code == 0, ran.err
    assert "source     reused" in ran.out
    assert not list((tmp_path / "killed").glob(".*"))
    settings.remove("training.checkpoint_minutes=0")  # no input of what is made
    assert run("whole").code == 0
    for stage in ("source", "scratch", "transfer"):
        one, other = (next((tmp_path / n).glob(f"{stage}-*")) for n in ("killed", "whole"))
        assert one.name == other.name
        for file in ("weights.safetensors", "training.json", "metrics.csv"):
            assert (one / file).read_bytes() == (other / file).read_bytes()
    results = [(tmp_path / n / "run" / "results.csv").read_bytes() for n in ("killed", "whole")]
    assert results[0] == results[1]
