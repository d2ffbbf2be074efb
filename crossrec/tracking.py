"""Where learning curves and results go besides the run folder: CSV, TensorBoard or W&B."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger, WandbLogger
from matplotlib.image import imread

from crossrec.evaluation.results import Results
from crossrec.evaluation.tables import addresses, markdown

KINDS = ("csv", "tensorboard", "wandb")


class StageCurves(WandbLogger):
    """Curves of one stage, with addresses like those of metrics: source/valid/ndcg@10."""

    LOGGER_JOIN_CHAR = "/"


def logger_factory(kind: str, folder: Path, wandb_run: Any) -> Callable[[str], Logger]:
    """Makes the logger of each training stage.

    Args:
        kind: csv writes RUN/curves/STAGE/metrics.csv; tensorboard RUN/tensorboard/STAGE; wandb one
            W&B run, in which each stage's curves carry its name.
        folder: the run folder.
        wandb_run: what `wandb.init` gave, for kind wandb.
    """

    def make(stage: str) -> Logger:
        if kind == "wandb":
            return StageCurves(experiment=wandb_run, prefix=stage, save_dir=folder)
        if kind == "tensorboard":
            return TensorBoardLogger(folder, name="tensorboard", version=stage)
        return CSVLogger(folder, name="curves", version=stage)

    return make


def mirror(
    logger: Logger,
    validation: Mapping[str, float],
    results: Results | None,
    caption: str,
    plots: list[Path],
) -> None:
    """Send what a run came to where its curves went: metrics by address, the table, the plots.

    A CSV logger needs nothing: the run folder holds all of it.

    Args:
        validation: metrics on validation data by address ("valid/target/ndcg@10").
        results: the table; None where the run stopped at validation.
    """
    metrics = {**validation, **(addresses(results) if results else {})}
    if isinstance(logger, WandbLogger):
        logger.experiment.log(metrics)
        if results:
            table = results.values
            logger.log_table("table", columns=table.columns, data=[list(r) for r in table.rows()])
        for plot in plots:
            logger.log_image(plot.stem, [str(plot)])
    elif isinstance(logger, TensorBoardLogger):
        for address, value in metrics.items():
            logger.experiment.add_scalar(address, value)
        if results:
            logger.experiment.add_text("results", markdown(results, caption))
        for plot in plots:
            logger.experiment.add_image(plot.stem, imread(plot)[..., :3], dataformats="HWC")
        logger.finalize("success")
