"""The study: every trial once, in whatever order commands are killed and started."""

import multiprocessing
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
)
from optuna.trial import TrialState

from crossrec.errors import UserError
from crossrec.sweeping.outcome import importance
from crossrec.sweeping.study import FILE, SharedStudy
from crossrec.sweeping.sweep_file import Halving, Sweep

X, Y = "transfer.lambda", "transfer.mu"
GRID: dict[str, BaseDistribution] = {
    X: CategoricalDistribution([0, 1, 10]),
    Y: CategoricalDistribution([0, 0.5]),
}
NUMBERS: dict[str, BaseDistribution] = {
    X: FloatDistribution(0.1, 10, log=True),
    Y: FloatDistribution(0, 1),
}


def sweep(method: str = "grid", **changed: Any) -> Sweep:
    given: dict[str, Any] = {
        "file": Path("x.yaml"), "method": method, "metric": "ndcg@10", "goal": "maximize",
        "fixed": ("a=1",), "space": GRID if method == "grid" else NUMBERS, "n_trials": 6,
        "halving": None,
    }  # fmt: skip
    return Sweep(**{**given, **changed})


def value(params: dict[str, Any]) -> float:
    """Best near lambda = 1 and mu = 1."""
    return -abs(params[X] - 1) + float(params[Y])


def run_all(study: SharedStudy, at_most: int = 100) -> list[dict[str, Any]]:
    """What was asked for, each answered with its value."""
    asked: list[dict[str, Any]] = []
    while len(asked) < at_most and (trial := study.ask()) is not None:
        asked.append(trial.params)
        study.study.tell(trial, value(trial.params))
    return asked


def killed(search: Sweep, folder: Path, n_done: int) -> None:
    """A process that finishes some trials and is killed in the middle of the next."""
    study = SharedStudy(search, folder)
    study.prepare()
    run_all(study, n_done)
    trial = study.ask()
    assert trial is not None
    trial.report(0.5, 1)
    os.kill(os.getpid(), signal.SIGKILL)


def kill(search: Sweep, folder: Path, n_done: int) -> None:
    process = multiprocessing.get_context("fork").Process(
        target=killed, args=(search, folder, n_done)
    )
    process.start()
    process.join()
    assert process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("method", ["grid", "random", "bayes"])
def test_a_killed_sweep_ends_as_one_that_was_not(tmp_path: Path, method: str) -> None:
    (tmp_path / "whole").mkdir()
    whole = SharedStudy(sweep(method), tmp_path / "whole")
    assert whole.prepare() == 0
    expected = run_all(whole)
    assert len(expected) == 6

    kill(sweep(method), tmp_path, 2)
    kill(sweep(method), tmp_path, 1)
    study = SharedStudy(sweep(method), tmp_path)
    assert [trial.state for trial in study.trials if trial.state == TrialState.RUNNING]
    assert study.prepare() == 3
    run_all(study)
    assert [trial.params for trial in study.trials] == expected
    assert {trial.state for trial in study.trials} == {TrialState.COMPLETE}
    assert [t.value for t in study.trials] == [value(params) for params in expected]
    assert study.ask() is None


def test_a_grid_is_tried_point_by_point(tmp_path: Path) -> None:
    study = SharedStudy(sweep(), tmp_path)
    study.prepare()
    assert run_all(study) == [{X: x, Y: y} for x in (0, 1, 10) for y in (0, 0.5)]


def test_a_grid_that_was_queued_in_part_is_queued_to_its_end(tmp_path: Path) -> None:
    study = SharedStudy(sweep(), tmp_path)
    study.study.set_user_attr("sweep", sweep().identity())
    study.study.enqueue_trial(sweep().points()[0])  # and here the power went
    study.prepare()
    assert run_all(study) == sweep().points()


def test_workers_never_get_the_same_trial(tmp_path: Path) -> None:
    SharedStudy(sweep(), tmp_path).prepare()
    workers = [SharedStudy(sweep(), tmp_path) for _ in range(3)]
    asked = [worker.ask() for worker in workers * 3]
    numbers = [trial.number for trial in asked if trial is not None]
    assert numbers == [0, 1, 2, 3, 4, 5]
    assert asked[6:] == [None, None, None]


def test_a_sweep_can_be_made_longer(tmp_path: Path) -> None:
    study = SharedStudy(sweep("random", n_trials=2), tmp_path)
    study.prepare()
    first = run_all(study)
    longer = SharedStudy(sweep("random", n_trials=4), tmp_path)
    assert longer.prepare() == 2
    assert len(run_all(longer)) == 2
    assert [trial.params for trial in longer.trials[:2]] == first


def test_another_sweep_in_the_folder_is_refused(tmp_path: Path) -> None:
    SharedStudy(sweep(), tmp_path).prepare()
    with pytest.raises(UserError, match=r"fixed: \['a=1'\] there, \['a=2'\] here.*--folder"):
        SharedStudy(sweep(fixed=("a=2",)), tmp_path).prepare()
    # Where a run reads and writes is no other sweep.
    SharedStudy(sweep(fixed=("a=1", "paths.artifacts=elsewhere")), tmp_path).prepare()


def test_a_file_that_is_no_study_is_refused(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text("something else")
    with pytest.raises(UserError, match=r"study.sqlite: cannot be used .*delete it"):
        SharedStudy(sweep(), tmp_path)


def test_bayes_learns_where_the_best_lies(tmp_path: Path) -> None:
    study = SharedStudy(sweep("bayes", n_trials=20), tmp_path)
    study.prepare()
    asked = run_all(study)
    distance = [abs(params[X] - 1) for params in asked]
    assert sum(distance[10:]) < sum(distance[:10]) / 2  # the first ten are drawn at random


def test_of_three_one_passes_a_rung(tmp_path: Path) -> None:
    study = SharedStudy(sweep(halving=Halving(min_iter=2, eta=3)), tmp_path)
    study.prepare()
    ended = []
    for best in (0.3, 0.1, 0.2, 0.5):
        trial = study.ask()
        assert trial is not None
        trial.report(best, 1)
        assert not trial.should_prune()  # before the first rung
        trial.report(best, 2)
        ended.append(trial.should_prune())
    assert ended == [False, True, True, False]


def test_importance_asks_for_three_finished_trials_a_parameter(tmp_path: Path) -> None:
    study = SharedStudy(sweep(), tmp_path)
    study.prepare()
    run_all(study, 5)
    assert importance(study) == {}
    run_all(study)
    assert importance(study).keys() == {X, Y}
    assert sum(importance(study).values()) == pytest.approx(1)
