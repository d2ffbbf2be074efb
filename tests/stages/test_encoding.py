"""The stage in which a language model reads the items, through the command line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra

import crossrec.stages.encoding
from crossrec.configuration.composing import CONF, compose
from crossrec.encoders.language_model import LanguageModel
from crossrec.stages.collecting import collect
from crossrec.stages.staging import Staging

Command = Callable[..., Any]


def counts(out: str) -> tuple[str, ...]:
    """New texts, all texts and texts from the cache, as the log says."""
    found = re.search(r"encoded ([\d,]+) new of ([\d,]+) texts \(([\d,]+) from cache\)", out)
    assert found, out
    return found.groups()


def test_vectors_from_the_cache_give_the_numbers_of_a_run_without_one(
    command: Command, tiny: list[str], reader: Path, tmp_path: Path
) -> None:
    settings = [
        *(setting for setting in tiny if setting != "encoder=none"),
        "encoder=huggingface",
        f"encoder.model={reader}",
        "encoder.pooling=weighted",
        "encoder.layers=[0,-1]",
        "encoder.prefix='item: '",
        "encoder.max_length=auto",
        "encoder.dtype=int8",
    ]

    def run(name: str, artifacts: str, *more: str) -> tuple[str, ...]:
        folders = f"paths.artifacts={tmp_path / artifacts}", f"hydra.run.dir={tmp_path / name}"
        ran = command(*settings, *folders, *more)
        assert ran.code == 0, ran.err
        return counts(ran.out)

    new, texts, cached = run("first", "shared", "encoder.whiten_dim=8")
    assert new == texts
    assert cached == "0"
    assert run("second", "shared", "encoder.whiten_dim=4") == ("0", texts, texts)
    assert run("alone", "other", "encoder.whiten_dim=4") == (texts, texts, "0")
    second, alone = (tmp_path / name / "results.csv" for name in ("second", "alone"))
    assert second.read_bytes() == alone.read_bytes()


def test_as_many_processes_read_as_train(
    tiny: list[str], reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Asked(Exception):
        pass

    def write(*_: Any, workers: int, **__: Any) -> None:
        raise Asked(workers)

    monkeypatch.setattr(crossrec.stages.encoding, "write_content", write)
    settings = [setting for setting in tiny if setting != "encoder=none"]
    settings += ["encoder=huggingface", f"encoder.model={reader}", f"paths.artifacts={tmp_path}"]
    ddp = ["trainer=ddp", "trainer.accelerator=cpu"]
    for said, workers in (
        ([], 1),
        (["encoder.workers=3"], 3),
        (ddp, 2),
        ([*ddp, "trainer.devices='4'"], 4),
        ([*ddp, "encoder.workers=1"], 1),
        (["trainer.devices=auto"], 1),
    ):
        GlobalHydra.instance().clear()
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            made = compose(hydra.compose("train", [*settings, *said]), tmp_path)
        staging = Staging(made.artifacts)
        data = collect(made, staging)
        with pytest.raises(Asked, match=f"^{workers}$"):
            crossrec.stages.encoding.encode_texts(
                made, staging, data, LanguageModel(reader, "mean")
            )
