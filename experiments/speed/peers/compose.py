"""crossrec's own configuration, composed as its command composes it."""

from pathlib import Path

from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from crossrec.configuration.composing import CONF, compose_data
from crossrec.configuration.composing import compose as compose_settings
from crossrec.stages.collecting import collect
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging

EXPERIMENT = "+experiment=movielens_1m_to_100k"


def configuration(data: Path, overrides: list[str]) -> DictConfig:
    """The experiment with its files in a folder."""
    paths = [f"paths.data={data / 'raw'}", f"paths.artifacts={data / 'artifacts'}"]
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", [EXPERIMENT, *paths, *overrides])


def settings(data: Path, overrides: list[str]) -> Settings:
    """The same, made of plain values."""
    return compose_settings(configuration(data, overrides), data / "run")


def collected(data: Path, split: str) -> Path:
    """The folder of the prepared pair, made now unless it is there."""
    overrides = [f"split={split}", "split.source_after_test=keep"]
    chosen = compose_data(configuration(data, overrides), data / "run")
    return collect(chosen, Staging(chosen.artifacts))
