"""RecBole 1.2.1's side: the steps of its run_recbole, patched to run on today's scipy.

    python experiments/speed/peers/recbole_driver.py MODEL DATA NAME EPOCHS [MAX_STEPS]

MAX_STEPS ends a training whose epoch would take too long; then there is no ranking and no quality.
"""

import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
import torch
from clock import THREADS, FirstStep, now, rate, report, since_command, timed
from recbole.config import Config
from recbole.data import create_dataset, data_preparation
from recbole.utils import get_model, get_trainer, init_seed

# scipy 1.13 took this away; RecBole's graph models fill their adjacency with it.
sp.dok_matrix._update = lambda self, entries: self._dict.update(entries)
MODELS = {
    "bpr": "BPR",
    "lightgcn": "LightGCN",
    "sasrec": "SASRec",
    "ease": "EASE",
    "itemknn": "ItemKNN",
}
# Those that are no default of RecBole's: crossrec's sizes and dropout where it has one size alone.
OF_MODEL: dict[str, dict[str, Any]] = {
    "sasrec": {
        "inner_size": 64,
        "hidden_dropout_prob": 0.2,
        "attn_dropout_prob": 0.2,
        "MAX_ITEM_LIST_LENGTH": 50,
        "train_neg_sample_args": None,
    },
}


class Enough(Exception):
    """MAX_STEPS are done."""


def main(model: str, data: Path, name: str, epochs: int, max_steps: int | None) -> None:
    """Train, rank the validation users in full, and report."""
    torch.set_num_threads(THREADS)
    first = FirstStep()
    config = Config(MODELS[model], name, config_dict=configuration(data, name, epochs, model))
    init_seed(config["seed"], config["reproducibility"])
    dataset = create_dataset(config)
    train, valid, test = data_preparation(config, dataset)
    n_train = len(train.dataset)
    start = now()
    network = get_model(config["model"])(config, train.dataset).to(config["device"])
    built = now() - start
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
    if max_steps:
        report(**of_steps(trainer, train, max_steps, first))
        return
    seconds = watch(trainer)
    start = now()
    trainer.fit(train, valid, saved=False, show_progress=False)
    fitted = now() - start
    trainer.evaluate(test, load_best_model=False, show_progress=False)
    whole = since_command()  # all that run_recbole does
    ranking, result = timed(
        lambda: trainer.evaluate(valid, load_best_model=False, show_progress=False)
    )
    trains = model not in ("ease", "itemknn")
    report(
        whole_s=whole,
        first_step_s=first.seconds,
        interactions_per_s=rate([(n_train, taken) for taken in seconds]) if trains else None,
        fit_s=fitted if trains else built,
        users_per_s=len(valid.uid_list) / ranking if hasattr(valid, "uid_list") else None,
        ndcg=float(result["ndcg@10"]),
    )


def configuration(data: Path, name: str, epochs: int, model: str) -> dict[str, Any]:
    """Its defaults, but for where files are, sizes and learning rate."""
    last = name.endswith("-last")
    return {
        "data_path": str(data),
        "benchmark_filename": None if last else ["train", "valid", "test"],
        "load_col": {"inter": ["user_id", "item_id", "timestamp"]},
        "eval_args": {
            "split": {"LS": "valid_and_test"} if last else {"RS": [0.8, 0.1, 0.1]},
            "group_by": "user",
            "order": "TO" if last else "RO",
            "mode": "full",
        },
        "epochs": epochs,
        "stopping_step": epochs + 1,
        "train_batch_size": 2048,
        "eval_batch_size": 409600,
        "valid_metric": "NDCG@10",
        "embedding_size": 64,
        "learning_rate": 1e-2,  # as crossrec's experiment; better here than the 1e-3 it has
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        "checkpoint_dir": str(data / "run"),
        **OF_MODEL.get(model, {}),
    }


def watch(trainer: Any) -> list[float]:
    """Collects the seconds of each training epoch, without the validation that follows it."""
    seconds: list[float] = []
    whole: Callable[..., Any] = trainer._train_epoch

    def train_epoch(*args: Any, **kwargs: Any) -> Any:
        start = now()
        loss = whole(*args, **kwargs)
        seconds.append(now() - start)
        return loss

    trainer._train_epoch = train_epoch
    return seconds


def of_steps(trainer: Any, train: Any, max_steps: int, first: FirstStep) -> dict[str, float | None]:
    """Interactions/s from a few steps; each interaction is a sequence of its own here."""
    step = trainer.optimizer.step

    def counted(*args: Any, **kwargs: Any) -> Any:
        result = step(*args, **kwargs)
        if len(first.times) > max_steps:
            raise Enough
        return result

    trainer.optimizer.step = counted
    with suppress(Enough):
        trainer.fit(train, None, saved=False, show_progress=False)
    seconds = float(np.median(np.diff(first.times)))
    return {"first_step_s": first.seconds, "interactions_per_s": train.step / seconds}


if __name__ == "__main__":
    _, chosen, folder, data_set, n_epochs, *limit = sys.argv
    del sys.argv[1:]  # RecBole reads them, too
    main(chosen, Path(folder), data_set, int(n_epochs), int(limit[0]) if limit else None)
