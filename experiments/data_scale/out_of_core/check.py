"""Hold what crossrec prepared alone against what it made of an engine's tables.

    python check.py ALONE PREPARED WITH

ALONE and WITH are the folders of artifacts of the two runs, PREPARED holds what run.py wrote.
Compared are the counts after each step of cleaning, every row of interactions (with their parts),
items and reviews, users, the fingerprint of the split, and the tensors that models read. Of items
that run.py did not have (those of JSON lines) only the ids are compared.
"""

import json
import sys
from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM
from crossrec.data.download import digest
from crossrec.data.prepared import read_account
from crossrec.data.storage import DOMAINS, read_interactions, read_items, read_reviews

STEPS = ("no repeat", "frequent enough")


def prepared(artifacts: Path) -> Path:
    """The one prepared pair among the artifacts of a run."""
    (folder,) = artifacts.glob("collect-*")
    return folder


def same(name: str, ours: object, theirs: object) -> bool:
    """Say and return whether two values are the same."""
    print(f"{'same' if ours == theirs else 'DIFFERENT':9}  {name}: {ours} and {theirs}")
    return ours == theirs


def same_rows(name: str, ours: pl.DataFrame, theirs: pl.DataFrame) -> bool:
    """Say and return whether two tables have the same rows, in whatever order."""
    equal = ours.sort(ours.columns).equals(theirs.sort(theirs.columns))
    told = f"{len(ours):,} and {len(theirs):,} rows"
    print(f"{'same' if equal else 'DIFFERENT':9}  {name}: {told}")
    return equal


def main() -> None:
    """Compare, and end with an error if anything differs."""
    alone, with_engine = prepared(Path(sys.argv[1])), prepared(Path(sys.argv[3]))
    accounts = [read_account(folder) for folder in (alone, with_engine)]
    equal = [same("fingerprint", *(account["fingerprint"] for account in accounts))]
    for domain in DOMAINS:
        name = accounts[0][domain]
        (report,) = (report for report in accounts[0]["cleaning"] if report["domain"] == name)
        ours = {step["step"]: step["interactions"] for step in report["steps"]}
        file = Path(sys.argv[2]) / name / "account.json"
        theirs = {step["step"]: step["interactions"] for step in json.loads(file.read_text())}
        equal += [same(f"{domain}, {step}", ours[step], theirs[step]) for step in STEPS]
        for what, read in (
            ("interactions", read_interactions),
            ("items", read_items),
            ("reviews of train", read_reviews),
        ):
            tables = [read(folder, domain) for folder in (alone, with_engine)]
            if what == "items" and not (file.parent / "items").is_dir():
                tables = [table.select(ITEM) for table in tables]
            equal.append(same_rows(f"{domain}, {what}", *tables))
    users = (pl.read_parquet(folder / "users.parquet") for folder in (alone, with_engine))
    equal.append(same_rows("users", *users))
    for file in sorted(alone.glob("*.safetensors")):
        digests = (digest(folder / file.name, "sha256") for folder in (alone, with_engine))
        equal.append(same(file.name, *(hexadecimal[:12] for hexadecimal in digests)))
    if not all(equal):
        sys.exit("error: the two preparations differ")


if __name__ == "__main__":
    main()
