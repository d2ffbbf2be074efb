"""Popularity, item-kNN and EASE on the target's own data, tuned as hard as the methods."""

import json
import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.lineage import code_behind
from crossrec.models.ease import EASE, Gram
from crossrec.models.item_knn import ItemKNN
from crossrec.models.popularity import Popularity
from crossrec.stages.scoring import (
    Contestant,
    Single,
    calibrated,
    history_matrix,
    of_baseline,
    train_matrix,
)
from crossrec.stages.staging import Staging

log = logging.getLogger(__name__)

Fitted = Callable[[csr_array], Tensor]
"""(B, n_items) interactions of B users -> their scores."""
Tuned = dict[str, dict[str, float]]
"""Baseline -> the settings that validation chose, and under METRIC what they reached there."""

# What validation chooses from.
N_NEIGHBORS, SHRINKAGE = (5, 20, 100, 300), (0.0, 10.0, 100.0, 300.0)
L2 = (3.0, 10.0, 30.0, 100.0, 300.0, 1000.0, 3000.0)
METRIC = "ndcg@10"
MAX_QUERIES = 10_000  # validation queries that choose
MAX_SIDE = 8_000  # of the matrix that EASE inverts: 0.5 GB, and some 20 seconds for each l2


def tune_baselines(staging: Staging, data: Path, target: Domain) -> Tuned:
    """What `tune` chooses, as a stage of the run: found or made.

    Args:
        data: folder of the prepared pair that `target` was read from.
    """

    def make(folder: Path) -> None:
        (folder / "settings.json").write_text(json.dumps(tune(target), indent=1) + "\n")

    code = code_behind("crossrec.stages.baselines")
    folder = staging.stage("baselines", code, {"data": data.name}, make)
    tuned: Tuned = json.loads((folder / "settings.json").read_text())
    for name, settings in tuned.items():
        said = "".join(f" {key}={x:g}" for key, x in settings.items() if key != METRIC)
        log.info("           %s:%s, %s %.4f in validation", name, said, METRIC, settings[METRIC])
    if "ease" not in tuned:
        log.info("           no ease: its matrix has over %s rows", f"{MAX_SIDE:,}")
    return tuned


def tune(target: Domain) -> Tuned:
    """Fit every setting to train and keep the first with the highest NDCG@10 in validation.

    EASE stays away where it would invert too large a matrix.

    Args:
        target: with its own data alone.
    """
    matrix = train_matrix(target)
    value = _validation(target)
    tuned: Tuned = {"popularity": {METRIC: value(Popularity().fit(matrix).score)}}
    neighbors = [
        {"n_neighbors": model.n_neighbors, "shrinkage": model.shrinkage, METRIC: value(model.score)}
        for model in ItemKNN.fit_grid(matrix, N_NEIGHBORS, SHRINKAGE)
    ]
    tuned["item-knn"] = max(neighbors, key=_reached)
    if Gram.side(matrix) <= MAX_SIDE:
        gram = Gram(matrix)
        ridges = [{"l2": l2, METRIC: value(EASE(l2).solve(gram).score)} for l2 in L2]
        tuned["ease"] = max(ridges, key=_reached)
    return tuned


def _reached(settings: dict[str, float]) -> float:
    return settings[METRIC]


def _validation(target: Domain) -> Callable[[Fitted], float]:
    """A function that says what a baseline's scores reach in validation."""
    chosen = np.random.default_rng(0).permutation(len(target.valid))[:MAX_QUERIES]
    queries = target.valid.queries(torch.from_numpy(chosen))
    known = history_matrix(target.valid.history, target.n_items)[chosen]

    def value(score: Fitted) -> float:
        ranking = rank(lambda rows: score(known[rows]), queries, target.n_items, 10, beyond_k=False)
        return float(ndcg(ranking.truth_ranks, queries.truth_offsets, 10).mean())

    return value


def baselines(target: Domain, scale: tuple[float, float] | None, tuned: Tuned) -> list[Contestant]:
    """The tuned baselines as rows of the table, fitted to train.

    What they read of a user in test is train and validation.

    Args:
        target: with its own data alone.
        scale: of ratings; None where there are none.
        tuned: what `tune` chose.
    """
    matrix = train_matrix(target)
    knn = tuned["item-knn"]
    fitted: dict[str, Fitted] = {
        "popularity": Popularity().fit(matrix).score,
        "item-knn": ItemKNN(int(knn["n_neighbors"]), knn["shrinkage"]).fit(matrix).score,
    }
    if "ease" in tuned:
        fitted["ease"] = EASE(tuned["ease"]["l2"]).fit(matrix).score
    rankers = {
        name: Single(target, of_baseline(score, target.n_items)) for name, score in fitted.items()
    }
    return [
        Contestant(name, ranker, calibrated(ranker, scale) if scale else None)
        for name, ranker in rankers.items()
    ]
