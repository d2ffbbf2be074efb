"""Damage the files of every reader many thousand times, and judge what the reader makes of them.

    python fuzz.py CASES OUT.csv

A case is right if the reader
- refuses with a UserError that names a file, or
- gives a table whose rows are those of the undamaged lines, all of them, with at most as many
  other rows as lines were changed, and counts so many lines as there are.
"""

import csv
import resource
import subprocess
import sys
import tempfile
import traceback
from collections import Counter
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

from damage import BINARY, TEXT, Damaged, changed_lines
from samples import SAMPLES, Sample

from crossrec.errors import UserError

SHARES = (0.0, 0.01, 0.5, 1.0)  # of malformed lines that are allowed
EVENT_ROW, ITEM_ROW = tuple[object, ...], tuple[object, ...]


class Wrong(AssertionError):
    """A reader did what it must not do."""


@dataclass(frozen=True)
class Read:
    """What came out."""

    events: Counter[EVENT_ROW]
    items: Counter[ITEM_ROW]
    n_lines: int
    n_malformed: int


def write(sample: Sample, folder: Path, name: str = "", damaged: Damaged | None = None) -> None:
    """The files of a sample, one of them damaged."""
    for path, content in sample.files.items():
        place = folder / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if path != name or damaged is None:
            place.write_bytes(content)
        elif damaged.content is None:
            place.mkdir()
        else:
            place.write_bytes(damaged.content)


def read(sample: Sample, folder: Path, share: float) -> Read:
    """What the reader makes of the files."""
    scratch = folder / "scratch"
    scratch.mkdir()
    raw = sample.make(folder, share).read(sample.domain, scratch)
    events = Counter(raw.interactions.collect().rows())
    return Read(events, Counter(raw.items.collect().rows()), raw.n_lines, raw.n_malformed)


@cache
def undamaged(kind: str, seed: int) -> Read:
    """What a sample holds."""
    sample = SAMPLES[kind](seed)
    with tempfile.TemporaryDirectory() as folder:
        write(sample, Path(folder))
        return read(sample, Path(folder), 0.0)


def case(kind: str, damage: str, random: Random) -> str:
    """One case: "whole", "skipped", "refused", or "" where the damage is none of this file.

    Raises:
        Wrong: the reader did what it must not do.
    """
    seed = random.randrange(20)
    sample = SAMPLES[kind](seed)
    kinds = TEXT if sample.is_text(sample.events) else BINARY
    name = random.choice([path for path in sample.files if path not in sample.unread])
    damaged = kinds[damage](random, sample, name) if damage in kinds else None
    if damaged is None or damaged.content == sample.files[name]:
        return ""
    # Where every malformed line is allowed, nothing but lack of interactions is refused.
    share = random.choice(SHARES[:-1] if damaged.refused else SHARES)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "damaged"
        write(sample, place, name, damaged)
        try:
            found = read(sample, place, share)
        except UserError as error:
            _judge_refusal(str(error), sample, place, damaged)
            return "refused"
    try:
        _judge(sample, name, damaged, undamaged(kind, seed), found)
    except Wrong as error:
        raise Wrong(f"{name}, max_malformed {share}: {error}") from None
    return "skipped" if found.n_malformed else "whole"


def _judge_refusal(message: str, sample: Sample, place: Path, damaged: Damaged) -> None:
    names = [str(place), *(Path(name).name for name in sample.files)]
    if not any(name in message for name in names) or "\n" in message or len(message) > 1500:
        raise Wrong(f"the message is not clear: {message!r}")
    if damaged.equal:
        raise Wrong(f"refused what is right: {message}")


def _judge(sample: Sample, name: str, damaged: Damaged, expected: Read, found: Read) -> None:
    if damaged.refused:
        raise Wrong(f"not refused; {found.n_malformed} of {found.n_lines} malformed")
    if not 0 <= found.n_malformed <= found.n_lines:
        raise Wrong(f"{found.n_malformed} of {found.n_lines} malformed")
    if any(None in row[:2] for row in found.events) and not sample.links:
        raise Wrong("an interaction of nobody, or with nothing")
    n_rows = found.events.total()
    n_good = found.n_lines - found.n_malformed
    if sample.one_row and (n_rows > n_good or (n_rows < n_good and not sample.filtered)):
        raise Wrong(f"{n_rows} rows, {found.n_malformed} of {found.n_lines} lines malformed")
    if damaged.equal:
        if found != expected:
            raise Wrong(f"not equal: {difference(expected, found)}")
        return
    if not sample.is_text(name) or damaged.content is None:
        return
    if damaged.content.startswith(b"\x1f\x8b"):
        gone, new = [b""], [b""]
        if found != expected:
            raise Wrong("a damaged gzip file gave another table")
    else:
        gone, new = changed_lines(sample.files[name], damaged.content)
    if name in sample.has_header and gone and sample.files[name].startswith(gone[0]):
        _judge_names(len(new), expected, found)
        return
    if name == sample.events:
        reach = 1 if sample.one_row else max(len(line.split()) for line in [*gone, *new, b"a"]) + 1
        lost = (expected.events - found.events).total()
        extra = (found.events - expected.events).total()
        if lost > reach * (len(gone) + sample.slack) or extra > reach * (len(new) + sample.slack):
            raise Wrong(f"{len(gone)} lines gone, {len(new)} new: {difference(expected, found)}")
    elif expected.events != found.events and name not in sample.links:
        raise Wrong(f"damage elsewhere changed interactions: {difference(expected, found)}")
    elif _plain(expected.events) != _plain(found.events):
        raise Wrong(f"damage of names changed what they do not name: {difference(expected, found)}")
    n_lines = len(gone) + len(new) + sample.slack
    before, after = expected.items, found.items
    if name in sample.fan_out:
        before, after = _ids(before), _ids(after)
    reach = 2 if sample.one_row else 20
    if max((before - after).total(), (after - before).total()) > reach * n_lines:
        raise Wrong(f"{len(gone)} lines gone, {len(new)} new: {difference(expected, found)}")


def _judge_names(n_new: int, expected: Read, found: Read) -> None:
    """After damage of a header: a column that is not required may be lost, but no row."""
    for before, after in ((expected.events, found.events), (expected.items, found.items)):
        if abs(before.total() - after.total()) > 1 + 2 * n_new:
            raise Wrong(
                f"damage of names changed the number of rows: {difference(expected, found)}"
            )


def _ids(items: Counter[ITEM_ROW]) -> Counter[ITEM_ROW]:
    """Items without their texts."""
    return Counter(row[:1] for row in items.elements())


def _plain(events: Counter[EVENT_ROW]) -> Counter[EVENT_ROW]:
    """Interactions without their ids."""
    plain: Counter[EVENT_ROW] = Counter()
    for row, count in events.items():
        plain[row[2:5]] += count
    return plain


def difference(expected: Read, found: Read) -> str:
    """The rows that differ."""
    tables = ((expected.events, found.events), (expected.items, found.items))
    parts = [f"{list((a - b).elements())[:3]} -> {list((b - a).elements())[:3]}" for a, b in tables]
    return (
        f"{'; '.join(parts)}; {expected.n_lines} lines -> {found.n_lines}, {found.n_malformed} bad"
    )


def run(kind: str, n_cases: int, first: int) -> None:
    """Cases of one reader, in this process; prints a line `damage outcome` for each."""
    for number in range(first, n_cases):
        random = Random(f"{kind} {number}")
        damage = list(TEXT)[number % len(TEXT)]
        print(number, damage, "died", sep="\t", flush=True)
        try:
            outcome = case(kind, damage, random)
        except Wrong as error:
            outcome = f"wrong\t{str(error)[:600]!r}"
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            outcome = f"traceback\t{traceback.format_exc()[-700:]!r}"
        print(number, damage, outcome or "none", sep="\t", flush=True)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(n_cases, "peak MiB", peak, sep="\t")


def main(n_cases: int, out: Path) -> bool:
    """Every reader in a process of its own; writes counts of outcomes by reader.

    Returns whether every case was right.
    """
    right = True
    outcomes = ("whole", "skipped", "refused", "wrong", "traceback", "died")
    with out.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["reader", "cases", *outcomes, "peak MiB"])
        for kind in SAMPLES:
            counts: Counter[str] = Counter()
            first, peak = 0, 0
            while first < n_cases:
                command = [sys.executable, __file__, "--one", kind, str(n_cases), str(first)]
                done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
                last: dict[int, tuple[str, ...]] = {}
                for line in done.stdout.splitlines():
                    number, *rest = line.split("\t")
                    last[int(number)] = tuple(rest)
                first = max(last, default=first) + 1
                for number, (damage, outcome, *more) in last.items():
                    if damage == "peak MiB":
                        peak = max(peak, int(outcome))
                    else:
                        counts[outcome] += 1
                        if outcome in ("wrong", "traceback", "died"):
                            right = False
                            print(kind, number, damage, outcome, *more, flush=True)
            total = sum(counts[outcome] for outcome in outcomes)
            table.writerow([kind, total, *(counts[outcome] for outcome in outcomes), peak])
            file.flush()
    return right


if __name__ == "__main__":
    if sys.argv[1] == "--one":
        run(sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
    else:
        sys.exit(not main(int(sys.argv[1]), Path(sys.argv[2])))
