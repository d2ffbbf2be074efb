"""A synthetic pair with a large target catalog, and the load on the service of a run with it.

python measure.py catalog FOLDER    writes FOLDER/small (source) and FOLDER/large (target)
python measure.py load RUN CSV      starts python -m crossrec.serve RUN and asks it
"""

import json
import os
import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode

import numpy as np
import polars as pl

N_USERS, EVENTS_PER_USER = 4_000, 30
N_ITEMS = {"small": 5_000, "large": 100_000}
WORDS = ["oak", "red", "lamp", "pan", "steel", "chair", "mug", "cable", "desk", "light", "bag"]
REQUESTS = 400  # of each kind
KINDS = {
    "list of 10": {"n": 10, "reasons": 0},
    "list of 10, a reason each": {"n": 10, "reasons": 1},
    "list of 10, hot": {"n": 10, "reasons": 0, "hot": 0.3, "half_life": "1d"},
}


def write_catalog(folder: Path) -> None:
    """Users with tastes: each likes one tenth of either catalog; popular items are liked more."""
    random = np.random.default_rng(0)
    for name, n_items in N_ITEMS.items():
        (folder / name).mkdir(parents=True)
        weights = 1 / (1 + np.arange(n_items // 10))
        rows = []
        for user in range(N_USERS):
            liked = random.choice(n_items // 10, EVENTS_PER_USER, False, weights / weights.sum())
            rows += [(f"u{user}", int(item) * 10 + user % 10) for item in liked]
        rows += [(f"u{item % N_USERS}", item) for item in range(n_items)]  # so all are known
        events = pl.DataFrame(rows, ["user_id", "item"], orient="row").unique(maintain_order=True)
        times = pl.Series("timestamp", 1_600_000_000 + random.permutation(len(events)))
        events.select(
            "user_id", pl.format("{}{}", pl.lit(name), "item").alias("item_id"), times
        ).write_parquet(folder / name / "interactions.parquet")
        titles = [" ".join(random.choice(WORDS, 5)) for _ in range(n_items)]
        ids = [f"{name}{item}" for item in range(n_items)]
        items = pl.DataFrame({"item_id": ids, "title": titles})
        items.write_parquet(folder / name / "items.parquet")


def measure(run: Path, csv: Path) -> None:
    """One line for each kind of request and number of clients."""
    begun = time.monotonic()
    command = [sys.executable, "-m", "crossrec.serve", str(run), "--port", "0"]
    service = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert service.stderr is not None
        address = None
        while address is None:
            line = service.stderr.readline()
            assert line, "the service did not start"
            address = re.search(r"http://127\.0\.0\.1:(\d+)", line)
        port = int(address[1])
        started = 1e3 * (time.monotonic() - begun)
        rows = [("start", 0, 1, started, None, None, _processor_ms(service.pid))]
        for clients in (1, 4):
            for kind, asked in KINDS.items():
                rows.append((kind, clients, REQUESTS, *_load(service.pid, port, clients, asked)))
            rows.append(("event", clients, REQUESTS, *_load(service.pid, port, clients, None)))
    finally:
        service.terminate()
        service.wait()
    columns = ["request", "clients", "requests", "p50_ms", "p99_ms", "per_second", "processor_ms"]
    table = pl.DataFrame(rows, columns, orient="row").with_columns(pl.col(pl.Float64).round(1))
    table.write_csv(csv)
    pl.Config.set_tbl_cols(-1)
    print(table)


def _load(
    process: int, port: int, clients: int, asked: dict[str, object] | None
) -> tuple[float, float, float, float]:
    """Median and 99th percentile in milliseconds, requests a second, processor time of each."""

    def client(number: int) -> list[float]:
        connection = HTTPConnection("127.0.0.1", port)
        random = np.random.default_rng(number)
        took = []
        for _ in range(REQUESTS // clients):
            user = f"u{random.integers(N_USERS)}"
            start = time.perf_counter()
            if asked is None:
                item = f"large{random.integers(N_ITEMS['large'])}"
                body = json.dumps({"user": user, "domain": "large", "item": item})
                connection.request("POST", "/events", body, {"Content-Type": "application/json"})
            else:
                query = urlencode({"user": user, "domain": "large", **asked})
                connection.request("GET", f"/recommendations?{query}")
            answer = connection.getresponse()
            answer.read()
            took.append(1e3 * (time.perf_counter() - start))
            assert answer.status < 300, answer.status
        return took

    spent = _processor_ms(process)
    begun = time.perf_counter()
    with ThreadPoolExecutor(clients) as pool:
        took = [ms for part in pool.map(client, range(clients)) for ms in part]
    seconds = time.perf_counter() - begun
    each = (_processor_ms(process) - spent) / len(took)
    return float(np.median(took)), float(np.quantile(took, 0.99)), len(took) / seconds, each


def _processor_ms(process: int) -> float:
    """Processor time of a process until now, as Linux counts it."""
    user, system = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return 1e3 * (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    {"catalog": write_catalog, "load": measure}[what](*map(Path, paths))
