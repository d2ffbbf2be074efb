"""What two domains have in common: users, items, and the words that describe the items."""

from dataclasses import asdict, dataclass

import polars as pl

from crossrec.data.columns import ITEM, USER
from crossrec.data.statistics.distributions import Spread, share, spread
from crossrec.data.statistics.profile import event_counts, item_counts
from crossrec.data.statistics.text_match import TextMatch, match_texts


@dataclass(frozen=True)
class Shared:
    """Users, or items of both catalogs, that stand in both domains.

    Attributes:
        count: how many they are.
        of_source, of_target: share of the source's and of the target's.
        source_interactions, target_interactions: theirs in either domain.
        of_source_interactions, of_target_interactions: share of all interactions there.
    """

    count: int
    of_source: float
    of_target: float
    source_interactions: int
    target_interactions: int
    of_source_interactions: float
    of_target_interactions: float


@dataclass(frozen=True)
class Match:
    """What a source and a target have in common.

    Attributes:
        users, items: the shared ones.
        source_history: source interactions of a shared user.
        text: how well the texts of the items match.
    """

    users: Shared
    items: Shared
    source_history: Spread
    text: TextMatch

    def to_dict(self) -> dict[str, object]:
        """The match as JSON can hold it."""
        return asdict(self)


def match(
    source_events: pl.DataFrame,
    target_events: pl.DataFrame,
    source_items: pl.DataFrame,
    target_items: pl.DataFrame,
) -> Match:
    """Compare two domains, whatever the order of their rows.

    Args:
        source_events, target_events: interactions with USER and ITEM; users are strings, or
            integers that count over both domains.
        source_items, target_items: catalogs with ITEM, once each, and the text columns; how
            interactions may name items says `profile.item_counts`.
    """
    source_users, target_users = (
        event_counts(events[USER]) for events in (source_events, target_events)
    )
    source_catalog, target_catalog = (
        pl.DataFrame({"id": items[ITEM].hash(), "events": item_counts(events, items)})
        for events, items in ((source_events, source_items), (target_events, target_items))
    )
    shared_users = source_users.join(target_users, on="id", suffix="_in_target")
    return Match(
        users=_shared(source_users, target_users, shared_users),
        items=_shared(
            source_catalog,
            target_catalog,
            source_catalog.join(target_catalog, on="id", suffix="_in_target"),
        ),
        source_history=spread(shared_users["events"].to_numpy()),
        text=match_texts(source_items, target_items),
    )


def _shared(source: pl.DataFrame, target: pl.DataFrame, both: pl.DataFrame) -> Shared:
    """The account of ids with their events: id, events, and events_in_target in `both`."""
    of_source, of_target = _sum(both["events"]), _sum(both["events_in_target"])
    return Shared(
        count=len(both),
        of_source=share(len(both), len(source)),
        of_target=share(len(both), len(target)),
        source_interactions=of_source,
        target_interactions=of_target,
        of_source_interactions=share(of_source, _sum(source["events"])),
        of_target_interactions=share(of_target, _sum(target["events"])),
    )


def _sum(counts: pl.Series) -> int:
    return int(counts.to_numpy().sum())
