"""The command: python -m crossrec.train +experiment=home_to_electronics

Hydra composes the configuration; this file runs the main job with it, and mirrors the run to the
logger that was asked for. Nothing heavy is imported before the first log line.
"""

import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from rich.console import Console

from crossrec import world
from crossrec.configuration.composing import CONF, check_config, compose, in_one_line, plain
from crossrec.configuration.shell import ERROR_FILE, answer, guard
from crossrec.run_record import complete_record, write_record
from crossrec.stages.settings import in_one_process

if TYPE_CHECKING:
    from crossrec.stages.main_job import Outcome

log = logging.getLogger("crossrec.train")  # also where this is __main__


def command() -> None:
    """What the shell calls."""
    if world.n_ranks() > 1:
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")  # DDP's advice on unused parameters
        if {"-m", "--multirun"} & set(sys.argv):
            sys.exit(
                f"error: {world.n_ranks()} processes were started for a sweep, and each would run "
                "all of it: start -m by itself with trainer=ddp, which spawns ranks inside each "
                "training stage, or start the runs one by one with torchrun"
            )
    if world.leads():
        answer(main)
        return
    with TemporaryDirectory() as folder:  # rank 0 alone writes into the run folder
        sys.argv += [f"hydra.run.dir={folder}", "hydra.output_subdir=null"]
        sys.argv += ["hydra.job_logging.root.handlers=[file]"]
        answer(main)


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """One run, or one job of a sweep."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    (folder / "results.csv").unlink(missing_ok=True)  # of an earlier run in the same folder

    def work() -> None:
        choices = HydraConfig.get().runtime.choices
        if world.n_ranks() > 1:
            world.join(cfg.trainer.accelerator)
        if not world.leads():
            follow(cfg, choices, folder)
            return
        outcome = run(cfg, choices, folder)
        if not in_sweep:  # which has one table over all its runs, at the end
            show(outcome)
        print(f"run folder: {folder}")

    guard(work, folder, in_sweep)


def run(
    cfg: DictConfig,
    choices: Mapping[str, str | None],
    folder: Path,
    watch: Callable[[str, float, int], None] | None = None,
) -> "Outcome":
    """Check the configuration, run the main job and mirror it.

    Args:
        cfg: the composed configuration.
        choices: group -> its chosen option.
        folder: the run folder.
        watch: told of the transfer stage's validation epoch by epoch (see `training.watching`).
    """
    check_config(cfg, choices)
    sources = [cfg.data.source] if isinstance(cfg.data.source, str) else list(cfg.data.source)
    *sources, target = (Path(domain).name for domain in (*sources, cfg.data.target))
    log.info("%s: %s -> %s, seed %d", cfg.name, "+".join(sources), target, cfg.seed)
    write_record(folder, OmegaConf.to_yaml(cfg, resolve=True), cfg.seed)
    settings = compose(cfg, folder)

    from crossrec.artifacts import ArtifactStore
    from crossrec.data.prepared import read_account
    from crossrec.report import write_run_report
    from crossrec.stages.collecting import write_data_report
    from crossrec.stages.main_job import TRANSFERRED, main_job
    from crossrec.tracking import logger_factory, mirror
    from crossrec.training.watching import Watch

    wandb_run = None
    failed = True
    try:
        if cfg.logger.name == "wandb":
            wandb_run = start_wandb(plain(cfg.logger), plain(cfg), folder)
        logger = logger_factory(cfg.logger.name, folder, wandb_run)
        watches = [watch] if watch else []
        if wandb_run and in_one_process(plain(cfg.trainer)):  # it cannot follow into another
            watches.append(lambda metric, best, _: wandb_run.log({f"valid/target/{metric}": best}))
        settings = replace(
            settings,
            logger=logger,
            callbacks=lambda stage: [Watch(say) for say in watches if stage == "transfer"],
        )
        outcome = main_job(settings)
        account = read_account(outcome.data)
        complete_record(
            folder,
            account["fingerprint"],
            outcome.artifacts,
            outcome.validation,
            outcome.costs,
            outcome.privacy,
        )
        plots = []
        if outcome.results is not None:
            about_data = write_data_report(
                outcome.data,
                folder,
                settings.data_caption(account),
                ArtifactStore(settings.artifacts),
            )
            plots = [*write_run_report(folder), *about_data]
        best = outcome.validation[TRANSFERRED].items()
        validation = {f"valid/target/{metric}": value for metric, value in best}
        mirror(logger("results"), validation, outcome.results, outcome.caption, plots)
        failed = False
    finally:
        if wandb_run is not None:
            # The next job of a sweep starts its own run, and a failed one must show as failed.
            wandb_run.finish(exit_code=int(failed))
    return outcome


def follow(cfg: DictConfig, choices: Mapping[str, str | None], folder: Path) -> None:
    """Go through the training of a run whose rank 0 is another process.

    Args:
        cfg, choices: as in `run`.
        folder: what is written here is thrown away.
    """
    check_config(cfg, choices)
    settings = compose(cfg, folder)

    from crossrec.stages.main_job import learn
    from crossrec.stages.staging import Staging

    learn(settings, Staging(settings.artifacts))


def show(outcome: "Outcome") -> None:
    """Print the table of a run, or what it reached in validation where it has no other."""
    from crossrec.evaluation.tables import terminal, validation_terminal

    if outcome.results is None:
        Console().print(validation_terminal(outcome.validation, outcome.caption))
    else:
        Console().print(terminal(outcome.results, outcome.caption))


def start_wandb(options: dict[str, Any], config: dict[str, Any], folder: Path) -> Any:
    """A W&B run that never asks and never stops a run: online if that works, else offline."""
    import wandb

    wandb.setup(wandb.Settings(silent=True, init_timeout=30))
    start = partial(
        wandb.init,
        project=options["project"],
        entity=options["entity"],
        group=options["group"],
        tags=options["tags"],
        name="-".join(folder.parts[-2:]),  # NAME-TIME, or SWEEP-NUMBER
        dir=str(folder),
        config=config,
    )
    why = "you are not logged in (`wandb login`)"
    try:
        wanted = os.environ.get("WANDB_MODE", "online")
        if wanted != "online" or wandb.login(prompt=False, verify=False):
            run = start()
            log.info("logger     W&B %s", run.url or wanted)
            return run
    except wandb.Error as error:
        why = in_one_line(error).partition(" Consider increasing")[0]
    log.info("logger     W&B offline: %s", why)
    run = start(mode="offline")
    log.info("           wandb sync %s", run.dir.removesuffix("/files"))
    return run


class SweepTable(Callback):
    """After a Hydra sweep: one table over all jobs, and exit code 1 if any of them failed."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Print the sweep's table; write it and its plots beside the jobs."""
        from crossrec import report

        folder = Path(config.hydra.sweep.dir)
        failed = sorted(folder.glob(f"*/{ERROR_FILE}"))
        if any(folder.glob("*/results.csv")) and report.main([str(folder)]):
            raise SystemExit(1)
        if failed:
            jobs = ", ".join(file.parent.name for file in failed)
            print(f"error: {len(failed)} of the jobs failed: {jobs}", file=sys.stderr)
            raise SystemExit(1)


if __name__ == "__main__":
    command()
