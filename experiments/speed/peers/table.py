"""results.csv -> the tables of README.md, between its markers.

python experiments/speed/peers/table.py RESULTS README
"""

import csv
import sys
from collections import defaultdict
from pathlib import Path
from statistics import median

HERE = Path(__file__).resolve().parent
NAMES = {
    "recbole": "RecBole 1.2.1",
    "implicit": "implicit 0.7.3",
    "lenskit": "LensKit 2025.8.1",
    "recbole_cdr": "RecBole-CDR 0.1.0",
}
MODELS = {
    "bpr": "MF-BPR",
    "lightgcn": "LightGCN",
    "sasrec": "SASRec",
    "ease": "EASE",
    "itemknn": "item-kNN",
    "cmf": "CMF",
    "conet": "CoNet",
    "bitgcf": "BiTGCF",
    "emcdr": "EMCDR",
}
DATA = {
    "ml-100k-random": "ML-100K",
    "ml-1m-random": "ML-1M",
    "ml-100k-last": "ML-100K, leave-one-out",
    "pair": "ML-1M -> 100K",
}
Measured = dict[str, dict[str, dict[int, dict[str, float]]]]
"""Row -> side -> round -> measure -> value."""


def main(results: Path, readme: Path) -> None:
    """Put the tables where the old ones are."""
    by_threads: dict[str, Measured] = {}
    with results.open() as file:
        for line in csv.DictReader(file):
            rows = by_threads.setdefault(line["threads"], defaultdict(lambda: defaultdict(dict)))
            rounds = rows[line["row"]][line["side"]]
            rounds.setdefault(int(line["round"]), {})[line["measure"]] = float(line["value"])
    text = readme.read_text()
    for threads, measured in by_threads.items():
        begin, end = f"<!-- {threads} -->\n", f"<!-- end of {threads} -->"
        before, _, rest = text.partition(begin)
        _, _, after = rest.partition(end)
        parts = (against_peers(measured), commands(measured), related(measured))
        tables = "\n\n".join(part for part in parts if part)
        print(f"\nthreads: {threads}\n\n{tables}")
        text = f"{before}{begin}\n{tables}\n\n{end}{after}"
    readme.write_text(text)


def against_peers(measured: Measured) -> str:
    """Every row and every peer that was measured beside crossrec."""
    lines = [
        "| model, data | beside | training, interactions/s | x | full ranking, users/s | x "
        "| NDCG@10 | peak MB |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in sorted((row for row in measured if row != "main"), key=place):
        model, _, data = row.partition(" ")
        sides = measured[row]
        for side in (side for side in sides if side in NAMES):
            ours, theirs = sides["crossrec"], sides[side]
            rate = "interactions_per_s"
            cells = [f"{MODELS[model]}, {DATA[data]}", NAMES[side]]
            if rate in next(iter(theirs.values())):
                cells += [both(ours, theirs, rate), ratio(ours, theirs, rate)]
            else:
                cells += [f"fit {both(ours, theirs, 'fit_s')} s", ratio(theirs, ours, "fit_s")]
            cells += [both(ours, theirs, "users_per_s"), ratio(ours, theirs, "users_per_s")]
            cells += [both(ours, theirs, "ndcg", ".3f"), both(ours, theirs, "peak_mb")]
            lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def place(row: str) -> tuple[int, int]:
    """Where a row stands."""
    model, _, data = row.partition(" ")
    return list(MODELS).index(model), list(DATA).index(data)


def commands(measured: Measured) -> str:
    """The whole command of crossrec beside RecBole's two, one for each of the data sets."""
    if "main" not in measured:
        return ""
    lines = [
        "| from the command on, s | first training step | all done | peak MB |",
        "|---|---|---|---|",
    ]
    for side, rounds in measured["main"].items():
        values = (of(rounds, name) for name in ("first_step_s", "whole_s", "peak_mb"))
        lines.append(f"| {side} | " + " | ".join(f"{value:,.0f}" for value in values) + " |")
    for row in (row for row in measured if row.startswith("bpr") and "recbole" in measured[row]):
        rounds = measured[row]["recbole"]
        values = (of(rounds, name) for name in ("first_step_s", "whole_s", "peak_mb"))
        told = " | ".join(f"{value:,.0f}" for value in values)
        lines.append(f"| RecBole, BPR, {DATA[row.partition(' ')[2]]} alone | {told} |")
    return "\n".join(lines)


def related(measured: Measured) -> str:
    """RecBole-CDR, where it was not run, through RecBole's BPR, which stands in both."""
    with (HERE / "recbole_cdr.csv").open() as file:
        once = {line["model"]: line for line in csv.DictReader(file)}
    lines = [
        "| model, ML-1M -> 100K | crossrec, positives/s | RecBole-CDR, from its ratio to BPR | x "
        "| ranking, users/s: crossrec | RecBole-CDR, likewise | x |",
        "|---|---|---|---|---|---|---|",
    ]
    head = len(lines)
    anchor = measured["bpr ml-100k-random"]["recbole"]
    for name in ("CMF", "CoNet", "BiTGCF", "EMCDR"):
        row = f"{name.lower()} pair"
        if row not in measured or "recbole_cdr" in measured[row]:
            continue
        cells = [name]
        for ours, theirs in (("interactions_per_s", "positives_per_s"), ("users_per_s",) * 2):
            share = float(once[name][theirs]) / float(once["BPR"][theirs])
            reached, expected = of(measured[row]["crossrec"], ours), share * of(anchor, ours)
            cells += [f"{reached:,.0f}", f"{expected:,.0f}", f"**{reached / expected:.1f}**"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) if len(lines) > head else ""


def of(rounds: dict[int, dict[str, float]], measure: str) -> float:
    """The median over rounds."""
    return median(values[measure] for values in rounds.values() if measure in values)


def both(
    ours: dict[int, dict[str, float]],
    theirs: dict[int, dict[str, float]],
    measure: str,
    form: str = "",
) -> str:
    """Medians of both sides, or of the one that has it."""
    cells = []
    for rounds in (ours, theirs):
        known = any(measure in values for values in rounds.values())
        value = of(rounds, measure) if known else None
        cells.append("-" if value is None else f"{value:{form or number(value)}}")
    return " / ".join(cells)


def number(value: float) -> str:
    """Enough digits, and no more."""
    return ",.0f" if value >= 100 else ".3g"


def ratio(
    ours: dict[int, dict[str, float]], theirs: dict[int, dict[str, float]], measure: str
) -> str:
    """Median of the ratios of each round, with their range."""
    shares = [
        ours[round_][measure] / theirs[round_][measure]
        for round_ in ours.keys() & theirs.keys()
        if measure in ours[round_] and measure in theirs[round_]
    ]
    if not shares:
        return "-"
    low, middle, high = (f"{x:.3g}" for x in (min(shares), median(shares), max(shares)))
    return f"**{middle}**" + (f" ({low} to {high})" if len(shares) > 1 else "")


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:3]))
