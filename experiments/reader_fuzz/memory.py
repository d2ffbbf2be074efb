"""Read files of 200 MB and measure the peak memory and the speed, each in a process of its own.

    python memory.py FOLDER OUT.csv

FOLDER needs 1 GB for files that are removed again.
"""

import csv
import gzip
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import polars as pl
from samples import WORDS, Reader

from crossrec.data.sources.amazon import Amazon
from crossrec.data.sources.tables import Tables
from crossrec.errors import UserError

BYTES = 200_000_000
BLOCK = 100_000  # rows


def _blocks() -> Iterator[pl.DataFrame]:
    """Interactions without end."""
    rng = np.random.default_rng(0)
    vocabulary = np.array([f"word{number}" for number in range(5000)] + list(WORDS))
    while True:
        words = vocabulary[np.minimum(rng.zipf(1.2, (BLOCK, 40)), len(vocabulary)) - 1]
        users, items = rng.integers(0, 1 << 40, BLOCK), rng.integers(0, 100_000, BLOCK)
        yield pl.DataFrame(
            {
                "user_id": [f"A{user:027}" for user in users],
                "item_id": [f"B0{item:08}" for item in items],
                "rating": rng.integers(1, 6, BLOCK).astype(float),
                "timestamp": rng.integers(1_300_000_000, 1_690_000_000, BLOCK),
                "review": [" ".join(line) for line in words],
            }
        )


def _reviews(path: Path) -> None:
    with gzip.open(path, "wb", compresslevel=6) as file:
        for block in _blocks():
            rows = block.rename({"item_id": "parent_asin", "review": "text"}).with_columns(
                pl.col("timestamp") * 1000,
                pl.lit("a title").alias("title"),
                pl.lit(True).alias("verified_purchase"),
            )
            file.write(rows.write_ndjson().encode())
            if path.stat().st_size > BYTES:
                return


def _table(path: Path) -> None:
    with path.open("wb") as file:
        for block in _blocks():
            block.write_csv(file, include_header=file.tell() == 0)
            if file.tell() > BYTES:
                return


def _ragged(path: Path) -> None:
    _table(path)
    with path.open("ab") as file:
        file.write(b"u,i,5,1500000000,one,field,too,many\n")


def _one_line(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"user_id": "u", "parent_asin": "i", "rating": 5, "timestamp": 1, "text": "')
        for _ in range(BYTES >> 20):
            file.write(b"x" * (1 << 20))


def _no_reviews(path: Path) -> None:
    with path.open("wb") as file:
        file.write(b'{"user_id": "u", "parent_asin": "i", "rating": 5, "timestamp": 1}\n')
        for _ in range(BYTES // 4_000_000):
            file.write(b'{"no": "review"}' * 8 + b"\n" + (b'{"no": 1}\n' * 399_000))


def _bomb(path: Path) -> None:
    with gzip.open(path, "wb") as file:
        line = b'{"user_id": "u", "parent_asin": "i", "rating": 5, "timestamp": 1}\n'
        for _ in range(10_000):  # 10 GB, of which some 30 MB are left
            file.write(line * 15_000)


def _amazon(folder: Path) -> Reader:
    return Amazon("2023", folder, False)


CASES: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Reader]]] = {
    "gzip JSON reviews": ("Toys.jsonl.gz", _reviews, _amazon),
    "CSV table": ("Toys/interactions.csv", _table, Tables),
    "CSV table, one line too long": ("Toys/interactions.csv", _ragged, Tables),
    "JSON without line ends": ("Toys.jsonl", _one_line, _amazon),
    "JSON of something else": ("Toys.jsonl", _no_reviews, _amazon),
    "gzip bomb": ("Toys.jsonl.gz", _bomb, _amazon),
}


def generate(case: str, folder: Path) -> None:
    """Write the files of a case."""
    path = folder / CASES[case][0]
    path.parent.mkdir(exist_ok=True)
    CASES[case][1](path)
    (folder / "meta_Toys.jsonl").write_text('{"parent_asin": "i"}\n')


def measure(case: str, folder: Path) -> None:
    """Read the files that are there; prints seconds, peak and rise of memory, and the outcome."""
    scratch = folder / "scratch"
    scratch.mkdir()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    try:
        raw = CASES[case][2](folder).read("Toys", scratch)
        outcome = f"{raw.n_lines - raw.n_malformed} of {raw.n_lines} lines read"
    except UserError as error:
        outcome = str(error).replace(f"{folder}/", "")
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(f"{seconds:.1f}", peak >> 10, (peak - before) >> 10, outcome, sep="\t")


def main(place: Path, out: Path) -> None:
    """Every case in a process of its own."""
    with out.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["case", "file MiB", "seconds", "peak MiB", "above start MiB", "outcome"])
        for case, (name, *_) in CASES.items():
            with tempfile.TemporaryDirectory(dir=place) as folder:
                # In processes of their own, because a process inherits its parent's peak.
                for step in ("--generate", "--measure"):
                    command = [sys.executable, __file__, step, case, folder]
                    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
                size = os.path.getsize(Path(folder) / name) >> 20
                table.writerow([case, size, *done.stdout.rstrip("\n").split("\t")])
                file.flush()


if __name__ == "__main__":
    if sys.argv[1] == "--generate":
        generate(sys.argv[2], Path(sys.argv[3]))
    elif sys.argv[1] == "--measure":
        measure(sys.argv[2], Path(sys.argv[3]))
    else:
        main(Path(sys.argv[1]), Path(sys.argv[2]))
