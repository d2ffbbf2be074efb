"""The account of a target and its sources: what is known of each, in JSON and in plain words."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from crossrec.data.statistics.profile import ANY


@dataclass(frozen=True)
class DomainAccount:
    """What is known of one domain.

    Attributes:
        name: as the data calls it.
        profile: `Profile.to_dict()`, or what JSON made of it; so are the others.
        cleaning: `CleaningReport.to_dict()`; None where nothing was cleaned.
        match: `Match.to_dict()` of this source with the target; None for the target.
    """

    name: str
    profile: Mapping[str, Any]
    cleaning: Mapping[str, Any] | None = None
    match: Mapping[str, Any] | None = None

    @property
    def title(self) -> str:
        """The name and whether it is the target or a source."""
        return f"{self.name} ({'target' if self.match is None else 'source'})"


def as_json(domains: Sequence[DomainAccount]) -> str:
    """All numbers, for `read_json`."""
    return json.dumps([asdict(domain) for domain in domains], indent=1) + "\n"


def read_json(text: str) -> list[DomainAccount]:
    """What `as_json` wrote."""
    return [DomainAccount(**domain) for domain in json.loads(text)]


def sentences(domains: Sequence[DomainAccount]) -> list[str]:
    """The account in plain words: a sentence a domain, then one a source.

    Args:
        domains: the target, then its sources.
    """
    matches = [_of_match(source, domains[0].name) for source in domains[1:]]
    return [*(_of_domain(domain) for domain in domains), *matches]


def _of_domain(domain: DomainAccount) -> str:
    profile = domain.profile
    sizes = ", ".join(f"{profile[what]:,} {what}" for what in ("users", "items", "interactions"))
    times, mean = profile["times"], profile["ratings"]["mean"]
    when = f"{times['first']} to {times['last']}" if times else "no timestamps"
    liked = "no ratings" if mean is None else f"mean rating {mean:.3g}"
    text = profile["text"][ANY]
    described = f"text for {percent(text['items'])} of items" if text["items"] else "no text"
    return f"{domain.title}: {sizes}; {when}; {liked}; {described}"


def _of_match(source: DomainAccount, target: str) -> str:
    match = source.match
    assert match is not None
    users, items, text = match["users"], match["items"], match["text"]
    said = ["no shared users", "no shared items", "no text to compare"]
    if users["count"]:
        said[0] = (
            f"{users['count']:,} shared users ({percent(users['of_target'])} of the target's) with "
            f"a median of {match['source_history']['quantiles']['50']:g} interactions in "
            f"{source.name}"
        )
    if items["count"]:
        said[1] = f"{items['count']:,} shared items ({percent(items['of_target'])} of the target's)"
    if text["to_source"] is not None:
        said[2] = f"knows {percent(text['known_words'])} of the words in the target's texts"
    return f"{source.name} to {target}: {'; '.join(said)}"


def percent(share: float) -> str:
    """45%, 4.6%, 0.46%, <0.01%; 0% and 100% are said of nothing and of all alone."""
    if share in (0, 1):
        return f"{share:.0%}"
    if share < 1e-4 or share > 1 - 1e-4:
        return "<0.01%" if share < 0.5 else ">99.99%"
    return f"{share:.{2 if share < 0.01 or share > 0.99 else 1 if share < 0.1 else 0}%}"
