"""The guard at work: which rows of the table it mixes, and by which weights."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from crossrec.data.domain import Domain
from crossrec.evaluation.mixing import choose_weights
from crossrec.evaluation.ranking import rank
from crossrec.lineage import code_behind
from crossrec.stages.learning import account_of
from crossrec.stages.scoring import Contestant, Mixture, calibrated
from crossrec.stages.staging import Staging

log = logging.getLogger(__name__)


def guard(
    stage: str,
    staging: Staging,
    contestants: Sequence[Contestant],
    target: Domain,
    reads: dict[str, Any],
    predicts_ratings: bool,
) -> Path:
    """Choose the weights of a mixture on validation, and keep them.

    A model that ranks is mixed by NDCG@10. One that predicts ratings is chosen, not mixed: the one
    whose ratings are nearest, for a sum of standardized scores is no rating.

    Args:
        stage: name of the stage.
        contestants: the rows of the table so far, baselines included.
        target: whose validation queries are asked.
        reads: what the contestants depend on, for the artifact's key.
        predicts_ratings: whether the objective is to predict ratings.

    Returns:
        A folder with training.json: monitor, best, weights and alone (values of each) by name.
    """
    names = [contestant.name for contestant in contestants]

    def make(folder: Path) -> None:
        if predicts_ratings:
            alone = [rmse(contestant, target) for contestant in contestants]
            weights = [float(place == int(np.argmin(alone))) for place in range(len(alone))]
            monitor, best = "valid/rmse", min(alone)
        else:
            blocks = [contestant.ranker.block("valid") for contestant in contestants]
            weights, alone, best = choose_weights(
                blocks, len(target.valid), target.valid.queries, target.n_items
            )
            monitor = "valid/ndcg@10"
        account = {
            "monitor": monitor,
            "best": best,
            "weights": dict(zip(names, weights, strict=True)),
            "alone": dict(zip(names, alone, strict=True)),
        }
        (folder / "training.json").write_text(json.dumps(account, indent=1) + "\n")

    code = code_behind("crossrec.stages.guarding", "crossrec.stages.baselines")
    folder = staging.stage(stage, code, {"names": names, **reads}, make)
    account = account_of(folder)
    said = ", ".join(
        f"{name} {weight:.2f}" for name, weight in account["weights"].items() if weight
    )
    log.info(
        "           %s: %s %.4f in validation",
        said,
        account["monitor"].removeprefix("valid/"),
        account["best"],
    )
    return folder


def guarded(
    name: str,
    artifact: Path,
    contestants: Sequence[Contestant],
    target: Domain,
    scale: tuple[float, float] | None,
) -> Contestant:
    """What `guard` made of the same contestants, as a row of the table."""
    weights = account_of(artifact)["weights"]
    members = [contestant for contestant in contestants if weights[contestant.name]]
    if len(members) == 1:
        return Contestant(name, members[0].ranker, members[0].ratings)
    rankers = [contestant.ranker for contestant in members]
    mixture = Mixture(target, rankers, [weights[contestant.name] for contestant in members])
    return Contestant(name, mixture, calibrated(mixture, scale) if scale else None)


def rmse(contestant: Contestant, target: Domain) -> float:
    """Root mean squared error in validation; infinite for what predicts no ratings."""
    if contestant.ratings is None:
        return float("inf")
    block = contestant.ranker.block("valid")
    ranking = rank(block, target.valid.queries(), target.n_items, 1, beyond_k=False)
    observed = target.valid.truths()[2].numpy()
    predicted = contestant.ratings(contestant.ranker.domain.valid, ranking.truth_scores)
    known = ~np.isnan(observed)
    return float(np.sqrt(np.square(predicted - observed)[known].mean()))
