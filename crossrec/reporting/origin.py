"""What a report was made from: commands, versions, and what the rows are."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from crossrec.evaluation.summary import BASELINE, CANDIDATE, CEILING, TUNED, model_order
from crossrec.evaluation.sweeps import Run
from crossrec.reporting.blocks import Block, Cell, Rows, Section, Table
from crossrec.reporting.reading import record_of

ABOUT = {
    **dict.fromkeys(TUNED, "knows the target alone; validation tuned it"),
    BASELINE: "the same model as the transferred one, trained on the target alone",
    "zero-shot": "the source's weights as they are, nothing trained on the target",
    "target-mix": "the rows that know the target alone, mixed as validation likes it",
    CANDIDATE: "what the run is made for: the transfer method",
    CEILING: "ranks by the simulated users' true preferences: nobody can be better",
}


def run_facts(run: Run, sizes: Mapping[str, int]) -> list[tuple[str, str]]:
    """Short facts of a run: users, seed, method, model."""
    record = record_of(run.folder)
    method = run.config.get("transfer.name")
    strength = [f"{n}={x:g}" for n, x in (("lambda", run.lambda_), ("mu", run.mu)) if x is not None]
    facts = [
        ("test users", f"{sizes['all']:,}" if "all" in sizes else None),
        ("transfer", " ".join([method, *strength]) if method else None),
        ("model", run.config.get("model._target_", "").rpartition(".")[2]),
        ("seed", None if run.seed is None else str(run.seed)),
        ("data", record.get("data_fingerprint")),
        ("commit", (record.get("commit") or "")[:10]),
    ]
    return [(name, value) for name, value in facts if value]


def origin_section(runs: Sequence[Run], models: Iterable[str], title: str) -> Section:
    """What each row is, then the command, the commit and the versions of each run."""
    known = [[Cell(m), Cell(ABOUT[m])] for m in sorted(models, key=model_order) if m in ABOUT]
    blocks: list[Block] = []
    if known:
        rows = Rows("", known)
        blocks.append(Table("rows", "What the rows are.", ["row", "is"], [rows], words=2))
    made: dict[tuple[str, ...], list[str]] = {}
    for run in runs:
        if record := record_of(run.folder):
            made.setdefault(_made(record), []).append(run.folder.name)
    if made:
        header = ["run", "command", "commit", "versions"]
        rows = Rows("", [[Cell(_listed(names)), *map(Cell, key)] for key, names in made.items()])
        caption = "What made the runs." if len(runs) > 1 else "What made the run."
        blocks.append(Table("runs", caption, header, [rows], words=len(header)))
    return Section("origin", title, blocks or ["The run folders hold no record.json."])


def _listed(names: Sequence[str]) -> str:
    """The names of runs that one command made; not all of them where there are many."""
    return ", ".join(names) if len(names) < 5 else f"{names[0]} ... {names[-1]} ({len(names)})"


def _made(record: Mapping[str, Any]) -> tuple[str, ...]:
    """Command, commit and versions."""
    command = record.get("command") or ["?"]
    spoken = f"python -m crossrec.{Path(command[0]).stem} {shlex.join(command[1:])}"
    changed = " + changes" if record.get("uncommitted_changes") else ""
    versions = {"crossrec": record.get("crossrec", "?"), "python": record.get("python", "?")}
    versions |= record.get("packages", {})
    return (
        spoken,
        (record.get("commit") or "?")[:10] + changed,
        ", ".join(f"{name} {version}" for name, version in versions.items()),
    )
