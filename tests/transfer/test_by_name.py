"""Every method of conf/transfer runs by name from the command line, and so do the baselines."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
import polars as pl
import pytest

from crossrec.configuration.composing import CONF, compose
from crossrec.errors import UserError
from crossrec.stages.settings import Settings

METHODS = sorted(path.stem for path in (CONF / "transfer").glob("*.yaml"))
READ_TEXT = {"fedavg", "unisrec", "vq_rec", "zero_shot_text"}
NEED_SHARED_ITEMS = {"natr"}
NEED_SHARED_USERS = {"abxi", "c2dsr", "ptupcdr", "tmcdr"}


@pytest.fixture(scope="module")
def artifacts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts that the runs of this file share."""
    return tmp_path_factory.mktemp("artifacts")


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two tables that share items and no users."""
    folder = tmp_path_factory.mktemp("tables")
    for place, name in enumerate(("old", "new")):
        (folder / name).mkdir()
        rows = [
            (f"{name}{user}", f"item{(user * 7 + step * (step + 3)) % 20 + 6 * place}", step)
            for user in range(40)
            for step in range(6)
        ]
        columns = ["user_id", "item_id", "timestamp"]
        events = pl.DataFrame(rows, columns, orient="row").unique(["user_id", "item_id"])
        events.write_parquet(folder / name / "interactions.parquet")
    return [
        "+experiment=table_pair",
        f"data.source={folder / 'old'}",
        f"data.target={folder / 'new'}",
        "encoder=none",
        "pretraining=off",
    ]


@pytest.mark.parametrize("method", METHODS)
def test_it_runs_by_name(
    command: Callable[..., Any],
    tiny: list[str],
    tables: list[str],
    reader: Path,
    artifacts: Path,
    tmp_path: Path,
    method: str,
) -> None:
    settings = list(tables if method in NEED_SHARED_ITEMS else tiny)
    if method in READ_TEXT:
        settings.remove("encoder=none")
        settings += ["encoder=huggingface", f"encoder.model={reader}", "encoder.whiten_dim=8"]
    if method == "lora":
        settings.append("model=sasrec")  # without text it has linear layers, too
    ran = command(
        *settings,
        f"transfer={method}",
        "trainer.max_epochs=1",
        f"paths.artifacts={artifacts}",
        f"hydra.run.dir={tmp_path / 'run'}",
    )
    assert ran.code == 0, ran.err
    values = pl.read_csv(tmp_path / "run" / "results.csv").filter(pl.col("metric") == "ndcg@10")
    assert {"scratch", "transferred"} <= set(values["model"])
    assert values["value"].is_finite().all()
    lists = pl.read_parquet(tmp_path / "run" / "recommendations.parquet")
    assert lists.filter(pl.col("rank") == 1).height > 0


# Each model and each objective once: those that no other test of the command runs.
@pytest.mark.parametrize("model", ["mf objective=bpr", "neumf objective=logistic", "lightgcn"])
def test_a_model_of_the_target_alone_runs_by_name_beside_the_other_baselines(
    command: Callable[..., Any], tiny: list[str], artifacts: Path, tmp_path: Path, model: str
) -> None:
    ran = command(
        *tiny,
        *f"model={model}".split(),
        "transfer=scratch",
        "trainer.max_epochs=1",
        f"paths.artifacts={artifacts}",
        f"hydra.run.dir={tmp_path}",
    )
    assert ran.code == 0, ran.err
    values = pl.read_csv(tmp_path / "results.csv").filter(metric="ndcg@10", users="all")
    assert {"popularity", "item-knn", "ease", "scratch"} <= set(values["model"])
    assert values["value"].is_finite().all()


@pytest.mark.parametrize("method", sorted(NEED_SHARED_ITEMS | NEED_SHARED_USERS))
def test_without_its_overlap_it_is_refused_by_name(
    command: Callable[..., Any], tiny: list[str], tables: list[str], tmp_path: Path, method: str
) -> None:
    ran = command(
        *(tiny if method in NEED_SHARED_ITEMS else tables),
        f"transfer={method}",
        f"paths.artifacts={tmp_path / 'artifacts'}",
    )
    assert ran.code == 1
    assert f"needs {'items' if method in NEED_SHARED_ITEMS else 'users'} that occur" in ran.err
    assert "Traceback" not in ran.err


@pytest.mark.parametrize("method", sorted(READ_TEXT))
def test_without_text_it_is_refused_at_once(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path, method: str
) -> None:
    for asked in (
        [f"transfer={method}"],
        ["transfer=guarded", f"+transfer.candidates.{method}={{}}"],
    ):
        ran = command(*tiny, *asked, f"paths.artifacts={tmp_path / 'artifacts'}")
        assert ran.code == 1
        assert f"transfer={method} knows items by their texts alone" in ran.err
        assert "Traceback" not in ran.err
        assert not (tmp_path / "artifacts").exists()  # at once, before anything is made


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["transfer=lora", "model=mf"], "transfer=lora adapts linear layers"),
        (["transfer=lora", "transfer.modules=[blocks]"], "layer begins with 'blocks'; there are"),
        (["transfer=freeze", "transfer.names=[adaptr]"], "weight begins with 'adaptr'; there are"),
        (["transfer=unfreeze", "transfer.groups=[[mlp],[mlp.0]]"], "is left for ['mlp.0']"),
        (
            ["transfer=guarded", "+transfer.candidates.freeze.names=[adaptr]"],
            "weight begins with 'adaptr'; there are",
        ),
    ],
)
def test_what_fits_no_weight_of_the_model_is_refused_at_once(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path, asked: list[str], said: str
) -> None:
    ran = command(*tiny, *asked, f"paths.artifacts={tmp_path / 'artifacts'}")
    assert ran.code == 1
    assert said in ran.err
    assert "Traceback" not in ran.err
    assert not (tmp_path / "artifacts").exists()  # at once, before anything is made


def test_what_weights_there_are_depends_on_the_content(tmp_path: Path) -> None:
    def composed(name: str, *content: str) -> Settings:
        asked = ["+experiment=home_to_electronics", "pretraining=off", "model=sasrec", *content]
        names = ["transfer=freeze", f"transfer.names=[content_map.{name}]"]
        with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
            return compose(hydra.compose("train", [*asked, *names]), tmp_path)

    composed("weight")
    composed("gates", "content=[text,image]", "content.fusion=gate")
    for name, content in (("weight", "encoder=none"), ("gates", "content=[text,image]")):
        with pytest.raises(UserError, match=f"no carried weight begins with 'content_map.{name}'"):
            composed(name, content)
