"""Time `python -m crossrec.data` on generated pairs, and the loading of what it made.

    python measure.py FOLDER RESULTS.csv N_REVIEWS...

FOLDER/N_REVIEWS holds the files that generate.py wrote. Each size is prepared by a process of its
own, whose wall and processor seconds and greatest memory are taken, and loaded by another one.
"""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

LOAD = """
import sys, time
from pathlib import Path
from crossrec.data.prepared import load_pair
start = time.monotonic()
pair = load_pair(Path(sys.argv[1]))
print(time.monotonic() - start, len(pair.target.known.items))
"""


def measured(command: list[str]) -> tuple[dict[str, float], str]:
    """Run a command; wall and processor seconds, peak memory in GiB, and what it printed."""
    start = time.monotonic()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    said = process.stdout.read()
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        sys.exit(f"{' '.join(command)} failed")
    seconds = time.monotonic() - start
    cpu = usage.ru_utime + usage.ru_stime
    return {"wall_s": seconds, "cpu_s": cpu, "peak_gib": usage.ru_maxrss / 2**20}, said


def main() -> None:
    folder, results, sizes = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:]
    rows = []
    for size in sizes:
        artifacts = folder / size / "artifacts"
        run = [sys.executable, "-m", "crossrec.data", "data=amazon2023", "name=scale"]
        run += [f"paths.data={folder / size}", f"paths.artifacts={artifacts}"]
        run += [f"hydra.run.dir={folder / size / 'run'}"]
        figures, _ = measured(run)
        (made,) = artifacts.glob("collect-*")
        held = sum(file.stat().st_size for file in made.rglob("*") if file.is_file())
        raw = sum(file.stat().st_size for file in (folder / size).glob("*.gz"))
        _, said = measured([sys.executable, "-c", LOAD, str(made)])
        load_s, n_events = said.split()
        rows.append(
            {
                "reviews_per_domain": size,
                "raw_gz_gib": raw / 2**30,
                **figures,
                "prepared_gib": held / 2**30,
                "load_s": float(load_s),
                "events_in_target_histories": n_events,
            }
        )
        print({key: f"{float(value):.4g}" for key, value in rows[-1].items()}, flush=True)
    with results.open("w", newline="", encoding="utf-8") as file:
        table = csv.DictWriter(file, rows[0], lineterminator="\n")
        table.writeheader()
        table.writerows({key: f"{float(value):.6g}" for key, value in row.items()} for row in rows)


if __name__ == "__main__":
    main()
