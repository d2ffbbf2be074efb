"""The command: python -m crossrec.train +experiment=home_to_electronics

Hydra composes the configuration; this file runs the main job with it, and mirrors the run to the
logger that was asked for. Nothing heavy is imported before the first log line.
"""

import logging
import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from rich.console import Console, ConsoleRenderable

from crossrec.artifacts import write_failure
from crossrec.configuration.composing import (
    CONF,
    check_config,
    compose,
    explain,
    in_one_line,
    plain,
)
from crossrec.errors import UserError
from crossrec.run_record import complete_record, write_record

log = logging.getLogger("crossrec.train")  # also where this is __main__
errors = logging.getLogger("crossrec.errors")  # goes to stderr, see conf/train.yaml
ERROR_FILE = "error.txt"
STOPPED = (
    "stopped. Nothing half-made was kept, finished stages were: the same command goes on from there"
)


def command() -> None:
    """What the shell calls: a user's mistake ends it with one message and exit code 1."""
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra hands its errors over instead of printing them
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(number))
    try:
        main()
    except HydraException as error:
        sys.exit(f"error: {explain(error, sys.argv[1:])}")
    except BrokenPipeError:  # `--help | head`: the reader has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except OSError as error:  # of the files that Hydra itself writes into the run folder
        complaint = write_failure(error, Path(error.filename or "the run folder"), "hydra.run.dir")
        if complaint is None:
            raise
        sys.exit(f"error: {complaint}")


@hydra.main(version_base="1.3", config_path=str(CONF), config_name="train")
def main(cfg: DictConfig) -> None:
    """One run, or one job of a sweep."""
    folder = Path(HydraConfig.get().runtime.output_dir)
    in_sweep = HydraConfig.get().mode == RunMode.MULTIRUN
    for left in (ERROR_FILE, "results.csv"):  # by an earlier run in the same folder
        (folder / left).unlink(missing_ok=True)
    try:
        table = run(cfg, HydraConfig.get().runtime.choices, folder)
        if not in_sweep:  # which has one table over all its runs, at the end
            Console().print(table)
        print(f"run folder: {folder}")
        return
    except (KeyboardInterrupt, SystemExit) as stop:
        for rank in multiprocessing.active_children():
            rank.terminate()
        errors.error("error: %s", STOPPED)
        raise SystemExit(143 if stop.args == (signal.SIGTERM,) else 130) from None
    except UserError as error:
        message = str(error)
    except OmegaConfBaseException as error:
        message = f"configuration: {str(error).splitlines()[0]}"
    except Exception as error:
        complaint = write_failure(error, folder, "hydra.run.dir")
        if complaint is None and not in_sweep:
            raise
        if complaint is None:
            errors.exception("a fault of crossrec itself:")
        message = complaint or repr(error)
    errors.error("error: %s", message)
    if not in_sweep:
        raise SystemExit(1)
    # The other jobs go on; SweepTable counts the failed ones and ends with exit code 1.
    (folder / ERROR_FILE).write_text(message + "\n", encoding="utf-8")


def run(cfg: DictConfig, choices: Mapping[str, str | None], folder: Path) -> ConsoleRenderable:
    """Check the configuration, run the main job, mirror it, and return its table.

    Args:
        cfg: the composed configuration.
        choices: group -> its chosen option.
        folder: the run folder.
    """
    check_config(cfg, choices)
    source, target = (Path(domain).name for domain in (cfg.data.source, cfg.data.target))
    log.info("%s: %s -> %s, seed %d", cfg.name, source, target, cfg.seed)
    write_record(folder, OmegaConf.to_yaml(cfg, resolve=True), cfg.seed)
    settings = compose(cfg, folder)

    from crossrec.evaluation.tables import terminal
    from crossrec.report import write_run_report
    from crossrec.stages import main_job
    from crossrec.tracking import logger_factory, mirror

    wandb_run = None
    failed = True
    try:
        if cfg.logger.name == "wandb":
            wandb_run = start_wandb(plain(cfg.logger), plain(cfg), folder)
        logger = logger_factory(cfg.logger.name, folder, wandb_run)
        outcome = main_job(replace(settings, logger=logger))
        complete_record(folder, outcome.fingerprint, outcome.artifacts)
        results, caption = outcome.results, outcome.caption
        plots = write_run_report(folder)
        mirror(logger("results"), outcome.validation, results, caption, plots)
        failed = False
    finally:
        if wandb_run is not None:
            # The next job of a sweep starts its own run, and a failed one must show as failed.
            wandb_run.finish(exit_code=int(failed))
    return terminal(results, caption)


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
