"""Two raw domains -> one folder of cleaned, split and time-ordered tables, and back as a pair."""

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import polars as pl

from crossrec.data.cleaning import CleaningReport
from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.pair import DomainPair, align, cut_future, time_order
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError

Scale = tuple[float, float] | None
Clean = Callable[[RawDomain, Scale], tuple[pl.DataFrame, pl.DataFrame, CleaningReport]]
Split = Callable[[pl.DataFrame], pl.DataFrame]


def prepare(
    source: RawDomain,
    target: RawDomain,
    folder: Path,
    clean: Clean,
    split: Split,
    rating_scale: Scale,
    source_after_test: Literal["cut", "keep"],
    cut_at: str,
    position_spans_domains: bool,
) -> None:
    """Clean both domains, split them, cut the future, and write tables and an account.

    Args:
        source, target: what the reader gave.
        folder: where source_*.parquet, target_*.parquet and pair.json are written.
        clean: (raw domain, rating scale) -> interactions in order, items, report.
        split: interactions in order -> interactions with a SPLIT column.
        rating_scale: lowest and highest rating, None where there are none.
        source_after_test, cut_at, position_spans_domains: see `pair.time_order`, `cut_future`.

    Raises:
        UserError: nothing is left of a domain.
    """
    target_events, target_items, target_report = clean(target, rating_scale)
    source_events, source_items, source_report = clean(source, rating_scale)
    target_events = split(target_events)
    order, time = time_order(
        source_events, target_events, source_after_test, position_spans_domains
    )
    n_future = 0
    if order == "cut" and time is not None:
        kept = cut_future(source_events, target_events, time, cut_at)
        n_future = len(source_events) - len(kept)
        source_events = kept
        if len(source_events) == 0:
            raise UserError(
                f"domain {source.name}: every event lies after the held-out target events; "
                "set split.source_after_test=keep or choose another source"
            )
    source_events = split(source_events)
    tables = {
        "source_interactions": source_events,
        "source_items": source_items,
        "target_interactions": target_events,
        "target_items": target_items,
    }
    for name, table in tables.items():
        table.write_parquet(folder / f"{name}.parquet")
    shared = set(source_events[USER].unique()) & set(target_events[USER].unique())
    account = {
        "source": source.name,
        "target": target.name,
        "order": order,
        "time": time,
        "n_future": n_future,
        "shared_users": len(shared),
        "shared_items": len(set(source_items[ITEM]) & set(target_items[ITEM])),
        "fingerprint": fingerprint(source_events, target_events),
        "cleaning": {"source": source_report.to_dict(), "target": target_report.to_dict()},
    }
    (folder / "pair.json").write_text(json.dumps(account, indent=1) + "\n")


def load_pair(folder: Path) -> DomainPair:
    """The aligned pair of a folder that `prepare` wrote."""
    account = read_account(folder)
    return align(
        (account["source"], *read_tables(folder, "source")),
        (account["target"], *read_tables(folder, "target")),
        account["order"],
        account["time"],
    )


def read_tables(folder: Path, domain: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Interactions and items of "source" or "target" in a folder that `prepare` wrote."""
    return (
        pl.read_parquet(folder / f"{domain}_interactions.parquet"),
        pl.read_parquet(folder / f"{domain}_items.parquet"),
    )


def describe(account: dict[str, Any]) -> list[str]:
    """What was collected, in lines: sizes, overlap, and how the domains were ordered in time."""
    lines = []
    for domain in ("source", "target"):
        left = account["cleaning"][domain]["steps"][-1]
        sizes = ", ".join(f"{left[what]:,} {what}" for what in ("users", "items", "interactions"))
        lines.append(f"{account[domain]}: {sizes}")
    lines.append(f"shared: {account['shared_users']:,} users, {account['shared_items']:,} items")
    order = {
        "cut": f"{account['n_future']:,} source events after the target's test events were cut",
        "keep": "source events after the target's test events are kept",
        "unknown": "no common time: the whole source counts as past",
    }
    return [*lines, order[account["order"]]]


def read_account(folder: Path) -> dict[str, Any]:
    """pair.json: names, order in time, overlap, fingerprint, and what cleaning did."""
    account: dict[str, Any] = json.loads((folder / "pair.json").read_text())
    return account


def fingerprint(*tables: pl.DataFrame) -> str:
    """12 hex digits that say which events, in which order and split, a number was measured on."""
    digest = hashlib.sha256()
    for table in tables:
        columns = [USER, ITEM, RATING, TIMESTAMP, POSITION, SPLIT]
        digest.update(table.select(columns).write_csv().encode())
    return digest.hexdigest()[:12]
