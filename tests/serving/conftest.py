"""Real runs of a tiny marketplace, opened as services."""

from collections.abc import Callable
from pathlib import Path

import hydra
import pytest
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from crossrec import train
from crossrec.configuration.composing import CONF
from crossrec.serving.opening import Run
from crossrec.serving.service import Service

MakeRun = Callable[..., Path]


@pytest.fixture(scope="session")
def make_run(tmp_path_factory: pytest.TempPathFactory, tiny: list[str], reader: Path) -> MakeRun:
    """Runs the main job with some overrides, once for each; `text=True` reads texts."""
    made: dict[tuple[object, ...], Path] = {}
    artifacts = tmp_path_factory.mktemp("artifacts")
    text = ["encoder=huggingface", f"encoder.model={reader}", "encoder.whiten_dim=8"]

    def make(*overrides: str, text_too: bool = False) -> Path:
        key = (*overrides, text_too)
        if key not in made:
            folder = tmp_path_factory.mktemp("run")
            base = [setting for setting in tiny if not (text_too and setting == "encoder=none")]
            more = text if text_too else []
            arguments = [*base, *more, *overrides, f"paths.artifacts={artifacts}"]
            GlobalHydra.instance().clear()
            with (
                pytest.MonkeyPatch.context() as patch,
                hydra.initialize_config_dir(str(CONF), version_base="1.3"),
            ):
                patch.setattr("sys.argv", ["train.py", *arguments])
                cfg = hydra.compose("train", arguments, return_hydra_config=True)
                choices = cfg.hydra.runtime.choices
                keys = [name for name in cfg if name != "hydra"]
                train.run(OmegaConf.masked_copy(cfg, keys), choices, folder)
            made[key] = folder
        return made[key]

    return make


@pytest.fixture
def text_run(make_run: MakeRun) -> Path:
    """A run whose model reads histories and texts, with a language model that was pretrained."""
    settings = ("pretraining=default", "pretraining.max_steps=3", "trainer.max_epochs=3")
    return make_run(*settings, text_too=True)


@pytest.fixture
def service(text_run: Path) -> Service:
    """That run as a service that nobody has told anything."""
    return Service(Run(text_run, None, "cpu"))
