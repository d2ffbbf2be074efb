"""The study of a sweep: Optuna's, in one SQLite file that survives kills and that workers share."""

import json
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import optuna
from optuna.exceptions import ExperimentalWarning, StorageInternalError
from optuna.samplers import BaseSampler, RandomSampler, TPESampler
from optuna.trial import FrozenTrial, Trial, TrialState
from sqlalchemy import URL
from sqlalchemy.exc import SQLAlchemyError

from crossrec.errors import UserError
from crossrec.locking import lock
from crossrec.sweeping.sweep_file import Sweep

FILE, NAME = "study.sqlite", "sweep"
SECONDS = 120  # that one worker waits for another to write


class SharedStudy:
    """A sweep's trials, dealt to workers.

    Args:
        sweep: what is searched.
        folder: of the sweep; holds the SQLite file.

    Raises:
        UserError: the file cannot be used.
    """

    def __init__(self, sweep: Sweep, folder: Path) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self.sweep, self.folder = sweep, folder
        url = URL.create("sqlite", database=str(folder / FILE)).render_as_string()
        connection = {"connect_args": {"timeout": SECONDS}}
        pruner: optuna.pruners.BasePruner = optuna.pruners.NopPruner()
        if sweep.halving:
            pruner = optuna.pruners.SuccessiveHalvingPruner(
                sweep.halving.min_iter, sweep.halving.eta
            )
        try:
            self.storage = optuna.storages.RDBStorage(url, engine_kwargs=connection)
            self.study = optuna.create_study(
                storage=self.storage,
                study_name=NAME,
                direction=sweep.goal,
                pruner=pruner,
                load_if_exists=True,
            )
        except (SQLAlchemyError, StorageInternalError, RuntimeError) as error:
            why = str(error.__cause__ or error).splitlines()[0]
            raise UserError(
                f"{folder / FILE}: cannot be used ({why}); delete it, or give --folder DIR"
            ) from error

    @property
    def trials(self) -> list[FrozenTrial]:
        """All trials by number, those that wait included."""
        return self.study.get_trials(deepcopy=False)

    def prepare(self) -> int:
        """Make the study ready for workers, whatever an earlier command left of it.

        Trials that were running when it was killed wait again, with the parameters that they have;
        points of a grid that nobody has queued are queued.

        Returns:
            How many trials are finished already.

        Raises:
            UserError: the folder holds another sweep.
        """
        known = self.study.user_attrs.get("sweep")
        if known is None:
            self.study.set_user_attr("sweep", self.sweep.identity())
        elif known != self.sweep.identity():
            raise UserError(
                f"{self.folder} holds a sweep with other settings "
                f"({_difference(known, self.sweep.identity())}): give --folder DIR for a new one"
            )
        study = self.storage.get_study_id_from_name(NAME)
        for trial in self.study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            place = self.storage.get_trial_id_from_study_id_trial_number(study, trial.number)
            self.storage.set_trial_state_values(place, TrialState.WAITING)
        for point in self.sweep.points()[len(self.trials) :]:
            self.study.enqueue_trial(point)
        return sum(trial.state.is_finished() for trial in self.trials)

    def ask(self) -> Trial | None:
        """The next trial, with its parameters; None if all have been given out.

        A draw depends on the trial's number and on what is known by then: a sweep that is killed
        and goes on draws what it would have drawn.
        """
        with self._alone():
            trials = self.trials
            waiting = [trial.number for trial in trials if trial.state == TrialState.WAITING]
            number = min(waiting, default=len(trials))
            if number >= self.sweep.n_trials:
                return None
            self.study.sampler = _sampler(self.sweep.method, seed=number)
            return self.study.ask(self.sweep.space)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with lock(self.folder / ".ask.lock", lambda: None):
            yield


def _sampler(method: str, seed: int) -> BaseSampler:
    if method != "bayes":
        return RandomSampler(seed)  # points of a grid are queued: nothing is drawn
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        # Trials that run count as bad ones, so that workers do not all try the same.
        return TPESampler(seed=seed, constant_liar=True)


def _difference(known: str, wanted: str) -> str:
    before, after = json.loads(known), json.loads(wanted)
    return "; ".join(
        f"{key}: {before.get(key)} there, {after.get(key)} here"
        for key in after
        if before.get(key) != after.get(key)
    )
