"""Methods that bring a network of their own, made for two domains and trained on both."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.models.cases import Cases, Events
from crossrec.models.interface import users_at_once
from crossrec.transfer.method import Overlap

Loss = Callable[[Cases], Tensor]
Batches = Mapping[Side, Batch]
Scores = Callable[[Batch], Tensor]
"""Histories of B users -> (B, n_items) scores of one side's catalog."""


@dataclass(frozen=True)
class Phase:
    """One stretch of a method's training, with early stopping of its own.

    Attributes:
        name: what the method is told.
        reads: the sides that each step gets a batch of. An epoch is one pass over the target's
            events, or over the source's where the target is not read; the other side's batches
            are as large and follow each other endlessly.
        trains: beginnings of the names of the parameters that move; empty for all.
        validates: the side whose validation chooses the weights.
        epochs: at most; None, as many as the trainer makes of others.
    """

    name: str
    reads: tuple[Side, ...] = ("target", "source")
    trains: tuple[str, ...] = ()
    validates: Side = "target"
    epochs: int | None = None


class PairModel(nn.Module, ABC):
    """A method with its own network; one file, one class, one YAML.

    The constructor takes hyper-parameters alone and makes no parameter; `build` makes them all.

    Attributes:
        needs: the overlap without which the method has no meaning.
        reads_text: whether it knows items by content vectors alone, so that it needs an encoder.
        max_history: events of history that it reads; 1 where users are known by their ids, and
            then every training event is a batch row of its own, items of shape (B, 1).
        phases: the stretches of its training, in order; none, where nothing is trained.
        phase: name of the current one; the last one when the model is used.
    """

    needs: Overlap
    reads_text: bool = False
    max_history: int = 1
    phases: tuple[Phase, ...] = (Phase("joint"),)
    phase: str = ""

    @abstractmethod
    def build(self, pair: DomainPair, content: Content) -> None:
        """Make the parameters for a pair. The same torch seed makes the same ones.

        Args:
            pair: user codes are those of the pair on either side; a batch of the source comes
                from `pair.source.train`, one of the target from `pair.target.train`, whose
                histories hold source items too, as codes from `pair.target.n_items` on.
            content: vectors of both catalogs, if there is an encoder.
        """

    def loss(self, batches: Batches, losses: Mapping[Side, Loss]) -> Tensor:
        """What a step of the current phase makes smaller, a scalar.

        Args:
            batches: one for each side that the phase reads.
            losses: the objective of each side, which takes that side's training cases.

        Raises:
            TypeError: a method with a phase does not say what is made smaller in it.
        """
        raise TypeError(f"{type(self).__name__} has the phase {self.phase!r} but no loss")

    @abstractmethod
    def scorer(self, side: Side) -> Scores:
        """How the model as it stands now scores the catalog of a side.

        Work that all users share is done once, in the call; gradients are off.
        """

    def enter(self, phase: Phase) -> None:
        """The training enters a phase; parameters may be given new values here."""
        self.phase = phase.name


def domain_of(pair: DomainPair, side: Side) -> Domain:
    """The domain of a side: where its batches and its queries come from."""
    return pair.source if side == "source" else pair.target


def event_cases(user: Tensor, item: Tensor, batch: Batch) -> Cases:
    """The cases of single events whose score is an inner product.

    Args:
        user: (B, k) vectors of the users of the batch.
        item: (n_items, k) vectors of the side's catalog.
        batch: with items of shape (B, 1).
    """
    return Cases.of_vectors(user, item, *events_of(batch))


def events_of(batch: Batch) -> Events:
    """The single events of a batch with items of shape (B, 1)."""
    return batch.users, batch.items[:, 0], batch.ratings[:, 0]


def scored_cases(score: Callable[[Tensor, Tensor], Tensor], n_items: int, batch: Batch) -> Cases:
    """The cases of single events whose score is a network's.

    Args:
        score: (M, 1) users and (M, S) items -> (M, S).
        n_items: of the side's catalog.
        batch: with items of shape (B, 1).
    """

    def of(candidates: Tensor) -> Tensor:
        columns = candidates.view(len(candidates), -1)
        return score(batch.users[:, None], columns).view(candidates.shape)

    return Cases(*events_of(batch), n_items, of)


def score_catalog(score: Callable[[Tensor, Tensor], Tensor], n_items: int, users: Tensor) -> Tensor:
    """(B, n_items) scores of a network, made for a few users at a time.

    Args:
        score: as in `scored_cases`, but (M, 1) users meet (1, n_items) items.
        n_items: of the side's catalog.
        users: (B,) codes.
    """
    items = torch.arange(n_items, device=users.device)[None]
    blocks = users[:, None].split(users_at_once(n_items, users.device))
    return torch.cat([score(block, items) for block in blocks])
