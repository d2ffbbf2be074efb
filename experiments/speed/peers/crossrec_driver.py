"""crossrec's side: its own configuration, its public functions, its Trainer.

    python experiments/speed/peers/crossrec_driver.py MODEL DATA NAME EPOCHS [OVERRIDE...]

MODEL is a model of one domain (NAME is ml-1m or ml-100k, with -random or -last), or a transfer
method on the pair of both.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning as L
import torch
from clock import THREADS, K, now, rate, report, timed
from compose import settings

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.prepared import load_pair
from crossrec.encoders.content import Content
from crossrec.evaluation.metrics import METRICS
from crossrec.evaluation.ranking import Ranking, rank
from crossrec.models.ease import EASE
from crossrec.models.item_knn import ItemKNN
from crossrec.stages.scoring import Scorer, of_baseline, of_model, of_pair_model, train_matrix
from crossrec.training.fitting import build_model, fit_source
from crossrec.training.pair_training import PairTraining, fit_pair
from crossrec.transfer.pair_model import domain_of

# The sizes and losses of the peers. RecBole's batches of 2048 hold 2048 positives where it trains
# in pairs, and 1024 positives and as many negatives where it trains in points.
BPR = ["objective=bpr", "training.events_per_batch=2048"]
POINTS = ["objective=logistic", "objective.n_negatives=1", "training.events_per_batch=1024"]
SETTINGS = {
    "bpr": [*BPR, "model=mf"],
    "lightgcn": [*BPR, "model=lightgcn", "model.n_layers=2"],
    "sasrec": ["model=sasrec", "objective=softmax"],
    "cmf": [*POINTS, "transfer=cmf"],
    "conet": [*POINTS, "transfer=conet", "transfer.layers=[64,32,16,8]"],
    "bitgcf": [*POINTS, "transfer=bitgcf"],
    "emcdr": [*BPR, "transfer=emcdr", "transfer.mapping=mlp"],
}
LINEAR: dict[str, Callable[[], Any]] = {
    "ease": lambda: EASE(250.0),
    "itemknn": lambda: ItemKNN(100, 0.0),
}


class Epochs(L.Callback):
    """Interactions and seconds of each training epoch, and what validation said after it.

    Args:
        pair: of the domains that are trained on.
    """

    def __init__(self, pair: DomainPair) -> None:
        self.pair = pair
        self.epochs: list[tuple[int, float]] = []
        self.reached: list[float] = []

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The clock starts."""
        self.start = now()

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """The epoch's training is over: a pass over what leads it, with as much of other sides."""
        seconds = now() - self.start
        if isinstance(pl_module, PairTraining):
            reads = pl_module.phase.reads
            passed, sides = domain_of(self.pair, reads[0]), len(reads)
            learned = pl_module.phase.name != "map"  # which learns from no interaction
        else:
            passed, sides, learned = pl_module.domain, 1, True
        self.epochs.append((learned * sides * len(passed.train_events()[0]), seconds))

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """What the epoch reached."""
        self.reached.append(float(trainer.callback_metrics["valid/ndcg@10"]))


def main(model: str, data: Path, name: str, epochs: int, overrides: list[str]) -> None:
    """Train, rank the validation queries in full, and report."""
    torch.set_num_threads(THREADS)
    place = json.loads((data / "places.json").read_text())
    pair = load_pair(Path(place["leave_one_out" if name.endswith("-last") else "ratio"]))
    domain = pair.source if name.startswith("ml-1m") else pair.target_only
    clock = Epochs(pair)
    start = now()
    if model in LINEAR:
        matrix = train_matrix(domain)
        scorer = of_baseline(LINEAR[model]().fit(matrix).score, domain.n_items)
    else:
        domain, scorer = trained(model, pair, domain, data, epochs, overrides, clock)
    fit = now() - start
    seconds, ranking = timed(lambda: ranked(domain, scorer))
    report(
        interactions_per_s=rate(clock.epochs),
        fit_s=fit,
        users_per_s=len(domain.valid) / seconds,
        ndcg=clock.reached[-1] if clock.reached else ndcg_of(domain, ranking),
    )
    if clock.reached:
        print("by epoch", " ".join(f"{value:.4f}" for value in clock.reached))


def trained(
    model: str,
    pair: DomainPair,
    domain: Domain,
    data: Path,
    epochs: int,
    overrides: list[str],
    clock: Epochs,
) -> tuple[Domain, Scorer]:
    """The domain that is ranked, and what ranks it after so many epochs."""
    quiet = ["trainer.enable_progress_bar=false", f"trainer.max_epochs={epochs}"]
    s = settings(data, [*SETTINGS[model], f"training.patience={epochs}", *quiet, *overrides])

    def make_trainer(callbacks: list[L.Callback], **limits: Any) -> L.Trainer:
        trainer: L.Trainer = s.trainer.make(
            callbacks=[*callbacks, clock], logger=False, default_root_dir=data / "run", **limits
        )
        return trainer

    if any(word.startswith("transfer=") for word in SETTINGS[model]):
        method = s.transfer.make()
        content = Content(None, None, None)
        fit_pair(method, pair, content, s.objective.make, make_trainer, s.training, s.seed)
        return pair.target, of_pair_model(method)
    network = build_model(s.model.make, domain, None, s.seed)
    fit_source(network, domain, s.objective.make(), make_trainer, s.training, s.seed)
    return domain, of_model(network)


def ranked(domain: Domain, scorer: Scorer) -> Ranking:
    """Every validation query over the whole catalog, with the five metrics that RecBole takes."""
    queries = domain.valid.queries()
    ranking = rank(scorer(domain.valid.history), queries, domain.n_items, K, beyond_k=False)
    for metric in METRICS.values():
        metric(ranking.truth_ranks, ranking.truth_offsets, K)
    return ranking


def ndcg_of(domain: Domain, ranking: Ranking) -> float:
    """Mean NDCG@10."""
    return float(METRICS["ndcg"](ranking.truth_ranks, ranking.truth_offsets, K).mean())


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3], int(sys.argv[4]), sys.argv[5:])
