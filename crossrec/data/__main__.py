"""The command: python -m crossrec.data +experiment=home_to_electronics

What a pair of domains is, before anything is trained on it: sizes, overlap, how well the texts
match, what cleaning did, and the splits as files that others can measure on (split=shared). It
takes the settings of crossrec.train and makes the artifact that a run with them reuses.
"""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig
from rich.console import Console

from crossrec.configuration.composing import CONF, check_config, compose_data
from crossrec.configuration.shell import answer, guard

log = logging.getLogger("crossrec.data")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """Collect a pair, print what it is, and write it into the run folder."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def work() -> None:
        check_config(cfg, HydraConfig.get().runtime.choices)
        settings = compose_data(cfg, folder)

        from crossrec.data.prepared import read_account, read_statistics
        from crossrec.data.statistics.tables import terminal
        from crossrec.stages.collecting import collect, export, write_data_report
        from crossrec.stages.staging import Staging

        staging = Staging(settings.artifacts)
        data = collect(settings, staging)
        caption = settings.data_caption(read_account(data))
        Console().print(terminal(read_statistics(data), caption))
        write_data_report(data, folder, caption, staging.store)
        for file in export(data, folder, settings.protocol["name"]):
            log.info("split      %s", file)
        print(f"run folder: {folder}")

    guard(work, folder, HydraConfig.get().mode == RunMode.MULTIRUN)


if __name__ == "__main__":
    answer(main)
