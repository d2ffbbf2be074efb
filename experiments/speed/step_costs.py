"""Where the time of a training step goes, and what L2-SP adds to it.

python step_costs.py CSV     milliseconds of processor time, medians over steps, in turn
"""

import csv
import statistics
import sys
import time
from functools import partial

import torch
from synthetic import domain

from crossrec.data.datamodule import DomainDataModule
from crossrec.models.lightgcn import LightGCN
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR
from crossrec.training.recommender import RecommenderTraining
from crossrec.transfer.anchor import Anchor
from crossrec.transfer.parameters.l2_sp import L2SP

SIZES = {"6,038 x 3,307 x 670,000": (6_038, 3_307, 670_000), "wide": (6_038, 1_000_000, 670_000)}
STEPS = 150


def costs(make: type, size: tuple[int, int, int], n_steps: int) -> dict[str, float]:
    """Medians over steps of a model at a size."""
    drawn = domain(*size, n_queries=10)
    model = build_model(partial(make, dim=64), drawn, None, 0)
    module = RecommenderTraining(model, drawn, BPR(), 1e-3, 1e-2)
    module.on_train_epoch_start()
    optimizer = module.configure_optimizers()
    values = {name: p.detach().clone() for name, p in model.named_parameters()}
    anchor, method = Anchor(values, {}, 1.0), L2SP(1.0)
    taken: dict[str, list[float]] = {
        part: [] for part in ("batch", "forward", "backward", "optimizer", "l2_sp")
    }
    begun = time.process_time()
    for number, batch in enumerate(DomainDataModule(drawn, 1, 2048, 0).train_dataloader()):
        marks = [begun, time.process_time()]
        optimizer.zero_grad()
        loss = module.training_step(batch, number)
        marks.append(time.process_time())
        loss.backward()
        marks.append(time.process_time())
        optimizer.step()
        marks.append(time.process_time())
        if size[1] < 50_000:  # a table that is trained by rows has no anchor
            method.after_step(model, anchor, 1e-3)
        marks.append(time.process_time())
        for part, start, end in zip(taken, marks, marks[1:], strict=False):
            taken[part].append((end - start) * 1e3)
        begun = time.process_time()
        if number == n_steps:
            break
    return {part: statistics.median(values[5:]) for part, values in taken.items()}


def main(file: str) -> None:
    """Every model and size, into a CSV file."""
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["model", "size", "threads", "part", "ms"])
        for model, size, n_steps in (
            (MatrixFactorization, "6,038 x 3,307 x 670,000", STEPS),
            (MatrixFactorization, "wide", STEPS),
            (LightGCN, "6,038 x 3,307 x 670,000", 30),
        ):
            for part, value in costs(model, SIZES[size], n_steps).items():
                row = [model.__name__, size, torch.get_num_threads(), part, f"{value:.3f}"]
                writer.writerow(row)
                print(*row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
