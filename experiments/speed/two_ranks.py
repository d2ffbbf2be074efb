"""One rank and two (gloo, on this machine): the same validation metric, and events/s of each.

python two_ranks.py CSV
"""

import csv
import sys
import time
from functools import partial

import lightning as L
import torch
from synthetic import domain

from crossrec.data.datamodule import DomainDataModule
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR
from crossrec.training.ranks import hush
from crossrec.training.recommender import RecommenderTraining

EVENTS = 400_000


class Clock(L.Callback):
    """Events a second of the second epoch, written down by the first rank."""

    def __init__(self, file: str) -> None:
        self.file = file

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.start = time.perf_counter()

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        if trainer.is_last_batch and trainer.is_global_zero and trainer.current_epoch:
            rate = EVENTS / (time.perf_counter() - self.start)
            with open(self.file, "a") as stream:  # a spawned rank has no other way to say it
                stream.write(f"{trainer.world_size},training events/s,{rate:.0f}\n")


def trainer(n_ranks: int, epochs: int, file: str) -> L.Trainer:
    """On the processor, quiet."""
    return L.Trainer(
        accelerator="cpu",
        devices=n_ranks,
        strategy="auto" if n_ranks == 1 else "ddp_spawn",
        max_epochs=epochs,
        callbacks=[Clock(file)],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
        limit_val_batches=1.0,
        use_distributed_sampler=False,
    )


def main(file: str) -> None:
    """Validate one set of weights with both, then train two epochs with both."""
    hush()
    torch.set_num_threads(1)
    drawn = domain(5_000, 3_000, EVENTS)
    model = build_model(partial(MatrixFactorization, dim=64), drawn, None, 0)
    with open(file, "w", newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(["ranks", "what", "value"])
        for n_ranks in (1, 2):
            module = RecommenderTraining(model, drawn, BPR(), 1e-3, 1e-2)
            data = DomainDataModule(drawn, 1, 2048, 0)
            made = trainer(n_ranks, 2, file)
            (found,) = made.validate(module, datamodule=data, verbose=False)
            row = [n_ranks, "valid/ndcg@10 of the same weights", f"{found['valid/ndcg@10']:.8f}"]
            writer.writerow(row)
            print(*row, flush=True)
    for n_ranks in (1, 2):
        model = build_model(partial(MatrixFactorization, dim=64), drawn, None, 0)
        module = RecommenderTraining(model, drawn, BPR(), 1e-3, 1e-2)
        trainer(n_ranks, 2, file).fit(module, datamodule=DomainDataModule(drawn, 1, 2048, 0))


if __name__ == "__main__":
    main(sys.argv[1])
