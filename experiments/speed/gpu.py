"""Training through Lightning on a CUDA device: events/s, how busy it is, and who waits for it.

python gpu.py CSV PRECISION...
"""

import csv
import sys
import time
from functools import partial

import lightning as L
import torch
from synthetic import domain

from crossrec.data.datamodule import DomainDataModule
from crossrec.models.lightgcn import LightGCN
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR, Softmax
from crossrec.training.recommender import RecommenderTraining

SIZE = (100_000, 50_000, 2_000_000)
STEPS = 200
ROWS = (
    ("MF, BPR", MatrixFactorization, BPR, 2_048),
    ("MF, BPR", MatrixFactorization, BPR, 65_536),
    ("LightGCN, BPR", LightGCN, BPR, 65_536),
    ("SASRec, softmax", SASRec, Softmax, 65_536),
)


class Clock(L.Callback):
    """Seconds of the steps after the first twenty, and the device's part of them."""

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        if trainer.global_step == 20:
            torch.cuda.synchronize()
            self.start = time.perf_counter()
        if trainer.global_step == STEPS:
            self.issued = time.perf_counter() - self.start
            torch.cuda.synchronize()
            self.seconds = time.perf_counter() - self.start


def main(file: str, precisions: list[str]) -> None:
    """Every model with every precision, into a CSV file."""
    if not torch.cuda.is_available():
        sys.exit("error: no CUDA device: on a processor run experiments/speed/own.sh")
    drawn = domain(*SIZE, n_queries=10)
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            ["model", "events a batch", "precision", "events/s", "steps issued ahead", "peak MB"]
        )
        for name, make, objective, size in ROWS:
            for precision in precisions:
                torch.cuda.reset_peak_memory_stats()
                model = build_model(partial(make, dim=64), drawn, None, 0)
                module = RecommenderTraining(model, drawn, objective(), 1e-3, 1e-2)
                clock = Clock()
                trainer = L.Trainer(
                    accelerator="gpu",
                    devices=1,
                    precision=precision,
                    max_epochs=-1,
                    max_steps=STEPS,
                    callbacks=[clock],
                    logger=False,
                    enable_checkpointing=False,
                    enable_progress_bar=False,
                    enable_model_summary=False,
                    limit_val_batches=0,
                )
                trainer.fit(module, datamodule=DomainDataModule(drawn, model.max_history, size, 0))
                rate = size * (STEPS - 20) / clock.seconds
                ahead = 1 - clock.issued / clock.seconds  # 0: the processor is the slower side
                peak = torch.cuda.max_memory_allocated() / 2**20
                row = [name, size, precision, f"{rate:.0f}", f"{ahead:.3f}", f"{peak:.0f}"]
                writer.writerow(row)
                print(*row, flush=True)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
