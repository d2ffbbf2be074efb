"""Raw domains -> a prepared folder: cleaned, split, and without the target's future.

What the folder holds stands in `prepared`.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import polars as pl

from crossrec.data.cleaning import CleaningReport, CleaningStep, reviews_of
from crossrec.data.columns import (
    IN_SOURCE,
    ITEM,
    LATER_ELSEWHERE,
    POSITION,
    RATING,
    ROW,
    SPLIT,
    TIMESTAMP,
    USER,
)
from crossrec.data.identities import Identity, identify
from crossrec.data.leakage import check_source_future, check_temporal, in_future
from crossrec.data.pair import time_order
from crossrec.data.prepared import write_aligned
from crossrec.data.raw import RawDomain
from crossrec.data.splits import TEST, TRAIN, later_elsewhere
from crossrec.data.statistics.account import DomainAccount
from crossrec.data.statistics.matching import match
from crossrec.data.statistics.profile import profile
from crossrec.data.storage import write_reviews
from crossrec.errors import UserError

Scale = tuple[float, float] | None
Clean = Callable[[RawDomain, Scale], tuple[pl.DataFrame, pl.DataFrame, CleaningReport]]
Split = Callable[[pl.DataFrame], pl.DataFrame]
ORIGIN = "domain"


@dataclass(frozen=True)
class Protocol:
    """How the target is held out, and what of a source counts as its past.

    Attributes:
        split: target events in order, with IN_SOURCE -> some or all of them, with SPLIT.
        split_source: source events in order -> the same with SPLIT.
        source_after_test, position_spans_domains: see `pair.time_order`.
        cut_at: "user" or "global", see `leakage.in_future`; "global" promises that no train event
            of the target is as late as a held-out one.
        joint: whether the splits are told LATER_ELSEWHERE.
    """

    split: Split
    split_source: Split
    source_after_test: Literal["cut", "keep"]
    cut_at: str
    position_spans_domains: bool
    joint: bool = False


def prepare(
    sources: Sequence[RawDomain],
    target: RawDomain | None,
    folder: Path,
    clean: Clean,
    rating_scale: Scale,
    identity: Identity,
    protocol: Protocol,
    absent: str = "",
) -> None:
    """Clean all domains, split them, cut the future, and write the folder (see `prepared`).

    Several sources are cleaned one by one and then are one domain, called "A+B". A side that is
    another owner's, and not here, is a domain without users and items.

    Args:
        sources: what the reader gave, up to four; events numbered.
        target: the same of the target; None where it is not here.
        folder: where to write.
        clean: (raw domain, rating scale) -> interactions in order, items, report.
        rating_scale: lowest and highest rating, None where there are none.
        identity: which ids mean the same.
        protocol: how events are held out and ordered.
        absent: what the side that is not here is called.

    Raises:
        UserError: nothing is left of a domain, the domains lack the overlap that was asked for,
            or the split is not what it promises.
    """
    sources = [identity.hide_users(source) for source in identify(sources, identity)]
    target = None if target is None else identity.hide_users(target)
    if target is None or not sources:
        _prepare_one(sources, target, folder, clean, rating_scale, protocol, absent)
        return
    target_events, of_target = _cleaned(target, clean, rating_scale)
    source_events, of_sources = _together(
        [_cleaned(source, clean, rating_scale) for source in sources]
    )
    name = "+".join(source.name for source in sources)
    order, time = time_order(
        source_events,
        target_events,
        protocol.source_after_test,
        protocol.position_spans_domains,
    )
    past = time if order == "cut" else None
    joint = time if protocol.joint else None
    # What is held out has no future: of events at one time the source's come first.
    told_source = _told_later(source_events, target_events, joint, ties_are_later=True)
    told_target = _told_later(target_events, source_events, joint, ties_are_later=False)
    target_events = _split_target(told_target, source_events, protocol, past)
    check_source_future(
        name, source_events, target_events, time, protocol.source_after_test, protocol.cut_at
    )
    n_all = len(source_events)
    source_events = told_source
    if past is not None:
        future = in_future(source_events, target_events, past, protocol.cut_at)
        source_events = source_events.filter(~future)
    n_future = n_all - len(source_events)
    if source_events.is_empty():
        raise UserError(
            f"domain {name}: every event lies after the held-out target events; "
            "set split.source_after_test=keep or choose another source"
        )
    source_events = protocol.split_source(source_events).drop(LATER_ELSEWHERE, strict=False)
    source_items = _items(of_sources)
    _write_reviews(folder / "source", source_events, sources)
    _write_reviews(folder / "target", target_events, [target])
    statistics = [_statistics(of_target, target_events, None, None)]
    for number, part in enumerate(of_sources):
        events = source_events.filter(pl.col(ORIGIN) == number)
        statistics.append(_statistics(part, events, of_target, target_events))
    shared = write_aligned(
        folder,
        (name, source_events, source_items),
        (target.name, target_events, of_target.items),
        order,
        time,
        n_future,
        statistics,
    )
    identity.check(shared["users"], shared["items"], f"{name} -> {target.name}")


def _prepare_one(
    sources: Sequence[RawDomain],
    target: RawDomain | None,
    folder: Path,
    clean: Clean,
    rating_scale: Scale,
    protocol: Protocol,
    absent: str,
) -> None:
    """`prepare` where the source or the target is another owner's: nothing is cut, for nothing
    is known of the other side's times."""
    here = list(sources) if target is None else [target]
    events, domains = _together([_cleaned(raw, clean, rating_scale) for raw in here])
    items = _items(domains)
    if target is None:
        events = protocol.split_source(events)
    else:
        events = _split_target(events, events.clear(), protocol, None)
    side, other = ("source", "target") if target is None else ("target", "source")
    _write_reviews(folder / side, events, here)
    write_reviews(folder / other, [reviews_of(here[0], pl.Series([], dtype=pl.UInt32))])
    mine = ("+".join(raw.name for raw in here), events, items)
    theirs = (absent, events.clear(), items.clear())
    both = (mine, theirs) if target is None else (theirs, mine)
    statistics = [
        _statistics(domain, events.filter(pl.col(ORIGIN) == number), None, None)
        for number, domain in enumerate(domains)
    ]
    write_aligned(folder, *both, "absent", None, 0, statistics)


def _items(domains: "Sequence[_Domain]") -> pl.DataFrame:
    """The items of all of them by id, each once."""
    items = pl.concat(part.items for part in domains)
    return items.unique(ITEM, keep="first", maintain_order=True).sort(ITEM)


@dataclass(frozen=True)
class _Domain:
    """What stays of a cleaned domain beside its events."""

    name: str
    items: pl.DataFrame
    report: CleaningReport


def _cleaned(raw: RawDomain, clean: Clean, rating_scale: Scale) -> tuple[pl.DataFrame, _Domain]:
    events, items, report = clean(raw, rating_scale)
    return events, _Domain(raw.name, items, report)


def _together(
    cleaned: list[tuple[pl.DataFrame, _Domain]],
) -> tuple[pl.DataFrame, list[_Domain]]:
    """The events of all sources in one order; ORIGIN numbers the source that an event is of.

    What a user did with an item that several sources have is an event of the first of them alone:
    twice, it could be learned and held out.
    """
    events = pl.concat(
        table.with_columns(pl.lit(number, pl.UInt8).alias(ORIGIN))
        for number, (table, _) in enumerate(cleaned)
    )
    if len(cleaned) > 1:
        events = events.filter(pl.col(ORIGIN) == pl.col(ORIGIN).min().over(USER, ITEM))
        events = events.sort(USER, TIMESTAMP, POSITION, ITEM, RATING, ORIGIN, maintain_order=True)
    return events, [domain for _, domain in cleaned]


def _told_later(
    own: pl.DataFrame, other: pl.DataFrame, time: str | None, ties_are_later: bool
) -> pl.DataFrame:
    """Events with LATER_ELSEWHERE, where a column orders both domains; see `later_elsewhere`."""
    if time is None:
        return own
    return own.with_columns(later_elsewhere(own, other, time, ties_are_later))


def _split_target(
    target: pl.DataFrame, source: pl.DataFrame, protocol: Protocol, past: str | None
) -> pl.DataFrame:
    """Target events with SPLIT and ORIGIN.

    Args:
        past: the column by which source events are in the future of target events, if any.
    """
    users = source[USER]
    if past is not None:  # who comes to the source later is not known by then
        asked = target.with_columns(pl.lit(TEST).alias(SPLIT))
        users = users.filter(~in_future(source, asked, past, "user"))
    known = users.unique()
    told = target.with_columns(pl.col(USER).is_in(known.implode()).alias(IN_SOURCE))
    events = protocol.split(told).drop(IN_SOURCE, LATER_ELSEWHERE, strict=False)
    if protocol.cut_at == "global":
        check_temporal(events)
    return events.with_columns(pl.lit(0, pl.UInt8).alias(ORIGIN))


def _statistics(
    domain: _Domain,
    events: pl.DataFrame,
    target: _Domain | None,
    target_events: pl.DataFrame | None,
) -> DomainAccount:
    """What a domain is and, if it is a source, how it matches the target."""
    report = domain.report
    if len(events) != report.steps[-1].interactions:
        name = "in the split" if target is None else "before the target's test"
        left = CleaningStep(name, len(events), events[USER].n_unique(), events[ITEM].n_unique())
        report = replace(report, steps=(*report.steps, left))
    matched = None
    if target is not None and target_events is not None:
        matched = match(events, target_events, domain.items, target.items).to_dict()
    return DomainAccount(
        domain.name, profile(events, domain.items).to_dict(), report.to_dict(), matched
    )


def _write_reviews(folder: Path, events: pl.DataFrame, origins: Sequence[RawDomain]) -> None:
    """What was said of train events: what others say would be known too soon."""
    train = events.filter(pl.col(SPLIT) == TRAIN)
    write_reviews(
        folder,
        [
            reviews_of(raw, train.filter(pl.col(ORIGIN) == number)[ROW])
            for number, raw in enumerate(origins)
        ],
    )
