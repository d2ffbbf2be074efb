"""The command: python -m crossrec.train +experiment=home_to_electronics

Hydra composes the configuration; this file turns it into `Settings`, runs the main job, and
mirrors it to the logger that was asked for. Nothing heavy is imported before the first log line.
"""

import difflib
import inspect
import logging
import os
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from crossrec.errors import UserError
from crossrec.run_record import write_record
from crossrec.settings import Part, Settings

log = logging.getLogger(__name__)
CONF = Path(__file__).resolve().parents[1] / "conf"
ERROR_FILE = "error.txt"


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """One run; a user's mistake ends it with one message and exit code 1."""
    message = None
    try:
        run(cfg)
    except UserError as error:
        message = str(error)
    except OmegaConfBaseException as error:
        message = f"configuration: {str(error).splitlines()[0]}"
    except OSError as error:
        if error.errno is None:
            raise
        message = f"cannot write or read {error.filename}: {error.strerror}"
    if message is None:
        return
    log.error("error: %s", message)
    if HydraConfig.get().mode == RunMode.MULTIRUN:
        # The other jobs go on; SweepTable counts the failed ones and ends with exit code 1.
        (Path(HydraConfig.get().runtime.output_dir) / ERROR_FILE).write_text(message + "\n")
        return
    raise SystemExit(1)


def run(cfg: DictConfig) -> None:
    """Compose the settings, run the main job, print and mirror its table."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    check_overrides(list(HydraConfig.get().overrides.task), cfg)
    log.info("%s: %s -> %s, seed %d", cfg.name, cfg.data.source, cfg.data.target, cfg.seed)
    write_record(folder, OmegaConf.to_yaml(cfg, resolve=True), cfg.seed)

    from rich.console import Console

    from crossrec.evaluation.tables import terminal
    from crossrec.report import write_run_report
    from crossrec.stages import main_job
    from crossrec.tracking import logger_factory, mirror

    hush()
    check_trainer(cfg.trainer)
    wandb_run = None
    failed = True
    try:
        if cfg.logger.name == "wandb":
            wandb_run = start_wandb(plain(cfg.logger), plain(cfg), folder)
        logger = logger_factory(cfg.logger.name, folder, wandb_run)
        outcome = main_job(compose(cfg, folder, logger))
        results, caption = outcome.results, outcome.caption
        plots = write_run_report(folder)
        mirror(logger("results"), outcome.validation, results, caption, plots)
        failed = False
    finally:
        if wandb_run is not None:
            # The next job of a sweep starts its own run, and a failed one must show as failed.
            wandb_run.finish(exit_code=int(failed))
    Console().print(terminal(results, caption))
    print(f"run folder: {folder}")


def compose(cfg: DictConfig, folder: Path, logger: Callable[[str], Any]) -> Settings:
    """Settings of a configuration.

    Raises:
        UserError: a key that its component does not take, or a value that it refuses.
    """
    scratch = OmegaConf.load(CONF / "transfer" / "scratch.yaml")
    settings = Settings(
        seed=cfg.seed,
        run_folder=folder,
        artifacts=Path(cfg.paths.artifacts),
        data={key: value for key, value in plain(cfg.data).items() if key != "reader"},
        protocol={key: value for key, value in plain(cfg.split).items() if key != "function"},
        reader=part("data.reader", cfg.data.reader),
        cleaning=part("cleaning", cfg.cleaning),
        split=part("split.function", cfg.split.function),
        model=part("model", cfg.model),
        objective=part("objective", cfg.objective),
        transfer=part("transfer", cfg.transfer.method),
        scratch=part("transfer", scratch.method),
        trainer=part("trainer", cfg.trainer),
        encoder=plain(cfg.encoder),
        pretraining=plain(cfg.pretraining),
        training=plain(cfg.training),
        evaluation=plain(cfg.evaluation),
        recommend=plain(cfg.recommend),
        logger=logger,
    )
    # Refused values are told now, not after an hour of training.
    for component in (settings.reader, settings.objective, settings.transfer):
        component.make()
    return settings


def part(name: str, node: Any) -> Part:
    """A component of a configuration node that has a `_target_`.

    Raises:
        UserError: the node has a key that the target does not take.
    """
    make = hydra.utils.instantiate(node, _partial_=True, _convert_="all")
    taken = inspect.signature(make.func).parameters
    for key in make.keywords:
        if key not in taken:
            raise UserError(f"{name} has no setting {key!r}{nearest(key, list(taken))}")
    return Part(plain(node), make)


def plain(node: Any) -> Any:
    """A configuration node as plain Python values, interpolations resolved."""
    return OmegaConf.to_container(node, resolve=True)


def nearest(key: str, known: list[str]) -> str:
    """ "; did you mean ...?", or the list of what there is."""
    close = difflib.get_close_matches(key, known, n=1)
    return f"; did you mean {close[0]!r}?" if close else f"; it has {', '.join(known)}"


def check_overrides(overrides: list[str], cfg: DictConfig) -> None:
    """Refuse `+key=value` where nothing would read the key.

    Components refuse unknown keys themselves; the other groups would swallow them in silence.

    Raises:
        UserError: names the key and what there is instead.
    """
    for override in overrides:
        if not override.startswith("+"):
            continue
        key = override.lstrip("+").partition("=")[0]
        group, _, rest = key.partition(".")
        if not rest and group not in cfg and group != "experiment":
            raise UserError(f"there is no setting {key!r}{nearest(key, list(map(str, cfg)))}")
        if rest and group in cfg and "_target_" not in cfg[group] and "." not in rest:
            raise UserError(
                f"{override}: {group} has no setting {rest!r}"
                f"{nearest(rest, [str(known) for known in cfg[group] if known != rest])}"
            )


def check_trainer(trainer: DictConfig) -> None:
    """Refuse devices that are not there, and strategies that start the whole command again.

    Raises:
        UserError: says what there is, or what to use instead.
    """
    import torch

    on_gpu = trainer.accelerator in ("gpu", "cuda")
    there = torch.cuda.device_count() if on_gpu else (os.cpu_count() or 1)
    kind = "GPUs" if on_gpu else "processor cores"
    if on_gpu and there == 0:
        raise UserError(
            f"trainer.accelerator={trainer.accelerator}, but torch {torch.__version__} sees no "
            "GPU here: use trainer=cpu"
        )
    wanted = trainer.devices
    if isinstance(wanted, int) and wanted > there:
        raise UserError(f"trainer.devices={wanted}, but there are {there} {kind} here")
    several = not (isinstance(wanted, int) and wanted == 1)
    strategy = str(trainer.strategy)
    if strategy.startswith(("ddp", "fsdp", "deepspeed")) and "spawn" not in strategy:
        raise UserError(
            f"trainer.strategy={strategy} starts this whole command again in every rank; use "
            "trainer=ddp, which spawns ranks inside each training stage"
        )
    if several and isinstance(wanted, int) and strategy == "auto":
        raise UserError(
            f"trainer.devices={wanted} needs trainer=ddp (with trainer.accelerator=cpu for "
            "processes on this processor)"
        )


def hush() -> None:
    """Keep Lightning's banners and advice out of the log; its errors and our lines stay."""
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)
    for text in ("does not have many workers", "GPU available but not used", "LeafSpec"):
        warnings.filterwarnings("ignore", message=f".*{text}.*")


def start_wandb(options: dict[str, Any], config: dict[str, Any], folder: Path) -> Any:
    """A W&B run that never asks: online with an API key at hand, else offline, and says so."""
    import wandb

    mode = os.environ.get("WANDB_MODE")
    if mode is None:
        mode = "online" if wandb.api.api_key else "offline"
        if mode == "offline":
            log.info("logger     W&B offline: log in with `wandb login`, or `wandb sync` later")
    return wandb.init(
        project=options["project"],
        entity=options["entity"],
        group=options["group"],
        tags=options["tags"],
        name=folder.name,
        dir=str(folder),
        config=config,
        mode=mode,
        settings=wandb.Settings(silent=True),
    )


class SweepTable(Callback):
    """After a Hydra sweep: one table over all jobs, and exit code 1 if any of them failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Write the sweep's table and plots beside its jobs."""
        from crossrec.report import write_sweep_report

        folder = Path(config.hydra.sweep.dir)
        failed = sorted(folder.glob(f"*/{ERROR_FILE}"))
        if any(folder.glob("*/results.csv")):
            write_sweep_report(folder)
            print(f"sweep folder: {folder}")
        if failed:
            jobs = ", ".join(file.parent.name for file in failed)
            print(f"error: {len(failed)} of the jobs failed: {jobs}", file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    main()
