"""Kill the main job or a sweep at a moment drawn at random, run the same command again, compare.

    python kills.py FOLDER RESULTS.csv SEED FIRST LAST

makes the kills FIRST to LAST - 1 of the twenty and appends a row for each.
"""

import csv
import os
import queue
import random
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

from scene import STAGES, Scene, stages_said

# Twenty moments: where a stage is named, at a random share of the time that it takes undisturbed;
# where files are named, as soon as one of them is seen.
MOMENTS = [
    *(("stage", name) for name in ("download", "download", *STAGES[1:], "recommend", "evaluate")),
    *(("stage", name) for name in ("collect", "source", "report")),
    ("file", "artifacts/vectors/*/.*.tmp"),
    ("file", "artifacts/.*.tmp/checkpoint.partial"),
    ("file", "artifacts/.*.tmp/artifact.json"),
    *(("sweep", str(trial)) for trial in range(4)),
    ("sweep", "winner"),
]
FIELDS = (
    *("number", "moment", "seconds", "last_line", "finished_before", "repeated"),
    *("exit_code", "equal", "missing", "stray"),
)
SWEEP = """
program: crossrec/train.py
command: ["${{env}}", "${{interpreter}}", "-m", "crossrec.train", {overrides}, "logger=wandb",
  "${{args_no_hyphens}}"]
method: grid
metric: {{name: valid/target/ndcg@10, goal: maximize}}
parameters: {{transfer.lambda: {{values: [0, 1]}}, transfer.mu: {{values: [0, 1]}}}}
"""


class Watched:
    """A running command, its lines as they come, and when they came."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process, self.begun = process, time.monotonic()
        self.lines: list[tuple[float, str]] = []
        self.news: queue.Queue[str | None] = queue.Queue()
        threading.Thread(target=self._read, daemon=True).start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.lines.append((time.monotonic() - self.begun, line.rstrip("\n")))
            self.news.put(line)
        self.news.put(None)

    def wait_for(self, pattern: str) -> None:
        """Until a line like that comes, or the end."""
        while (line := self.news.get()) is not None and not re.search(pattern, line):
            pass

    def kill(self) -> list[str]:
        """SIGKILL to it and all that it started; what it had said."""
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()
        while self.news.get() is not None:
            pass
        return [line for _, line in self.lines]


def spans(lines: list[tuple[float, str]]) -> dict[str, tuple[str, float]]:
    """Stage -> the pattern of the line at which it begins, and how long it takes."""
    ends = [r": .* -> .*, seed", *(rf"\] {name} +made" for name in STAGES)]
    ends += [r"\] recommend  ", r"\] evaluate  ", "run folder"]
    times = [next(t for t, line in lines if re.search(end, line)) for end in ends]
    names = (*STAGES, "recommend", "evaluate", "report")
    found = {
        name: (ends[place], times[place + 1] - times[place]) for place, name in enumerate(names)
    }
    found["download"] = (ends[0], found["collect"][1])  # the first thing that this stage does
    return found


def sweep_command(scene: Scene) -> list[str]:
    """A grid of four trials over the same job."""
    told = [part for part in scene.command()[3:] if not part.startswith("hydra.run.dir")]
    file = scene.folder.with_name(f"{scene.folder.name}.yaml")
    file.write_text(SWEEP.format(overrides=", ".join(f'"{part}"' for part in told)))
    where = ["--folder", str(scene.folder / "sweep")]
    return [sys.executable, "-m", "crossrec.sweep", str(file), *where]


def main(folder: Path, results: Path, seed: int, first: int, last: int) -> None:
    scene = Scene(folder)
    whole: dict[str, tuple[dict[str, str], set[str], list[tuple[float, str]]]] = {}
    for number in range(first, last):
        kind, where = MOMENTS[number]
        command = sweep_command(scene) if kind == "sweep" else scene.command()
        job = command[2]
        if job not in whole:
            scene.clear()
            watched = Watched(scene.start(command))
            assert watched.process.wait() == 0, watched.lines
            watched.wait_for("^$")
            whole[job] = scene.results(), scene.files(), watched.lines
        wanted, files, lines = whole[job]
        scene.clear()
        watched = Watched(scene.start(command))
        draw = random.Random(f"{seed} {number}")
        if kind == "stage":
            begin, takes = spans(lines)[where]
            watched.wait_for(begin)
            time.sleep(draw.random() * takes)
        elif kind == "file":
            while not any(scene.folder.glob(where)) and watched.process.poll() is None:
                time.sleep(0.0005)
        else:
            ends = [t for t, line in lines if re.search(r"grid, 4 trials|\] trial |best: ", line)]
            ends += [lines[-1][0]]
            place = 5 if where == "winner" else int(where)
            watched.wait_for(
                "best: " if place == 5 else f"trial {place - 1} " if place else "4 trials"
            )
            time.sleep(draw.random() * (ends[place + 1] - ends[place]))
        seconds = time.monotonic() - watched.begun
        was_running = watched.process.poll() is None
        said = watched.kill() if was_running else ["had ended"]
        done = set(stages_said(said, "made"))
        trials = {found[1] for line in said if (found := re.search(r"trial (\d+) .*\(", line))}
        code, again = scene.finish(command)
        repeated = done & set(stages_said(again, "made")) if kind != "sweep" else set()
        repeated |= {
            trial for trial in trials if any(re.search(rf"trial {trial} ", line) for line in again)
        }
        found = scene.files()
        row = {
            "number": number,
            "moment": f"{kind}: {where}",
            "seconds": round(seconds, 2),
            "last_line": said[-1][:60] if said else "",
            "finished_before": len(done) + len(trials),
            "repeated": " ".join(sorted(repeated)),
            "exit_code": code,
            "equal": sum(scene.results().get(name) == digest for name, digest in wanted.items())
            / len(wanted),
            "missing": " ".join(sorted(files - found)),
            "stray": " ".join(sorted(found - files)),
        }
        print(row, flush=True)
        new = not results.exists()
        with results.open("a", newline="") as stream:
            writer = csv.DictWriter(stream, FIELDS)
            if new:
                writer.writeheader()
            writer.writerow(row)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:6]))
