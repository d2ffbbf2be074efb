"""Recommendations of a run, and what people and items do to them, with no web in it."""

from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

import torch

from crossrec.data.columns import ITEM, TITLE
from crossrec.data.pair import Side
from crossrec.errors import UserError
from crossrec.serving.growing import NOTHING
from crossrec.serving.heat import Heat
from crossrec.serving.journal import Journal
from crossrec.serving.memory import Memory
from crossrec.serving.opening import Run
from crossrec.serving.past import NOBODY, Past, known_past
from crossrec.serving.problems import Full, Problem, Refused, Unknown
from crossrec.serving.shelf import Shelf

MOST_ADDED = 10_000  # items


class Service:
    """One run that answers; any number of threads may ask.

    Args:
        run: an opened run.
        journal: where what it is told is kept, None for in memory alone. What it holds already is
            told first.

    Raises:
        UserError: the journal holds what this run does not know.
    """

    def __init__(self, run: Run, journal: Journal | None = None) -> None:
        self.run = run
        self.memory = Memory()
        self.adding = Lock()  # items are added by one request at a time
        self.shelf = Shelf.of(run, NOTHING)
        self.active = run.pair.target.known.lengths.argsort(descending=True, stable=True).numpy()
        self.users = {user: code for code, user in enumerate(run.pair.target.user_ids)}
        self.heat = {
            side: Heat.of_data(run.data, side, catalog.codes)
            for side, catalog in self.shelf.catalogs.items()
        }
        self.journal: Journal | None = None
        if journal is not None:
            self._replay(journal)
            self.journal = journal

    def past(self, user: str, side: Side) -> Past:
        """What is known of a user when they are asked about in a domain.

        Raises:
            Unknown: nobody of this name is in the data, or was told of.
        """
        if not self._knows(user):
            raise Unknown(
                f"nobody knows user {user!r}: tell of them with POST /events, or send what they "
                "did as `history` to POST /recommendations"
            )
        code = self.users.get(user)
        known = NOBODY if code is None else known_past(self.run.pair, side, code)
        return known.then(self.memory.of(user))

    def _knows(self, user: str) -> bool:
        return user in self.users or bool(self.memory.of(user))

    def recommend(
        self,
        user: str | None,
        history: Sequence[tuple[str, str]],
        domain: str,
        n: int,
        most_reasons: int = 0,
        hot: float = 0.0,
        half_life: float = 1.0,
    ) -> dict[str, list[dict[str, Any]]]:
        """The best items of a domain, by the name of the row.

        Args:
            user: None, or somebody whom nobody knows, if `history` is all that is known.
            history: domain and item of events that are taken for the user's last ones, for this
                answer only.
            domain: whose catalog is ranked.
            n: items.
            most_reasons: for each item.
            hot: share of recent events in the score, see `heat.heated`.
            half_life: after which a recent event is worth half, in seconds.

        Raises:
            Problem: an unknown user, domain or item; a model that reads no history.
        """
        side = self.shelf.side(domain)
        past = NOBODY
        if user is not None and (not history or self._knows(user)):
            past = self.past(user, side)
        shelf = self.shelf  # read after the past, so that it has every item of the past
        if history:
            shelf.check_learns(side)
            past = past.then([shelf.event(*event) for event in history])
        shares = None
        if hot > 0:
            n_items, now = len(shelf.catalogs[side]), self.memory.clock()
            shares = torch.from_numpy(self.heat[side].shares(n_items, half_life, now)).float()
        return shelf.recommend(side, past, n, most_reasons, hot, shares)

    def history(self, user: str) -> list[dict[str, Any]]:
        """What is known of a user, oldest first, as an answer in the target reads it."""
        events = self.past(user, "target").events()
        return [self.shelf.said(*event) for event in events]

    def search(self, domain: str, text: str, limit: int) -> list[dict[str, str | None]]:
        """Items of a domain, see `Catalog.search`.

        Raises:
            Unknown: there is no such domain.
        """
        shelf = self.shelf
        return shelf.catalogs[shelf.side(domain)].search(text, limit)

    def search_users(self, text: str, limit: int) -> list[str]:
        """Users of the data whose id has a text in it, those with the longest histories first."""
        ids = self.run.pair.target.user_ids.gather(self.active)
        return ids.filter(ids.str.contains(text, literal=True)).head(limit).to_list()

    def about(self) -> dict[str, Any]:
        """What is served: the run, and of each domain its side, items and rows."""
        shelf, target = self.shelf, self.shelf.model("target")
        return {
            "run": self.run.name,
            "caption": self.run.caption,
            "domains": {
                catalog.name: {"side": side, "items": len(catalog), "rows": list(shelf.rows[side])}
                for side, catalog in shelf.catalogs.items()
            },
            "takes_events": target.reads_history,
            "takes_items": self.run.reader is not None and target.reads_content,
        }

    def tell(self, user: str, domain: str, item: str) -> int:
        """A user did something with an item, now; returns how many new events they have.

        Raises:
            Problem: unknown domain or item; a model that learns nothing from it; too many events.
        """
        shelf = self.shelf
        event = shelf.event(domain, item)
        shelf.check_learns("target")
        told = {"user": user, "domain": domain, "item": item, "time": self.memory.clock()}
        return self._told(event, told)

    def add_items(self, domain: str, items: Sequence[Mapping[str, str]]) -> None:
        """Items that the catalog of a domain did not have, each of which has a text.

        Args:
            items: columns of items by name, ITEM among them.

        Raises:
            Problem: an item is there already or has no text; the run reads none.
        """
        with self.adding:
            shelf = self.shelf
            side, reader = shelf.side(domain), self.run.reader
            if reader is None:
                raise Refused(f"no item can be added: {self.run.no_reader}")
            shelf.check_grows(side)
            ids = [item[ITEM] for item in items]
            known = shelf.catalogs[side].codes
            for place, item in enumerate(ids):
                if item in known or item in ids[:place]:
                    raise Refused(f"{shelf.catalogs[side].name} has an item {item!r} already")
            if len(ids) + sum(map(len, shelf.added.values())) > MOST_ADDED:
                raise Full(f"at most {MOST_ADDED:,} items can be added: train again")
            titles = [item.get(TITLE) or item[ITEM] for item in items]
            more = shelf.added[side].then(ids, titles, reader.vectors(items))
            try:
                self.shelf = Shelf.of(self.run, {**shelf.added, side: more})
            except RuntimeError as error:
                raise Refused(
                    "no item can be added: the transfer method of this run has weights for each "
                    "item that it was trained on"
                ) from error
            if self.journal is not None:
                with self.memory.lock:
                    self.journal.write("items", {"domain": domain, "items": list(items)})

    def _told(self, event: tuple[Side, int], told: dict[str, Any]) -> int:
        with self.memory.lock:
            count = self.memory.add(told["user"], event)
            if self.journal is not None:
                self.journal.write("event", told)
        self.heat[event[0]].add(event[1], told["time"])
        return count

    def _replay(self, journal: Journal) -> None:
        for number, kind, told in journal.lines():
            try:
                if kind == "event":
                    self._told(self.shelf.event(told["domain"], told["item"]), told)
                else:
                    self.add_items(told["domain"], told["items"])
            except (Problem, KeyError, TypeError) as error:
                raise UserError(
                    f"--events {journal.file}, line {number}: {error!s}. The file was written for "
                    "another run: give another one"
                ) from error
