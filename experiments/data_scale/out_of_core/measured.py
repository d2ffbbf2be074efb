"""Run a command and add a line to a table of what it took.

    python measured.py TABLE.csv WHAT ROWS SCRATCH COMMAND...

Wall and processor seconds, the greatest memory of it and its children together (resident MiB,
looked at five times a second), and the most that lay in SCRATCH/spill and elsewhere in SCRATCH.
The command is noted without the repository's own path.
"""

import csv
import os
import subprocess
import sys
import time
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[3]
INTERVAL = 0.2
MIB = 1 << 20
TICK, PAGE = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")


def processes(root: int) -> dict[int, tuple[float, int]]:
    """Processor seconds and resident bytes of a process and all below it, by number."""
    parents, figures = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(") ")[2].split()
        except OSError:  # it has ended
            continue
        number = int(stat.parent.name)
        parents[number] = int(fields[1])
        seconds = (int(fields[11]) + int(fields[12])) / TICK
        figures[number] = (seconds, int(fields[21]) * PAGE)
    ours = {root}
    for number in sorted(parents):  # a child's number may be below its parent's: go on until done
        line = [number]
        while line[-1] in parents and line[-1] not in ours:
            line.append(parents[line[-1]])
        if line[-1] in ours:
            ours.update(line)
    return {number: figures[number] for number in ours if number in figures}


def size(folder: Path) -> int:
    """Bytes of the files in a folder."""
    total = 0
    for path, _, names in os.walk(folder):
        for name in names:
            try:
                total += os.stat(os.path.join(path, name)).st_size
            except OSError:  # it has been removed
                continue
    return total


def main() -> None:
    """Run, look, and write the line."""
    table, what, rows, scratch, *command = sys.argv[1:]
    begin = time.monotonic()
    process = subprocess.Popen(command)
    cpu: dict[int, float] = {}
    peak = spilled = tables = 0
    while process.poll() is None:
        seen = processes(process.pid)
        cpu.update((number, seconds) for number, (seconds, _) in seen.items())
        peak = max(peak, sum(resident for _, resident in seen.values()))
        spill = size(Path(scratch) / "spill")
        spilled, tables = max(spilled, spill), max(tables, size(Path(scratch)) - spill)
        time.sleep(INTERVAL)
    if process.returncode:
        sys.exit(f"{' '.join(command)} failed")
    figures = {
        "what": what,
        "rows": rows,
        "wall_s": round(time.monotonic() - begin, 1),
        "cpu_s": round(sum(cpu.values()), 1),
        "peak_mib": peak // MIB,
        "spilled_mib": spilled // MIB,
        "tables_mib": tables // MIB,
        "command": " ".join(command).replace(f"{REPOSITORY}/", ""),
    }
    new = not Path(table).exists()
    with open(table, "a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, figures, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(figures)


if __name__ == "__main__":
    main()
