"""The language model inside the recommender, through the command."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from safetensors.torch import load_file

Command = Callable[..., Any]
PART = "content.encoder."


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the runs of this file share."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture
def settings(tiny: list[str], reader: Path, shared: Path) -> list[str]:
    """A run whose language model has one layer, and learns."""
    return [
        *(setting for setting in tiny if setting != "encoder=none"),
        "encoder=huggingface",
        f"encoder.model={reader}",
        "encoder.whiten_dim=8",
        "end_to_end=last_layers",
        "end_to_end.texts_per_step=8",
        f"paths.artifacts={shared}",
    ]


def weights(shared: Path, out: str, stage: str) -> dict[str, torch.Tensor]:
    name = re.findall(rf"{stage} +(?:made|reused) (\S+)", out)[-1]
    return load_file(shared / name / "weights.safetensors")


@pytest.mark.parametrize("model", ["two_tower", "sasrec"])
def test_what_learned_in_the_source_is_carried_and_pulled_to(
    command: Command, settings: list[str], shared: Path, tmp_path: Path, model: str
) -> None:
    run = [*settings, f"model={model}", f"hydra.run.dir={tmp_path}"]
    ran = command(*run, "transfer.lambda=1e8", "transfer.mu=0.5")
    assert ran.code == 0, ran.err
    source, target = (weights(shared, ran.out, stage) for stage in ("source", "transfer"))
    parts = [name for name in source if name.startswith(PART)]
    assert len(parts) == 2 * 6  # A and B of the layer's six linear maps
    assert any(source[name].any() for name in parts if name.endswith(".B"))
    for name in parts:
        assert torch.allclose(target[name], 0.5 * source[name], atol=1e-6)
    results = pl.read_csv(tmp_path / "results.csv")
    assert {"scratch", "zero-shot", "transferred"} <= set(results["model"])

    again = command(*run, "transfer.lambda=1", "end_to_end.scale=0.1")
    assert again.code == 0, again.err
    said = dict(re.findall(r"(states|encode|source|transfer) +(made|reused) ", again.out))
    assert said == {
        "encode": "reused",
        "states": "reused",
        "source": "made",
        "transfer": "made",
    }


def test_with_lora_the_towers_learn_low_rank_and_the_language_model_stays_the_sources(
    command: Command, settings: list[str], shared: Path, tmp_path: Path
) -> None:
    ran = command(*settings, "transfer=lora", "transfer.rank=1", f"hydra.run.dir={tmp_path}")
    assert ran.code == 0, ran.err
    source, target = (weights(shared, ran.out, stage) for stage in ("source", "transfer"))
    assert sum(name.startswith(PART) for name in source) == 2 * 6
    for name in source:
        if name.startswith(PART):
            assert torch.equal(target[name], source[name])
    moved = torch.linalg.svdvals(target["adapter.weight"] - source["adapter.weight"])
    assert moved[0] > 1e-4 > 1e-6 > moved[1:].sum()


def test_the_same_command_gives_the_same_numbers(
    command: Command, settings: list[str], tmp_path: Path
) -> None:
    runs = [tmp_path / name for name in "ab"]
    for run in runs:  # with artifacts of its own, so that nothing is reused
        where = [f"paths.artifacts={run}/artifacts", f"hydra.run.dir={run}"]
        assert command(*settings[:-1], *where).code == 0
    assert (runs[0] / "results.csv").read_bytes() == (runs[1] / "results.csv").read_bytes()


@pytest.mark.parametrize(
    ("change", "advice"),
    [
        ("encoder=none", "choose an encoder"),
        ("model=mf", "does not read content"),
        ("end_to_end.layers=2", "has 1 layers"),
        ("end_to_end.rank=0", "end_to_end.rank must be"),
    ],
)
def test_what_cannot_learn_is_refused(
    command: Command, settings: list[str], tmp_path: Path, change: str, advice: str
) -> None:
    if change == "encoder=none":
        settings = [setting for setting in settings if not setting.startswith("encoder")]
    ran = command(*settings, change, f"hydra.run.dir={tmp_path}")
    assert ran.code != 0
    assert advice in ran.err
    assert "Traceback" not in ran.err
