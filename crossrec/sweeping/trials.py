"""The trials of a sweep, one after the other, by one process or by several at once."""

import json
import logging
import math
import multiprocessing
import os
import shutil
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from optuna import TrialPruned
from optuna.trial import Trial, TrialState

from crossrec.configuration.overrides import merge
from crossrec.configuration.shell import ERROR_FILE, reason
from crossrec.errors import UserError
from crossrec.sweeping.running import execute, logging_to
from crossrec.sweeping.study import SharedStudy
from crossrec.sweeping.sweep_file import Sweep

log = logging.getLogger("crossrec.sweeping")
VALIDATION = "evaluation.test=false"
FAILURES = 3  # in a row: then something else is wrong than a setting


def work_together(sweep: Sweep, folder: Path, n_workers: int) -> None:
    """Run all trials that are left, in this process and n_workers - 1 others.

    Each gets its share of the processor's threads; a worker ends with this process, even by a kill.

    Raises:
        UserError: a worker ended early, or trials fail in a row.
    """
    if n_workers > 1:
        share = str(max(1, (os.cpu_count() or 1) // n_workers))
        for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "POLARS_MAX_THREADS"):
            os.environ.setdefault(name, share)  # before anybody here loads torch or polars
        os.environ.setdefault("TTY_INTERACTIVE", "0")  # rich: no bars of one over lines of another
    context = multiprocessing.get_context("spawn")
    helpers = [context.Process(target=_help, args=(sweep, folder)) for _ in range(n_workers - 1)]
    try:
        for helper in helpers:
            helper.start()
        work(sweep, folder)
        for helper in helpers:
            helper.join()
    finally:
        for helper in helpers:
            if helper.is_alive():
                helper.terminate()
                helper.join()
    if codes := [helper.exitcode for helper in helpers if helper.exitcode]:
        raise UserError(
            f"{len(codes)} of the workers ended early (exit code {codes[0]}; -9 says that memory "
            "was full): the same command goes on from there, with fewer --workers if need be"
        )


def work(sweep: Sweep, folder: Path) -> None:
    """Run trials until all have been given out.

    Raises:
        UserError: several in a row failed.
    """
    study = SharedStudy(sweep, folder)
    failures = 0
    while (trial := study.ask()) is not None:
        error = run_trial(study, trial)
        failures = failures + 1 if error else 0
        if failures == FAILURES:
            raise UserError(f"{FAILURES} trials in a row failed, the last one with: {error}")


def run_trial(study: SharedStudy, trial: Trial) -> str | None:
    """Run one trial and tell the study; returns what it failed for, if it did."""
    sweep, folder = study.sweep, study.folder / "trials" / f"{trial.number:04}"
    shutil.rmtree(folder, ignore_errors=True)  # of a try that was killed
    overrides = merge(sweep.overrides(trial.params), [VALIDATION])
    start, error = time.monotonic(), None
    state, value = TrialState.COMPLETE, None
    try:
        execute(overrides, folder, _judge(trial, sweep.metric), aloud=False)
        value = validated(folder, sweep.metric)
        says = f"{sweep.metric} {value:.4f}"
    except TrialPruned:
        state, says = TrialState.PRUNED, "ended early"
    except Exception as failure:
        state, error = TrialState.FAIL, reason(failure, folder)
        details = error or traceback.format_exc()
        error = error or repr(failure)
        says = f"failed: {error}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ERROR_FILE).write_text(f"{details}\n", encoding="utf-8")
        trial.set_user_attr("error", error)
    seconds = time.monotonic() - start
    trial.set_user_attr("seconds", round(seconds, 1))
    study.study.tell(trial, value, state)
    swept = " ".join(f"{name}={_short(chosen)}" for name, chosen in trial.params.items())
    log.info("trial %-4d %s: %s (%.1f s)", trial.number, swept, says, seconds)
    return error


def validated(folder: Path, metric: str) -> float:
    """What the transferred row of a finished run reached in validation.

    Raises:
        UserError: it was validated by another metric, or the metric is no number.
    """
    reached = json.loads((folder / "record.json").read_text())["validation"]["transferred"]
    if metric not in reached:
        known = " and ".join(f"valid/target/{name}" for name in reached)
        raise UserError(f"metric.name is valid/target/{metric}, but its objective has {known}")
    value = float(reached[metric])
    if not math.isfinite(value):
        raise UserError(f"the training diverged: {metric} is {value} in validation")
    return value


def _short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _judge(trial: Trial, chosen: str) -> Callable[[str, float, int], None]:
    """Reports the best so far after each epoch and ends a trial that the others leave behind."""

    def judge(metric: str, best: float, epoch: int) -> None:
        if metric != chosen:
            return
        with warnings.catch_warnings():
            # A trial that was killed tells the same again.
            warnings.filterwarnings("ignore", ".*already reported.*")
            trial.report(best, epoch)
        if trial.should_prune():
            raise TrialPruned

    return judge


def _help(sweep: Sweep, folder: Path) -> None:
    """What a worker does that is not the command itself."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command is told, and ends its workers
    signal.signal(signal.SIGTERM, lambda number, frame: _leave())
    parent = multiprocessing.parent_process()
    assert parent is not None
    threading.Thread(target=_follow, args=(parent,), daemon=True).start()
    try:
        with logging_to([logging.StreamHandler(sys.stdout)], log.name):
            work(sweep, folder)
    except UserError as error:
        sys.exit(f"error: {error}")


def _follow(parent: Any) -> None:
    """End when the command ends: its trials run again with the next command."""
    wait([parent.sentinel])
    _leave()


def _leave() -> None:
    for rank in multiprocessing.active_children():
        rank.terminate()
    os._exit(1)
