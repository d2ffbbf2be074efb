"""What the service was told since it started: events of people, and items."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Lock

from crossrec.data.pair import Side
from crossrec.serving.problems import Full

MOST_EVENTS = 1_000_000  # in all; some 200 bytes each
MOST_OF_USER = 1_000  # the last ones: models read some fifty


@dataclass
class Memory:
    """New events by user, in the order in which they came.

    Readers take no lock: what a user did is a tuple, which is replaced and never changed. Writers
    take one lock for all users, for they share the journal's file and the count, and each holds it
    for some microseconds.

    Attributes:
        clock: seconds since 1970.
    """

    clock: Callable[[], float] = time.time
    lock: Lock = field(default_factory=Lock)
    events: dict[str, tuple[tuple[Side, int], ...]] = field(default_factory=dict)
    count: int = 0

    def of(self, user: str) -> tuple[tuple[Side, int], ...]:
        """(domain, code of the item) of a user's new events, oldest first."""
        return self.events.get(user, ())

    def add(self, user: str, event: tuple[Side, int]) -> int:
        """Append an event; the caller holds the lock. Returns how many new events the user has.

        Raises:
            Full: there are as many as there may be.
        """
        if self.count >= MOST_EVENTS:
            raise Full(f"the service keeps {MOST_EVENTS:,} new events at most: train again")
        self.events[user] = (*self.of(user), event)[-MOST_OF_USER:]
        self.count += 1
        return len(self.events[user])
