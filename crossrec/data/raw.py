"""What every reader of raw files gives: two lazy tables and an account of what was read."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl


@dataclass(frozen=True)
class RawDomain:
    """One domain as its files have it, before cleaning.

    Attributes:
        name: the domain, as the reader's files call it ("Electronics").
        interactions: events with the columns of `columns.INTERACTION_COLUMNS`; from
            `identities.read_domains` on they are numbered in a column ROW.
        items: one row an item with the columns of `columns.ITEM_COLUMNS`.
        files: the files that were read; their hashes make the data fingerprint.
        n_lines: how many lines the interaction files have.
        n_malformed: how many of them could not be used.
    """

    name: str
    interactions: pl.LazyFrame
    items: pl.LazyFrame
    files: tuple[Path, ...]
    n_lines: int
    n_malformed: int
