"""Which domains are read, and which of their ids mean the same user or the same item."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

import polars as pl

from crossrec.data.columns import CATEGORIES, ITEM, ROW, USER
from crossrec.data.links import read_links, rename
from crossrec.data.pseudonyms import read_key, with_pseudonyms
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError

Overlap = Literal["any", "none", "users", "items", "both"]
MOST_SOURCES = 4


class Reader(Protocol):
    """What reads raw files; see `crossrec.data.sources`."""

    def files(self, domain: str) -> tuple[Path, ...]:
        """The files of a domain."""

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """The tables of a domain."""


@dataclass(frozen=True)
class Identity:
    """What makes two ids one.

    Attributes:
        overlap: what the domains must have in common: "users", "items" or "both" (and then the
            rest is kept apart, even where ids are equal), "none", or "any" where equal ids mean
            the same and nothing is demanded.
        user_links, item_links: files of (id in a source, id in the target); None where the same
            user or item has the same id.
        salt: where the salt of users' hashes lies, "env:NAME" or a file; None keeps their ids.
    """

    overlap: Overlap = "any"
    user_links: str | None = None
    item_links: str | None = None
    salt: str | None = None

    def __post_init__(self) -> None:
        if self.overlap not in ("any", "none", "users", "items", "both"):
            raise UserError(
                f"identity.overlap must be any, none, users, items or both, got {self.overlap!r}"
            )
        for what in ("user", "item"):
            if getattr(self, f"{what}_links") and self.overlap not in ("any", f"{what}s", "both"):
                raise UserError(
                    f"identity.{what}_links links {what}s, but identity.overlap={self.overlap} "
                    f"keeps them apart: use any, {what}s or both"
                )

    @cached_property
    def key(self) -> bytes | None:
        """By which users are hashed."""
        return read_key(self.salt) if self.salt else None

    def hide_users(self, raw: RawDomain) -> RawDomain:
        """The domain with hashes for users, if there is a salt."""
        if self.key is None:
            return raw
        events = with_pseudonyms(raw.interactions, USER, self.key, "user")
        return replace(raw, interactions=events)

    def files(self) -> tuple[Path, ...]:
        """The link files."""
        return tuple(Path(file) for file in (self.user_links, self.item_links) if file)

    def keeps(self, what: Literal["users", "items"]) -> bool:
        """Whether equal ids of users or of items mean the same."""
        return self.overlap in ("any", what, "both")

    def check(self, shared_users: int, shared_items: int, names: str) -> None:
        """Refuse a pair that lacks the overlap that it must have.

        Raises:
            UserError: names the pair and what it does not share.
        """
        for what, shared in (("users", shared_users), ("items", shared_items)):
            if self.overlap in (what, "both") and not shared:
                raise UserError(
                    f"identity.overlap={self.overlap}, but {names} share no {what}: choose another "
                    f"pair, link them by identity.{what[:-1]}_links, or set identity.overlap=any"
                )


def split_name(name: str) -> tuple[str, str | None]:
    """ "MINDsmall:sports" -> what the reader reads, and the category that is wanted of it."""
    domain, colon, category = name.partition(":")
    return domain, category if colon else None


def check_sources(sources: Sequence[str], target: str) -> None:
    """Raises UserError unless there are one to four sources, all different from the target."""
    if not 1 <= len(sources) <= MOST_SOURCES:
        raise UserError(f"data.source must name 1 to {MOST_SOURCES} domains, got {len(sources)}")
    names = [*sources, target]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise UserError(
            f"data.source and data.target name {', '.join(twice)} twice: a domain cannot be "
            "carried to itself"
        )


def read_domains(
    reader: Reader, sources: Sequence[str], target: str, scratch: Path
) -> tuple[list[RawDomain], RawDomain]:
    """Sources and target, their events numbered; what they have in common is read once.

    Categories of one domain are disjoint: an item of several belongs to the target if it can, else
    to the first source. Otherwise a held-out event would be in a source, too.

    Args:
        reader: of the raw files.
        sources, target: domains, or categories of domains (NAME:CATEGORY).
        scratch: a folder for tables that are too many for memory.

    Raises:
        UserError: a domain cannot be read, or has no item of the category.
    """
    read: dict[str, RawDomain] = {}
    domains = []
    for name in (target, *sources):
        domain, category = split_name(name)
        if domain not in read:
            raw = reader.read(domain, scratch)
            read[domain] = replace(raw, interactions=raw.interactions.with_row_index(ROW))
        raw = read[domain]
        part = raw if category is None else _of_category(raw, category)
        read[domain] = _without(raw, part)
        domains.append(part)
    return domains[1:], domains[0]


def _of_category(raw: RawDomain, category: str) -> RawDomain:
    """The part of a domain whose items have the category in their path."""
    path = pl.col(CATEGORIES).str.to_lowercase().str.split(" > ")
    items = raw.items.filter(path.list.contains(category.lower().strip()))
    wanted = items.select(ITEM).collect().to_series()
    if wanted.is_empty():
        first = pl.col(CATEGORIES).str.split(" > ").list.first()
        known = raw.items.select(first.drop_nulls().value_counts(sort=True)).head(12).collect()
        names = known.to_series().struct.field(CATEGORIES).to_list()
        raise UserError(
            f"domain {raw.name} has no item of the category {category!r} that is not taken "
            f"already; the largest ones are {', '.join(names) or 'unknown: no item has any'}"
        )
    return replace(
        raw,
        name=f"{raw.name}:{category}",
        interactions=raw.interactions.filter(pl.col(ITEM).is_in(wanted.implode())),
        items=items,
    )


def _without(raw: RawDomain, part: RawDomain) -> RawDomain:
    """What a domain has besides a part of it."""
    if part is raw:
        return replace(raw, interactions=raw.interactions.clear(), items=raw.items.clear())
    taken = part.items.select(ITEM).collect().to_series().implode()
    rest = ~pl.col(ITEM).is_in(taken)
    return replace(raw, interactions=raw.interactions.filter(rest), items=raw.items.filter(rest))


def identify(sources: Sequence[RawDomain], identity: Identity) -> list[RawDomain]:
    """The sources with ids under which what is the same is called as in the target.

    What must be kept apart gets the source's name before its id: "books/42".
    """
    users = read_links(Path(identity.user_links)) if identity.user_links else None
    items = read_links(Path(identity.item_links)) if identity.item_links else None
    renamed = []
    for raw in sources:
        prefix = f"{raw.name}/"
        events = _named(raw.interactions, USER, users, identity.keeps("users"), prefix)
        events = _named(events, ITEM, items, identity.keeps("items"), prefix)
        table = _named(raw.items, ITEM, items, identity.keeps("items"), prefix)
        renamed.append(replace(raw, interactions=events, items=table))
    return renamed


def _named(
    table: pl.LazyFrame, column: str, links: pl.DataFrame | None, kept: bool, prefix: str
) -> pl.LazyFrame:
    if links is not None:
        return rename(table, column, links, prefix)
    if kept:
        return table
    return table.with_columns(pl.concat_str(pl.lit(prefix), pl.col(column)).alias(column))
