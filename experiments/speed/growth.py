"""Processor time and memory against interactions, items, users, dimensions; a process a point.

python growth.py CSV            measures all points
python growth.py point ...      measures one (used by the above)
"""

import csv
import json
import resource
import subprocess
import sys
import time

BASE = {"users": 20_000, "items": 10_000, "events": 1_000_000, "dim": 64}
GROWN = {
    "events": (100_000, 1_000_000, 10_000_000),
    "items": (1_000, 10_000, 100_000, 1_000_000),
    "users": (10_000, 100_000, 1_000_000),
    "dim": (16, 64, 256),
}
COLUMNS = (
    *("grown", "users", "items", "events", "dim", "prepare_s", "order_s", "step_ms"),
    *("events_per_s", "rank_200_users_s", "peak_MB", "data_and_weights_MB"),
)
STEPS = 80


def main(file: str) -> None:
    """Every point of every curve, into a CSV file."""
    with open(file, "w", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
        writer.writeheader()
        for grown, values in GROWN.items():
            for value in values:
                size = {**BASE, grown: value}
                command = [sys.executable, __file__, "point", json.dumps(size)]
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                row = {"grown": grown, **size, **json.loads(out.splitlines()[-1])}
                writer.writerow(row)
                stream.flush()
                print(row, flush=True)


def point(size: dict[str, int]) -> dict[str, float]:
    """One size: matrix factorization with BPR in batches of 2,048 through Lightning."""
    from functools import partial

    import lightning as L
    import torch
    from synthetic import domain

    from crossrec.data.datamodule import DomainDataModule
    from crossrec.data.sequences import BatchSampler
    from crossrec.evaluation.ranking import rank
    from crossrec.models.matrix_factorization import MatrixFactorization
    from crossrec.stages.scoring import Single, of_model
    from crossrec.training.fitting import build_model
    from crossrec.training.objectives import BPR
    from crossrec.training.recommender import RecommenderTraining

    class Clock(L.Callback):
        def __init__(self) -> None:
            self.steps: list[float] = []

        def on_train_batch_end(self, *_: object) -> None:
            self.steps.append(time.process_time())

    drawn = domain(size["users"], size["items"], size["events"], n_queries=200)
    before = time.process_time()
    model = build_model(partial(MatrixFactorization, dim=size["dim"]), drawn, None, 0)
    module = RecommenderTraining(model, drawn, BPR(), 1e-3, 1e-2)
    prepared = time.process_time()
    BatchSampler(drawn.train, 1, 2048, 0)
    ordered = time.process_time()
    clock = Clock()
    trainer = L.Trainer(
        accelerator="cpu", max_epochs=-1, max_steps=STEPS, logger=False, callbacks=[clock],
        enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        num_sanity_val_steps=0, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=DomainDataModule(drawn, 1, 2048, 0))
    taken = sorted(b - a for a, b in zip(clock.steps[20:], clock.steps[21:], strict=False))
    step = taken[len(taken) // 2]
    start = time.process_time()
    with torch.no_grad():
        rank(
            Single(drawn, of_model(model)).block("valid"), drawn.valid.queries(), size["items"], 10
        )
    ranked = time.process_time() - start
    held = size["events"] * 21 + (size["users"] + size["items"]) * (size["dim"] + 1) * 4
    return {
        "prepare_s": round(prepared - before, 3),
        "order_s": round(ordered - prepared, 3),
        "step_ms": round(step * 1e3, 3),
        "events_per_s": round(2048 / step),
        "rank_200_users_s": round(ranked, 3),
        "peak_MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
        "data_and_weights_MB": round(held / 2**20),
    }


if __name__ == "__main__":
    if sys.argv[1] == "point":
        print(json.dumps(point(json.loads(sys.argv[2]))))
    else:
        main(sys.argv[1])
