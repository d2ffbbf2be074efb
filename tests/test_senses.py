"""Several modalities through the command: what is made, what is reused, and what is refused."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from PIL import Image
from safetensors.numpy import load_file

Command = Callable[..., Any]
SHORT = ["content.image.max_steps=3", "content.audio.max_steps=3"]


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the runs of this file share."""
    return tmp_path_factory.mktemp("artifacts")


def stages(out: str) -> dict[str, str]:
    return dict(re.findall(r"\] ([a-z-]+) +(made|reused) ", out))


def test_texts_pictures_and_sounds_of_the_marketplace(
    command: Command, tiny: list[str], shared: Path, reader: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    ran = command(
        *(setting for setting in tiny if setting != "encoder=none"),
        "encoder=huggingface",
        f"encoder.model={reader}",
        "encoder.whiten_dim=8",
        "content=[text,image,audio]",
        *SHORT,
        f"paths.artifacts={shared}",
        f"hydra.run.dir={run}",
    )
    assert ran.code == 0, ran.err
    made = stages(ran.out)
    parts = ("encode", "encode-image", "encode-audio")
    assert {"pretrain-image", "pretrain-audio", *parts} <= made.keys()
    assert "pictures of 60 of 60 items" in ran.out
    record = json.loads((run / "record.json").read_text())["artifacts"]
    for name in parts:
        vectors = load_file(shared / record[name] / "content.safetensors")
        assert {len(vectors["source"]), len(vectors["target"])} == {30}
    assert (shared / record["pretrain-image"] / "preprocessor_config.json").is_file()

    # The pictures of a run with one modality are those of a run with several; texts are not read.
    alone = command(
        *tiny,
        "encoder=minilm",
        "content=[image]",
        SHORT[0],
        f"paths.artifacts={shared}",
        f"hydra.run.dir={tmp_path / 'alone'}",
    )
    assert alone.code == 0, alone.err
    assert stages(alone.out)["encode-image"] == "reused"
    assert "encode" not in stages(alone.out)
    assert stages(alone.out)["transfer"] == "made"


@pytest.mark.parametrize("fusion", ["gate", "mixture"])
def test_fusions_train_models_of_their_own(
    command: Command, tiny: list[str], shared: Path, tmp_path: Path, fusion: str
) -> None:
    ran = command(
        *tiny,
        "content=[image,audio]",
        f"content.fusion={fusion}",
        *SHORT,
        f"paths.artifacts={shared}",
        f"hydra.run.dir={tmp_path}",
    )
    assert ran.code == 0, ran.err
    assert stages(ran.out)["transfer"] == "made"
    record = json.loads((tmp_path / "record.json").read_text())["artifacts"]
    weights = load_file(shared / record["transfer"] / "weights.safetensors")
    assert {"gate": "adapter.gates", "mixture": "adapter.experts.weight"}[fusion] in weights


def domain(folder: Path, named: bool = True) -> Path:
    """Thirty users with six of twenty-four items; pictures of most items lie beside the table."""
    folder.mkdir()
    rng = np.random.default_rng(ord(folder.name))
    events = [
        {"user_id": f"u{user}", "item_id": f"{folder.name}{item}", "rating": 5.0, "timestamp": time}
        for user in range(30)
        for time, item in enumerate(rng.permutation(24)[:6])
    ]
    pl.DataFrame(events).write_parquet(folder / "interactions.parquet")
    items = [f"{folder.name}{item}" for item in range(24)]
    for item in items[:20]:
        pixels = rng.integers(256, size=(20, 20, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{item}.jpg")
    (folder / f"{items[0]}.jpg").write_bytes(folder.name.encode())
    table = {"item_id": items, "title": [f"{'red' if n % 2 else 'blue'} pan" for n in range(24)]}
    if named:
        table["image"] = [f"{item}.jpg" for item in items]
    pl.DataFrame(table).write_parquet(folder / "items.parquet")
    return folder


def settings(folder: Path, source: Path, target: Path) -> list[str]:
    return [
        "+experiment=table_pair",
        f"data.source={source}",
        f"data.target={target}",
        "encoder=none",
        "trainer.max_epochs=1",
        f"paths.artifacts={folder / 'artifacts'}",
        f"hydra.run.dir={folder / 'run'}",
    ]


def test_pictures_beside_ones_own_tables(command: Command, tmp_path: Path) -> None:
    pair = settings(tmp_path, domain(tmp_path / "a"), domain(tmp_path / "b"))
    ran = command(*pair, "content=[image]", "content.image.max_steps=2")
    assert ran.code == 0, ran.err
    assert "pictures of 40 of 48 items (8 name a file that is not there)" in ran.out
    assert "2 damaged files count as missing" in ran.out + ran.err
    record = json.loads((tmp_path / "run" / "record.json").read_text())["artifacts"]
    vectors = load_file(tmp_path / "artifacts" / record["encode-image"] / "content.safetensors")
    assert (np.abs(vectors["target"]).sum(1) > 0).sum() == 19
    # A changed picture is looked at; nothing else is read again.
    Image.new("RGB", (20, 20)).save(tmp_path / "b" / "b1.jpg")
    again = command(*pair, "content=[image]", "content.image.max_steps=2")
    assert again.code == 0, again.err
    assert (stages(again.out)["collect"], stages(again.out)["encode-image"]) == ("reused", "made")


def test_given_vectors(command: Command, tmp_path: Path) -> None:
    pair = settings(tmp_path, domain(tmp_path / "a"), domain(tmp_path / "b"))
    ids = [f"{name}{item}" for name in "ab" for item in range(20)]
    vectors = np.random.default_rng(0).standard_normal((40, 5)).tolist()
    pl.DataFrame({"item_id": ids, "vector": vectors}).write_parquet(tmp_path / "v.parquet")
    file = f"content.vectors.file={tmp_path / 'v.parquet'}"
    ran = command(*pair, "content=[vectors]", file)
    assert ran.code == 0, ran.err
    assert "vectors of 40 of 48 items" in ran.out
    gone = command(*pair, "content=[vectors]", f"{file}.gone")
    assert "content.vectors.file=" in gone.err
    assert "there is no such file" in gone.err


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["content=[image]"], "column 'image' of items"),
        (["content=[imge]"], "there is no content=imge; did you mean image?"),
        (["content=text,image"], "use key=[value1,value2]"),
        (["content=[image]", "+content.image.batchsize=3"], "did you mean batch_size?"),
        (["content.image.model=x"], "is a setting of content=[...] that lists image"),
        (["content=[image]", "content.image.whiten_dim=0"], "content.image.whiten_dim must be"),
        (["content=[vectors]"], "content.vectors.file must be given"),
        (["content=[image,audio]", "content.fusion=gate", "model=lightgcn"], "reads no content"),
        (["content=[image,audio]", "content.fusion=gate", "transfer=unisrec"], "of its own"),
        (["content=[]", "transfer=unisrec"], "no content vectors"),
    ],
)
def test_mistakes_are_answered(
    command: Command, tmp_path: Path, given: list[str], said: str
) -> None:
    sides = [domain(tmp_path / name, named=False) for name in "ab"]
    ran = command(*settings(tmp_path, *sides), *given)
    assert ran.code == 1
    assert said in ran.err, ran.err


def test_nothing_is_learned_of_items_that_are_not_in_train(
    command: Command, tmp_path: Path
) -> None:
    """Another picture and title of an item of the test moves no weight, and no other vector."""
    learned, data, cold = [], tmp_path, pl.Series(dtype=pl.String)
    for world in ("one", "other"):
        (tmp_path / world).mkdir()
        sides = [domain(tmp_path / world / name) for name in "ab"]
        pair = [*settings(tmp_path / world, *sides), "split=cold_items", "content=[image]"]
        if world == "other":
            events = pl.read_parquet(next((data / "target" / "interactions").glob("*")))
            cold = events.filter(pl.col("split") == "test")["item_id"].unique().sort()
            for item in cold:
                Image.new("RGB", (20, 20), (255, 0, 0)).save(sides[1] / f"{item}.jpg")
            items = pl.read_parquet(sides[1] / "items.parquet")
            title = pl.when(pl.col("item_id").is_in(cold.implode())).then(pl.lit("odd"))
            changed = items.with_columns(title.otherwise(pl.col("title")).alias("title"))
            changed.write_parquet(sides[1] / "items.parquet")
        ran = command(*pair, "content.image.max_steps=2")
        assert ran.code == 0, ran.err
        run, artifacts = (tmp_path / world / name for name in ("run", "artifacts"))
        record = json.loads((run / "record.json").read_text())["artifacts"]
        data = artifacts / record["collect"]
        weights = (artifacts / record["pretrain-image"] / "model.safetensors").read_bytes()
        vectors = load_file(artifacts / record["encode-image"] / "content.safetensors")["target"]
        codes = pl.read_parquet(data / "target" / "items")["item_id"]
        learned.append((weights, vectors, codes))
    (first, before, codes), (second, after, _) = learned
    assert first == second
    held_out = codes.is_in(cold.implode()).to_numpy()
    np.testing.assert_allclose(before[~held_out], after[~held_out], atol=1e-5)
    assert np.abs(before[held_out] - after[held_out]).max() > 0.01
