"""Ratings of cold users: what validation chooses, and what test would have chosen.

    python measure.py PAIR DATA OUTPUT

Trains every method on PAIR (movielens or marketplace, whose raw files are found in DATA or put
there) and adds a row a training to OUTPUT/results.csv; the errors of every epoch go to
OUTPUT/epochs, those of each test user to OUTPUT/users. What results.csv has already is not trained
again.
"""

import csv
import logging
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import polars as pl
from recording import errors_of, measured, train, trivial

from crossrec.configuration.composing import CONF, compose
from crossrec.data.pair import DomainPair
from crossrec.data.prepared import load_pair
from crossrec.stages.collecting import collect
from crossrec.stages.scoring import Contestant
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging

PAIRS = {
    "movielens": ("data=movielens", "data.source=ml-1m:Sci-Fi", "data.target=ml-1m:Romance"),
    "marketplace": ("+experiment=home_to_electronics",),
}
COMMON = (
    *("encoder=none", "pretraining=off", "model=mf", "model.dim=10", "objective=rating"),
    *("split=cold_users", "split.source_after_test=keep", "training.events_per_batch=1024"),
    "trainer.enable_progress_bar=false",
)
METHODS = {
    "tgt": ("transfer=scratch",),
    "cmf": ("transfer=cmf", "transfer.dim=10"),
    "emcdr-linear": ("transfer=emcdr", "transfer.dim=10", "transfer.mapping=linear"),
    "emcdr-mlp": ("transfer=emcdr", "transfer.dim=10", "transfer.mapping=mlp"),
    "tmcdr": ("transfer=tmcdr", "transfer.dim=10"),
    "ptupcdr": ("transfer=ptupcdr", "transfer.dim=10"),
}
RATES = (1e-3, 3e-3, 1e-2, 3e-2)
WORLDS = [(beta, seed) for beta in (0.2, 0.5, 0.8) for seed in range(5)]
TUNED_ON = WORLDS[0]
COLUMNS = (
    *("pair", "beta", "seed", "method", "learning_rate", "epochs", "epoch", "monitored"),
    *("valid_mae", "valid_rmse", "test_mae", "test_rmse"),
    *("valid_chosen_mae", "test_chosen_mae", "test_chosen_rmse", "seconds"),
)
KEY = COLUMNS[:5]
Row = dict[str, Any]


class Study:
    """The trainings of one pair, and the files that hold what they came to."""

    def __init__(self, pair: str, raw: Path, output: Path) -> None:
        self.pair, self.raw, self.output = pair, raw, output
        for folder in ("users", "epochs"):
            (output / folder).mkdir(parents=True, exist_ok=True)
        self.file = output / "results.csv"
        if not self.file.exists():
            self.file.write_text(",".join(COLUMNS) + "\n")
        read = pl.read_csv(self.file, infer_schema_length=None)
        self.rows = read.filter(pl.col("pair") == pair).to_dicts()

    def run(self, beta: float, seed: int) -> None:
        """All rows of one split: the trivial ones, then every method at every rate that is due."""
        raw, staging = self._settings(beta, seed, 0.0, "tgt"), Staging(self.output / "artifacts")
        data = collect(raw, staging)
        pair = load_pair(data)
        for name, contestant in trivial(pair).items():
            key = (self.pair, beta, seed, name, 0.0)
            if not self._has(key):
                self._write(key, measured(contestant), contestant)
        for name in METHODS:
            for rate in self._rates(name, (beta, seed)):
                key = (self.pair, beta, seed, name, rate)
                if not self._has(key):
                    self._train(key, data, pair)

    def _train(self, key: tuple[Any, ...], data: Path, pair: DomainPair) -> None:
        start = time.monotonic()
        _, beta, seed, name, rate = key
        values, epochs, made = train(self._settings(beta, seed, rate, name), data, pair)
        pl.DataFrame(epochs).write_csv(self.output / "epochs" / f"{'_'.join(map(str, key))}.csv")
        self._write(key, {**values, "seconds": round(time.monotonic() - start, 1)}, made)

    def _rates(self, method: str, world: tuple[float, int]) -> Iterator[float]:
        """All learning rates where they are chosen, elsewhere the one that validation chose."""
        if world == TUNED_ON:
            yield from RATES
            return
        at = dict(zip(("beta", "seed", "method"), (*TUNED_ON, method), strict=True))
        tuned = [row for row in self.rows if at.items() <= row.items()]
        yield min(tuned, key=lambda row: row["monitored"])["learning_rate"]

    def _has(self, key: tuple[Any, ...]) -> bool:
        return any(tuple(row[column] for column in KEY) == key for row in self.rows)

    def _write(
        self, key: tuple[Any, ...], values: dict[str, float], contestant: Contestant
    ) -> None:
        target, errors = contestant.ranker.domain, errors_of(contestant, "test")
        users = pl.DataFrame(
            {
                "user_id": target.user_ids[target.test.users.tolist()],
                "n": errors.n,
                "absolute": errors.absolute,
                "squared": errors.squared,
            }
        )
        users.write_parquet(self.output / "users" / f"{'_'.join(map(str, key))}.parquet")
        row: Row = {**dict(zip(KEY, key, strict=True)), **values}
        with self.file.open("a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, COLUMNS, restval="", lineterminator="\n").writerow(row)
        self.rows.append(row)
        print({k: round(v, 4) if isinstance(v, float) else v for k, v in row.items()}, flush=True)

    def _settings(self, beta: float, seed: int, rate: float, method: str) -> Settings:
        """What the same overrides would be on crossrec's command line."""
        given = (f"split.function.beta={beta}", f"seed={seed}", f"training.learning_rate={rate}")
        paths = (f"paths.data={self.raw}", f"paths.artifacts={self.output / 'artifacts'}")
        overrides = [*PAIRS[self.pair], *COMMON, *METHODS[method], *given, *paths]
        return compose(hydra.compose("train", overrides), self.output)


def main() -> None:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    study = Study(sys.argv[1], Path(sys.argv[2]).resolve(), Path(sys.argv[3]).resolve())
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        for beta, seed in WORLDS:
            study.run(beta, seed)


if __name__ == "__main__":
    main()
