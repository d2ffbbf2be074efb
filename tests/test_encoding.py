"""The stage in which a language model reads the items, through the command line."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

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
