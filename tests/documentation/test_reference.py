"""The configuration reference is made of YAML files and docstrings, and leaves nothing out."""

import re
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from crossrec.configuration.composing import CONF
from crossrec.configuration.overrides import compose_overrides
from crossrec.evaluation.metrics import METRICS


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    import reference

    return reference.pages()


def test_every_group_and_option_has_its_place(pages: dict[str, str]) -> None:
    groups = {path.name for path in CONF.iterdir() if path.is_dir()}
    assert set(pages) == groups | {"index"}
    for file in CONF.glob("*/*.yaml"):
        plus = "+" * (file.parent.name == "experiment")
        option = re.escape(f"{plus}{file.parent.name}={file.stem}")
        heading = rf"^## {option}( \(default\))?( {{ #\w+ }})?$"
        assert re.search(heading, pages[file.parent.name], re.MULTILINE), file


def test_defaults_are_those_of_the_command(pages: dict[str, str]) -> None:
    cfg, choices = compose_overrides([])
    for group in ("model", "transfer", "split", "training", "encoder", "pretraining", "trainer"):
        text = pages[group].partition(f"{group}={choices[group]} (default)")[2]
        table = text.partition("\n## ")[0]
        rows = re.findall(r"^\| `([\w.]+)` \| `(.*?)` \|", table, re.MULTILINE)
        assert rows
        for key, value in rows:
            assert OmegaConf.select(cfg, key) == OmegaConf.create(f"value: {value}").value, key


def test_something_is_said_of_every_key(pages: dict[str, str]) -> None:
    for group, text in pages.items():
        for key, said in re.findall(r"^\| `([\w.]+)` \| [^|]+ \| (.*) \|$", text, re.MULTILINE):
            assert said, f"{group}: nothing is said of {key}: write a comment behind it in its YAML"


def test_comments_and_docstrings_are_found(tmp_path: Path) -> None:
    import docstrings
    import settings

    (l2_sp,) = (option for option in settings.options("transfer") if option.name == "l2_sp")
    said = {s.key: s.said for s in l2_sp.settings}
    assert said["transfer.mu"] == docstrings.arguments(l2_sp.target)["mu"] != ""
    assert l2_sp.comment.startswith("lambda * ||W - mu * W_source||^2")
    (tower,) = (option for option in settings.options("model") if option.name == "two_tower")
    dropped = {s.key: s.said for s in tower.settings}["model.past_dropout"]
    assert dropped.startswith("training sequences that are read without")
    (lora,) = (option for option in settings.options("pretraining") if option.name == "lora")
    assert {s.key for s in lora.settings} == {"pretraining.lora_rank", "pretraining.learning_rate"}


def test_every_metric_is_explained() -> None:
    import reference

    table = reference.metrics()
    for name in (*METRICS, "coverage", "novelty", "diversity"):
        assert f"| `{name}@k` | " in table


def test_the_site_builds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("material", reason="docs/requirements.lock is not installed")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.setenv("NO_MKDOCS_2_WARNING", "1")
    config = load_config(str(CONF.parent / "mkdocs.yml"), site_dir=str(tmp_path), strict=True)
    build(config)
    assert (tmp_path / "reference" / "transfer.html").exists()
