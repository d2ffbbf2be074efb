"""A full disk, flipped bytes, and two runs at once; after each the same command ends as it should.

python faults.py disk FOLDER RESULTS.csv       (needs to be root: it mounts a tmpfs)
python faults.py bytes FOLDER RESULTS.csv SEED
python faults.py together FOLDER RESULTS.csv
"""

import csv
import json
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from scene import STAGES, Scene, stages_said

from crossrec.integrity import RECORD, damage

FIELDS = ("fault", "detail", "told", "made_again", "exit_code", "equal", "missing", "stray")
Row = dict[str, object]


class Wanted:
    """What an undisturbed run leaves."""

    def __init__(self, scene: Scene, command: list[str]) -> None:
        scene.clear()
        code, said = scene.finish(command)
        assert code == 0, said
        self.results, self.files = scene.results(), scene.files()

    def compared(self, scene: Scene) -> Row:
        """How much of it is there now."""
        now, files = scene.results(), scene.files()
        same = sum(now.get(name) == digest for name, digest in self.results.items())
        return {
            "equal": same / len(self.results),
            "missing": " ".join(sorted(self.files - files)),
            "stray": " ".join(sorted(files - self.files)),
        }


def disk(scene: Scene) -> Iterator[Row]:
    """The disk is full at some share of what a run writes; then there is room."""
    command = scene.command()
    wanted = Wanted(scene, command)
    total = sum((scene.folder / name).stat().st_size for name in wanted.files)
    place = str(scene.folder)
    for share in (0.1, 0.25, 0.4, 0.55, 0.7, 0.85):
        scene.clear()
        size = int(share * total)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", place], check=True
        )  # which covers the folder
        try:
            scene.tables()
            code, said = scene.finish(command)
            told = next((line for line in said if "error: " in line), "")
            traceback = any("Traceback" in line for line in said)
            grown = ["mount", "-o", f"remount,size={10 * total}", place]
            subprocess.run(grown, check=True)
            again, said = scene.finish(command)
            yield {
                "fault": "disk full",
                "detail": f"{size} of {total} bytes: exit code {code}",
                "told": "a traceback" if traceback else told.partition("error: ")[2][:90],
                "made_again": " ".join(stages_said(said, "made")),
                "exit_code": again,
                **wanted.compared(scene),
            }
        finally:
            subprocess.run(["umount", place], check=True)


def flip(file: Path, draw: random.Random) -> Callable[[], None]:
    """Change one bit of a file; what is returned changes it back."""
    whole = file.read_bytes()
    place = draw.randrange(len(whole))
    changed = bytes([whole[place] ^ 1 << draw.randrange(8)])
    file.write_bytes(whole[:place] + changed + whole[place + 1 :])

    def back() -> None:
        file.write_bytes(whole)

    return back


def flipped(scene: Scene, seed: int) -> Iterator[Row]:
    """A bit in every file of every artifact is named; one in each artifact is made good."""
    command = scene.command()
    wanted = Wanted(scene, command)
    draw = random.Random(seed)
    noticed, files = 0, 0
    artifacts = sorted(path.parent for path in (scene.folder / "artifacts").glob(f"*/{RECORD}"))
    for artifact in artifacts:
        for name in json.loads((artifact / RECORD).read_text())["files"]:
            back = flip(artifact / name, draw)
            files += 1
            noticed += (damage(artifact) or "").startswith(f"{name} is not what was written")
            back()
        assert damage(artifact) is None
    yield {
        "fault": "a bit in any file",
        "detail": f"{files} files of {len(artifacts)} artifacts",
        "told": f"{noticed} named",
    }
    for stage in STAGES:
        artifact = next(path for path in artifacts if path.name.startswith(f"{stage}-"))
        name = draw.choice(sorted(json.loads((artifact / RECORD).read_text())["files"]))
        flip(artifact / name, draw)
        code, said = scene.finish(command)
        told = [line for line in said if f"is damaged ({name} is not what was written" in line]
        yield {
            "fault": "a bit in one artifact",
            "detail": f"{stage}: {name}",
            "told": "named" if told else "not named",
            "made_again": " ".join(stages_said(said, "made")),
            "exit_code": code,
            **wanted.compared(scene),
        }


def together(scene: Scene) -> Iterator[Row]:
    """Two commands that share artifacts start at once; what both need is made once."""
    commands = [
        scene.command(f"transfer.lambda={strength}", run=f"run{strength}") for strength in (1, 10)
    ]
    scene.clear()
    for command in commands:
        assert scene.finish(command)[0] == 0
    results, files = scene.results(), scene.files()
    for number in range(3):
        scene.clear()
        running = [scene.start(command) for command in commands]
        said = [process.communicate()[0].splitlines() for process in running]
        made = [stage for lines in said for stage in stages_said(lines, "made")]
        now, found = scene.results(), scene.files()
        yield {
            "fault": "two runs at once",
            "detail": f"try {number + 1}",
            "told": f"{sum('another process' in line for lines in said for line in lines)} waits",
            "made_again": " ".join(s for s in STAGES if made.count(s) != 1 + (s == "transfer")),
            "exit_code": max(process.returncode for process in running),
            "equal": sum(now.get(name) == digest for name, digest in results.items())
            / len(results),
            "missing": " ".join(sorted(files - found)),
            "stray": " ".join(sorted(found - files)),
        }


def main(kind: str, folder: Path, results: Path, seed: int) -> None:
    scene = Scene(folder)
    rows = {"disk": disk, "bytes": lambda s: flipped(s, seed), "together": together}[kind](scene)
    new = not results.exists()
    with results.open("a", newline="") as stream:
        writer = csv.DictWriter(stream, FIELDS)
        if new:
            writer.writeheader()
        for row in rows:
            print(row, flush=True)
            writer.writerow(row)
            stream.flush()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]) if sys.argv[4:] else 0)
