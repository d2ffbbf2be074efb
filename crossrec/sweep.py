"""The command: python -m crossrec.sweep sweeps/lambda_mu.yaml

A W&B sweep file run on this machine by Optuna, without an account: trials stop at validation, and
the winner alone is run with test.
"""

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from crossrec.artifacts import write_failure
from crossrec.configuration.shell import STOPPED, heeding_stops
from crossrec.errors import UserError

if TYPE_CHECKING:
    from crossrec.sweeping.sweep_file import Sweep


def command() -> None:
    """What the shell calls."""
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))
    with heeding_stops():
        sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; returns the exit code."""
    options = _parser().parse_intermixed_args(arguments)
    folder = options.folder or Path("runs", "sweeps", options.file.stem)
    try:
        return sweep(options.file, options.overrides, folder, options.workers)
    except UserError as error:
        message, code = str(error), 1
    except KeyboardInterrupt:
        message, code = STOPPED, 130
    except SystemExit as stop:
        message, code = STOPPED, int(str(stop.code or 0))
    except OSError as error:
        complaint = write_failure(error, folder, "--folder")
        if complaint is None:
            raise
        message, code = complaint, 1
    print(f"error: {message}", file=sys.stderr)
    return code


def sweep(file: Path, overrides: Sequence[str], folder: Path, n_workers: int) -> int:
    """Run what is left of a sweep, then its winner; returns the exit code.

    Raises:
        UserError: the file or an override is refused, another command runs the same sweep, or
            nothing could be finished.
    """
    import logging

    from crossrec.locking import lock
    from crossrec.sweeping.running import logging_to
    from crossrec.sweeping.study import SharedStudy
    from crossrec.sweeping.sweep_file import read_sweep
    from crossrec.sweeping.trials import log, work_together

    if n_workers < 1:
        raise UserError(f"--workers must be a whole number >= 1, got {n_workers}")
    search = read_sweep(file, overrides)
    check(search)

    def taken() -> None:
        raise UserError(f"another command runs the sweep in {folder}: give --folder DIR")

    folder.mkdir(parents=True, exist_ok=True)
    handler = logging.StreamHandler(sys.stdout)
    with lock(folder / ".sweep.lock", taken), logging_to([handler], log.name):
        study = SharedStudy(search, folder)
        n_done = study.prepare()
        left = f", {n_done} of them finished before" if n_done else ""
        log.info("%s: %s, %d trials%s", file, search.method, search.n_trials, left)
        work_together(search, folder, n_workers)

        from crossrec.sweeping.outcome import best_trial, run_winner, write_outcome

        write_outcome(study)
        best = best_trial(study)
        log.info("best: trial %d, %s %.4f in validation", best.number, search.metric, best.value)
        run_winner(study)
        failed = [str(trial.number) for trial in study.trials if trial.state.name == "FAIL"]
    print(f"again: python -m crossrec.train --config-dir {folder} +experiment=best")
    print(f"sweep folder: {folder}")
    if failed:
        print(f"error: {len(failed)} of the trials failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def check(search: "Sweep") -> None:
    """Compose both ends of what is searched, so that a slip is told before any trial.

    Raises:
        UserError: they do not compose, or ask for what a sweep cannot do.
    """
    from crossrec.configuration.composing import check_config, plain
    from crossrec.configuration.overrides import as_experiment, compose_overrides
    from crossrec.stages.settings import in_one_process
    from crossrec.sweeping.space import ends

    for end in (0, 1):
        overrides = search.overrides({name: ends(d)[end] for name, d in search.space.items()})
        as_experiment(overrides, "")
        cfg, choices = compose_overrides(overrides)
        check_config(cfg, choices)
        if search.halving and not in_one_process(plain(cfg.trainer)):
            raise UserError(
                f"{search.file}: early_terminate needs trainer.devices=1: what a trial reaches in "
                "another process is not heard of"
            )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m crossrec.sweep",
        description="Run a W&B sweep file on this machine, without an account. Trials stop at "
        "validation, which chooses; the winner alone is run with test. The same command goes on "
        "where it was ended.",
    )
    parser.add_argument("file", type=Path, metavar="SWEEP.yaml", help="a W&B sweep file")
    parser.add_argument(
        "overrides", nargs="*", metavar="KEY=VALUE", help="overrides that every trial gets besides"
    )
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help="processes that share the trials"
    )
    parser.add_argument(
        "--folder", type=Path, metavar="DIR", help="of the sweep (default: runs/sweeps/SWEEP)"
    )
    return parser


if __name__ == "__main__":
    command()
