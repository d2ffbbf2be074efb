"""A pair of domains on disk: tables in parts, and tensors that are mapped into memory, not read.

    target/interactions/      every event of the target, in order, and which part it is in
    target/items/             its items by code, with all that is known of them
    target/reviews/           (item, review) of its train events, and of no others
    source/                   the same of the source, or of all sources together
    users.parquet             user ids by code
    source.safetensors, ...   the tensors of a domain by their place in it: "valid.truth_items"
    shared.safetensors        the codes of shared users and items

A table is a folder of Parquet files whose names are in the order of the rows, as other engines
read and write them, and as data=tables reads them: a prepared domain is raw data for another run.
"""

from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from crossrec.data.columns import ITEM, SPLIT, TITLE, USER
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import HeldOut, Sequences
from crossrec.data.splits import TRAIN

DOMAINS = ("source", "target")
MODELED = {"source": "source", "target": "target", "target_only": "target"}
"""The domains that models see, and whose items each of them has."""
PART_ROWS = 1 << 22
INTERACTIONS, ITEMS, REVIEWS = "interactions", "items", "reviews"


def write_tables(folder: Path, interactions: pl.DataFrame, items: pl.DataFrame) -> None:
    """Write the tables of a domain into its folder, in parts of up to PART_ROWS rows."""
    for name, table in ((INTERACTIONS, interactions), (ITEMS, items)):
        (folder / name).mkdir(parents=True)
        for number, part in enumerate(table.iter_slices(PART_ROWS) if len(table) else [table]):
            part.write_parquet(folder / name / f"{number:05}.parquet")


def write_reviews(folder: Path, reviews: Sequence[pl.LazyFrame]) -> None:
    """Write ITEM and REVIEW of train events, a part a source; they need not fit in memory."""
    (folder / REVIEWS).mkdir(parents=True)
    for number, part in enumerate(reviews):
        part.sink_parquet(folder / REVIEWS / f"{number:05}.parquet")


def read_interactions(folder: Path, domain: str) -> pl.DataFrame:
    """All events of "source" or "target" in order, with SPLIT."""
    return pl.read_parquet(folder / domain / INTERACTIONS)


def read_items(folder: Path, domain: str) -> pl.DataFrame:
    """All that is known of the items of "source" or "target", in the order of their codes."""
    return pl.read_parquet(folder / domain / ITEMS)


def read_reviews(folder: Path, domain: str) -> pl.DataFrame:
    """Item and review of the train events of "source" or "target"."""
    return pl.read_parquet(folder / domain / REVIEWS)


def train_items(folder: Path, domain: str) -> pl.Series:
    """The items that some train event of "source" or "target" has: those that may be learned."""
    events = pl.scan_parquet(folder / domain / INTERACTIONS)
    of_train = events.filter(pl.col(SPLIT) == TRAIN).select(pl.col(ITEM).unique())
    return of_train.collect().to_series().sort()


def in_train(folder: Path, domain: str) -> np.ndarray:
    """(items,) bool by code: the items of "source" or "target" that may be learned from."""
    items = read_items(folder, domain)[ITEM]
    return items.is_in(train_items(folder, domain).implode()).to_numpy()


def write_pair(pair: DomainPair, folder: Path) -> None:
    """Write users and tensors into a folder, for `read_pair`."""
    pair.target.user_ids.rename(USER).to_frame().write_parquet(folder / "users.parquet")
    for name in MODELED:
        domain: Domain = getattr(pair, name)
        tensors = {"n_context": torch.tensor(domain.n_context)}
        for part in ("train", "valid", "test", "known"):
            tensors |= _flat(getattr(domain, part), f"{part}.")
        save_file(tensors, folder / f"{name}.safetensors")
    shared = {"users": pair.shared_users, "items": pair.shared_items.contiguous()}
    save_file(shared, folder / "shared.safetensors")


def read_pair(folder: Path, source: str, target: str) -> DomainPair:
    """The pair that `write_pair` wrote, in memory only as far as it is looked at.

    Args:
        folder: holds the files named above.
        source, target: what the domains are called.
    """
    user_ids = pl.read_parquet(folder / "users.parquet")[USER]
    items = {
        name: pl.read_parquet(folder / name / ITEMS, columns=[ITEM, TITLE]) for name in DOMAINS
    }
    names = {"source": source, "target": target}

    def domain(name: str) -> Domain:
        tensors = load_file(folder / f"{name}.safetensors")
        return Domain(
            name=names[MODELED[name]],
            user_ids=user_ids,
            items=items[MODELED[name]],
            n_context=int(tensors["n_context"]),
            train=_sequences(tensors, "train."),
            valid=_held_out(tensors, "valid."),
            test=_held_out(tensors, "test."),
            known=_sequences(tensors, "known."),
        )

    shared = load_file(folder / "shared.safetensors")
    return DomainPair(
        source=domain("source"),
        target=domain("target"),
        target_only=domain("target_only"),
        shared_users=shared["users"],
        shared_items=shared["items"],
    )


def _flat(part: Any, prefix: str) -> dict[str, Tensor]:
    """The tensors of a dataclass and of those inside it, by the path to them."""
    tensors: dict[str, Tensor] = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, Tensor):
            tensors[prefix + field.name] = value
        else:
            tensors |= _flat(value, f"{prefix}{field.name}.")
    return tensors


def _sequences(tensors: dict[str, Tensor], prefix: str) -> Sequences:
    return Sequences(**{field.name: tensors[prefix + field.name] for field in fields(Sequences)})


def _held_out(tensors: dict[str, Tensor], prefix: str) -> HeldOut:
    flat = {
        field.name: tensors[prefix + field.name]
        for field in fields(HeldOut)
        if field.name != "history"
    }
    return HeldOut(history=_sequences(tensors, f"{prefix}history."), **flat)
