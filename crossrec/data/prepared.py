"""One folder of cleaned, split and time-ordered tables and tensors: written, read, accounted for.

target/, source/       tables of the target, and of the source or of all sources together
*.safetensors, ...     the tensors that models train on; see `storage` for both
pair.json              the account of all that was done
statistics.json         what each domain is; see `statistics`
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import polars as pl

from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.leakage import later_share
from crossrec.data.pair import DomainPair, Order, align
from crossrec.data.splits import split_fingerprint
from crossrec.data.statistics.account import DomainAccount, as_json, read_json
from crossrec.data.storage import read_pair, write_pair, write_tables

EVENTS = (USER, ITEM, RATING, TIMESTAMP, POSITION, SPLIT)
Table = tuple[str, pl.DataFrame, pl.DataFrame]
"""A domain's name, events with SPLIT, and items."""


def write_aligned(
    folder: Path,
    source: Table,
    target: Table,
    order: Order,
    time: str | None,
    n_future: int,
    statistics: Sequence[DomainAccount],
) -> dict[str, int]:
    """Write the tables, the aligned tensors and the account; returns how much is shared."""
    for side, (_, events, items) in (("source", source), ("target", target)):
        write_tables(folder / side, events.select(EVENTS), items)
    (folder / "statistics.json").write_text(as_json(statistics))
    pair = align(source, target, order, time)
    write_pair(pair, folder)
    shared = {"users": len(pair.shared_users), "items": len(pair.shared_items)}
    account = {
        "source": source[0],
        "target": target[0],
        "order": order,
        "time": time,
        "n_future": n_future,
        "shared_users": shared["users"],
        "shared_items": shared["items"],
        "later_share": later_share(target[1]),
        "fingerprint": split_fingerprint(source[1], target[1]),
        "repeated": statistics[0].profile["repeated"],
        "cleaning": [domain.cleaning for domain in statistics],
    }
    (folder / "pair.json").write_text(json.dumps(account, indent=1) + "\n")
    return shared


def load_pair(folder: Path) -> DomainPair:
    """The aligned pair of a folder that `prepare` wrote."""
    account = read_account(folder)
    return read_pair(folder, account["source"], account["target"])


def describe(account: dict[str, Any]) -> list[str]:
    """What was collected, in lines: sizes, overlap, and how the domains were ordered in time."""
    lines = []
    for report in account["cleaning"]:
        left = report["steps"][-1]
        sizes = ", ".join(f"{left[what]:,} {what}" for what in ("users", "items", "interactions"))
        lines.append(f"{report['domain']}: {sizes}")
    lines.append(f"shared: {account['shared_users']:,} users, {account['shared_items']:,} items")
    order = {
        "cut": f"{account['n_future']:,} source events after the target's test events were cut",
        "keep": "source events after the target's test events are kept",
        "unknown": "no common time: the whole source counts as past",
        "absent": "the other domain is not here",
    }
    lines.append(order[account["order"]])
    if account["repeated"]:
        lines.append(
            f"{account['repeated']:,} target events repeat an item: what users had is ranked, too"
        )
    if account["later_share"]:
        lines.append(
            f"warning: {account['later_share']:.0%} of train lies after the average test event; "
            "see split=temporal"
        )
    return lines


def read_statistics(folder: Path) -> list[DomainAccount]:
    """Of the target, then of each of its sources."""
    return read_json((folder / "statistics.json").read_text())


def read_account(folder: Path) -> dict[str, Any]:
    """pair.json: names, order in time, overlap, fingerprint, and what cleaning did."""
    account: dict[str, Any] = json.loads((folder / "pair.json").read_text())
    return account
