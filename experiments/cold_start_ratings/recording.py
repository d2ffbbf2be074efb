"""One training with the errors of every epoch, in validation and in test, and rows without any."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import lightning as L
import numpy as np
import torch

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Sequences
from crossrec.encoders.content import Content
from crossrec.evaluation.ranking import ScoreBlock
from crossrec.evaluation.ratings import RatingErrors, TrainMeans, damped_mean
from crossrec.stages.judging import trained
from crossrec.stages.learning import Learning, account_of
from crossrec.stages.scoring import (
    Contestant,
    Single,
    direct,
    of_model,
    of_pair_model,
    truth_scores,
)
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.training.objectives import mean_rating
from crossrec.transfer.pair_model import PairModel

SCALE = (1.0, 5.0)
Values = dict[str, float]


class Recorder(L.Callback):
    """The errors of a model after each epoch of its last phase; the training never sees them."""

    def __init__(self, pair: DomainPair) -> None:
        self.pair = pair
        self.epochs: list[Values] = []

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Ask the model as it stands for the ratings of validation and test."""
        model: Any = pl_module.model
        if not isinstance(model, PairModel):
            ranker = Single(self.pair.target_only, of_model(model))
        elif model.phase == model.phases[-1].name:
            ranker = Single(self.pair.target, of_pair_model(model))
        else:
            return
        monitored = float(trainer.callback_metrics["valid/rmse"])
        self.epochs.append({"monitored": monitored, **measured(trained("", ranker, True, SCALE))})


def errors_of(row: Contestant, part: Literal["valid", "test"]) -> RatingErrors:
    """How wrong the ratings are that a row predicts for the users of a part, by user."""
    domain = row.ranker.domain
    held_out = domain.valid if part == "valid" else domain.test
    scores = truth_scores(row.ranker.block(part), held_out, domain.n_items)
    query, _, observed = (column.numpy() for column in held_out.truths())
    assert row.ratings is not None
    predicted = row.ratings(held_out, torch.from_numpy(scores))
    return RatingErrors.of(predicted, observed, query, len(held_out), like_at=4)


def measured(row: Contestant) -> Values:
    """MAE and RMSE over the events of validation and of test."""
    values = {}
    parts: tuple[Literal["valid", "test"], ...] = ("valid", "test")
    for part in parts:
        errors = errors_of(row, part)
        n = errors.n.sum()
        values[f"{part}_mae"] = float(errors.absolute.sum() / n)
        values[f"{part}_rmse"] = math.sqrt(errors.squared.sum() / n)
    return values


def train(
    settings: Settings, data: Path, pair: DomainPair
) -> tuple[Values, list[Values], Contestant]:
    """Train a method just as a run does.

    Args:
        data: what `collect` made.
        pair: read from it.

    Returns:
        Its errors at the epoch that the run chooses, and test errors at other choices of the
        epoch: by MAE in validation, and by MAE and by RMSE in test itself. Then the errors of every
        epoch, and the row of the results table.
    """
    recorder, make_trainer = Recorder(pair), settings.trainer.make

    def recorded(callbacks: list[L.Callback], **rest: Any) -> L.Trainer:
        trainer: L.Trainer = make_trainer(callbacks=[*callbacks, recorder], **rest)
        return trainer

    settings = replace(settings, trainer=replace(settings.trainer, make=recorded))
    with TemporaryDirectory() as place:  # a training that is reused would record nothing
        learning = Learning(settings, Staging(Path(place)), data, pair, Content(None, None, None))
        artifact = learning.train("train", settings.transfer, None)
        row = trained("", learning.open(settings.transfer, artifact), True, SCALE)
        account = account_of(artifact)
    epochs = recorder.epochs
    best = _first_lowest(epochs, "monitored")
    values = measured(row)
    # The framework's own choice and its own numbers, from the weights that it wrote.
    assert (best, len(epochs)) == (account["best_epoch"], account["epochs"])
    assert all(
        math.isclose(value, epochs[best][key], rel_tol=1e-6) for key, value in values.items()
    )
    result = {"epochs": len(epochs), "epoch": best + 1, "monitored": account["best"], **values}
    for by, metric in (("valid", "mae"), ("test", "mae"), ("test", "rmse")):
        chosen = _first_lowest(epochs, f"{by}_{metric}")
        result[f"{by}_chosen_{metric}"] = epochs[chosen][f"test_{metric}"]
    return result, epochs, row


def _first_lowest(epochs: list[Values], key: str) -> int:
    return min(range(len(epochs)), key=lambda epoch: epochs[epoch][key])


def trivial(pair: DomainPair) -> dict[str, Contestant]:
    """Rows that train nothing: the mean rating, the item's mean, and the item's mean with what the
    user gives above the items' means in the source. All are damped as elsewhere in crossrec."""
    mean = mean_rating(pair.target_only)
    item = _means(pair.target_only).items - mean
    users, items, ratings = (column.numpy() for column in pair.source.train_events())
    above = np.bincount(users, ratings - _means(pair.source).items[items], pair.source.n_users)
    user = damped_mean(above, np.bincount(users, minlength=pair.source.n_users), 0.0)

    def row(name: str, of_user: np.ndarray, of_item: np.ndarray) -> Contestant:
        scorer = _sum(torch.from_numpy(of_user), torch.from_numpy(of_item))
        return Contestant(name, Single(pair.target_only, scorer), direct(mean, SCALE))

    return {
        "mean": row("mean", user * 0, item * 0),
        "item-mean": row("item-mean", user * 0, item),
        "source-bias": row("source-bias", user, item),
    }


def _means(domain: Domain) -> TrainMeans:
    users, items, ratings = (column.numpy() for column in domain.train_events())
    return TrainMeans.of(users, items, ratings, domain.n_users, domain.n_items)


def _sum(user: torch.Tensor, item: torch.Tensor) -> Callable[[Sequences], ScoreBlock]:
    return lambda histories: lambda rows: user[histories.users[rows], None] + item
