"""The command: python -m crossrec.weights +experiment=home_to_electronics hydra.run.dir=RUN

For the owner of a source: trains the recommender on the source alone, with the settings of
crossrec.train, and leaves what may be handed to the owner of a target (see `handover`), who trains
with source_weights=RUN/handover. No file of a target is looked for, and no row of the source is
written.
"""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig

from crossrec.configuration.composing import CONF, check_config, compose
from crossrec.configuration.shell import answer, guard
from crossrec.errors import UserError

log = logging.getLogger("crossrec.weights")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """Train the source and write what may be handed over."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def work() -> None:
        check_config(cfg, HydraConfig.get().runtime.choices)
        if cfg.source_weights is not None:
            raise UserError("source_weights is for crossrec.train: this command makes such a file")
        settings = compose(cfg, folder)

        from crossrec.configuration.rehearsal import check_weights_alone
        from crossrec.stages.main_job import hand_over_source

        check_weights_alone(settings, "crossrec.weights")
        print(f"weights: {hand_over_source(settings)}")

    guard(work, folder, HydraConfig.get().mode == RunMode.MULTIRUN)


if __name__ == "__main__":
    answer(main)
