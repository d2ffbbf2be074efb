"""The command: python -m crossrec.weights +experiment=home_to_electronics hydra.run.dir=RUN

For the owner of a source: trains the recommender on the source alone, with the settings of
crossrec.train, and leaves what may be handed to the owner of a target (see `handover`), who trains
with source_weights=RUN/handover. No file of a target is looked for, and no row of the source is
written. RUN/config.yaml and RUN/record.json are the owner's own account, and stay with them.
"""

import logging
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from crossrec.configuration.composing import CONF, check_config, compose
from crossrec.configuration.shell import answer, guard
from crossrec.errors import UserError
from crossrec.run_record import complete_record, write_record

log = logging.getLogger("crossrec.weights")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """Train the source and write what may be handed over."""
    folder = Path(HydraConfig.get().runtime.output_dir)

    def work() -> None:
        check_config(cfg, HydraConfig.get().runtime.choices)
        if cfg.source_weights is not None:
            raise UserError("source_weights is for crossrec.train: this command makes such a file")
        write_record(folder, OmegaConf.to_yaml(cfg, resolve=True), cfg.seed)
        settings = compose(cfg, folder)

        from crossrec.configuration.rehearsal import check_weights_alone
        from crossrec.data.prepared import read_account
        from crossrec.stages.source_job import hand_over_source

        check_weights_alone(settings, "crossrec.weights")
        made = hand_over_source(settings)
        fingerprint = read_account(made.data)["fingerprint"]
        complete_record(
            folder, fingerprint, made.artifacts, made.validation, made.costs, made.privacy
        )
        print(f"weights: {made.folder}")

    guard(work, folder, HydraConfig.get().mode == RunMode.MULTIRUN)


if __name__ == "__main__":
    answer(main)
