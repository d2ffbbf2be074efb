"""Batches of either domain in one vocabulary, and which of their events are to be predicted."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.data.columns import PAD
from crossrec.data.domain import Domain
from crossrec.data.pair import SIDES, DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.cases import Cases
from crossrec.models.interface import before_last, last_state
from crossrec.transfer.pair_model import Batches, Loss
from crossrec.transfer.preferences.shared_ids import SharedIds

OTHER: Mapping[Side, Side] = {"source": "target", "target": "source"}
StateIndex = tuple[Tensor, Tensor]
"""(M,) rows of a batch and, of each, how many events came before."""


@dataclass(frozen=True)
class Events:
    """The histories of B users over both domains, padded on the right with PAD.

    Attributes:
        users: (B,) user codes.
        rows: (B, L) each event's item as a row of a table over both catalogs.
        codes: (B, L) each event's item as its own domain numbers it.
        ratings: (B, L) float32, NaN where there is none.
        of: by side, (B, L) bool, the events that happened there.
        labels: by side, (B, L) bool, those of them that are to be predicted in training.
    """

    users: Tensor
    rows: Tensor
    codes: Tensor
    ratings: Tensor
    of: Mapping[Side, Tensor]
    labels: Mapping[Side, Tensor]

    def alone(self, side: Side) -> Tensor:
        """(B, L_side) codes of the events of one side, in their order, padded on the right."""
        mine = self.of[side]
        length = int(mine.sum(dim=1).max()) if mine.numel() else 0
        order = torch.argsort((~mine).to(torch.uint8), dim=1, stable=True)[:, :length]
        return self.codes.masked_fill(~mine, PAD).gather(1, order)

    def at_events(self, side: Side, state: Tensor) -> Tensor:
        """States of one side's own sequence, put where the sequence over both domains has them.

        Args:
            state: (B, L_side + 1, k) before each of `alone(side)` and after the last.

        Returns:
            (B, L + 1, k); position p knows the events of the side among the first p of both.
        """
        known = self._known(side)
        return state.gather(1, known[..., None].expand(-1, -1, state.shape[-1]))

    def alone_index(self, side: Side, where: StateIndex) -> StateIndex:
        """The same states among those of one side's own sequence, `alone(side)`.

        Args:
            where: (M,) rows, and (M,) events of both domains that came before.

        Returns:
            (M,) rows, and (M,) events of the side among those.
        """
        rows, events = where
        return rows, self._known(side)[rows, events]

    def _known(self, side: Side) -> Tensor:
        """(B, L + 1) events of a side among the first p of both, p from 0 on."""
        return F.pad(self.of[side].cumsum(dim=1), (1, 0))

    def before_labels(self, side: Side) -> StateIndex:
        """Where the states are that predict a side's labels, in their order."""
        rows, events = self.labels[side].nonzero().unbind(1)
        return rows, events

    def last(self, state: Tensor) -> Tensor:
        """(B, k) what (B, L + 1, k) states say after each user's last event."""
        return last_state(state, self.rows)


class TwoDomains(nn.Module):
    """Reads batches of a pair, and sees to it that each training event is predicted once.

    Target events are predicted in the target's batches. Source events are predicted there too,
    where they stand in a window of the target, so that the network learns how the domains follow
    each other; all others, those of users without the target among them, are predicted in the
    source's batches. Only events of the source's train are: what the source holds out may stand in
    a target history, but is nowhere a label.

    Attributes:
        ids: rows of tables over both catalogs.
    """

    told: Tensor

    def __init__(self, pair: DomainPair, max_history: int) -> None:
        super().__init__()
        self.ids = SharedIds(pair)
        self.n_target, self.n_source = pair.target.n_items, pair.source.n_items
        told = _told_in_target(pair, max_history)
        # Sorted, and never empty: no key is -1.
        self.register_buffer("told", F.pad(told, (1, 0), value=-1), persistent=False)

    def read(self, side: Side, batch: Batch) -> Events:
        """A batch of a side of the pair: of its training, or histories of its queries."""
        items = batch.items
        real = items != PAD
        of_target = real & (items < self.n_target) if side == "target" else real & False
        of_source = real & ~of_target
        source = items - self.n_target if side == "target" else items
        codes = torch.where(of_target, items, torch.where(of_source, source, PAD))
        rows = torch.where(
            of_target, items, self.ids.rows("source")[source.clamp(0, self.n_source - 1)]
        ).masked_fill(~real, PAD)
        keys = batch.users[:, None] * self.n_source + codes
        place = torch.searchsorted(self.told, keys).clamp(max=len(self.told) - 1)
        in_target = self.told[place] == keys
        labels = of_source & (in_target if side == "target" else ~in_target)
        return Events(
            users=batch.users,
            rows=rows,
            codes=codes,
            ratings=batch.ratings,
            of={"target": of_target, "source": of_source},
            labels={"target": of_target, "source": labels},
        )

    def read_training(self, batches: Batches) -> list[Events]:
        """Training batches, in the order of SIDES, without users of whom nothing is predicted.

        Their histories are what `before_last` leaves of them.
        """
        read = []
        for side in SIDES:
            events = self.read(side, batches[side])
            label = events.labels["source"] | events.labels["target"]
            kept = label.any(dim=1)
            kept[:1] |= ~kept.any()  # networks read no empty batch
            rows = before_last(events.rows, label)[kept]
            read.append(
                Events(
                    events.users[kept],
                    rows,
                    events.codes[kept],
                    events.ratings[kept],
                    {of: mask[kept] & (rows != PAD) for of, mask in events.of.items()},
                    {of: mask[kept] for of, mask in events.labels.items()},
                )
            )
        return read

    def content(self, content: Content) -> Tensor | None:
        """(ids.n_items, d_c) vectors of both catalogs; an item of both has the target's."""
        if content.source is None or content.target is None:
            return None
        joint = content.target.new_empty(self.ids.n_items, content.target.shape[1])
        joint[self.ids.rows("source")] = content.source
        joint[self.ids.rows("target")] = content.target
        return joint


def prediction_loss(
    loss: Loss, side: Side, read: Sequence[Events], states: Sequence[Tensor], item: Tensor
) -> Tensor:
    """The objective of a side over all its labels; zero where there are none.

    Args:
        read: histories.
        states: for each of them, (B, L + 1, k) before each event and after the last.
        item: (n_items, k) vectors of the side's catalog.
    """
    chosen = [events.labels[side] for events in read]
    user = torch.cat([state[:, :-1][mask] for state, mask in zip(states, chosen, strict=True)])
    return label_loss(loss, side, read, user, item)


def label_loss(
    loss: Loss, side: Side, read: Sequence[Events], user: Tensor, item: Tensor
) -> Tensor:
    """`prediction_loss` of the (M, k) states before its M labels, in their order."""
    if len(user) == 0:
        return (user.sum() + item.sum()) * 0
    parts = [(events, events.labels[side]) for events in read]
    users = torch.cat([events.users[:, None].expand_as(mask)[mask] for events, mask in parts])
    items = torch.cat([events.codes[mask] for events, mask in parts])
    ratings = torch.cat([events.ratings[mask] for events, mask in parts])
    return loss(Cases.of_vectors(user, item, users, items, ratings))


def check_network(alpha: float, dim: int, n_heads: int, max_history: int) -> None:
    """What the networks of this room have in common.

    Raises:
        UserError: names the setting that is out of range.
    """
    if not 0 <= alpha < 1:
        raise UserError(f"transfer.alpha must be >= 0 and < 1, got {alpha}")
    if dim % n_heads:
        raise UserError(
            f"transfer.dim must be divisible by transfer.n_heads, got {dim} and {n_heads}"
        )
    if max_history < 2:
        raise UserError(f"transfer.max_history must be >= 2, got {max_history}")


def source_keys(pair: DomainPair) -> Tensor:
    """Sorted user * n_source + item of the source's training events, each once."""
    users, items, _ = pair.source.train_events()
    return torch.unique(users * pair.source.n_items + items)


def context_keys(pair: DomainPair) -> Tensor:
    """(E,) user * n_source + item of the events of the target's train, -1 for its own ones."""
    train = pair.target.train
    users = torch.repeat_interleave(train.users, train.lengths)
    keys = users * pair.source.n_items + train.items - pair.target.n_items
    return keys.masked_fill(train.own, -1)


def _told_in_target(pair: DomainPair, max_history: int) -> Tensor:
    """Sorted keys of the source's training events that stand in training windows of the target."""
    keys = context_keys(pair)
    inside = _in_windows(pair.target, max_history)
    return torch.unique(keys[inside & torch.isin(keys, source_keys(pair))])


def _in_windows(domain: Domain, max_history: int) -> Tensor:
    """(E,) whether a training event is in a window that has an own event, as batches are cut."""
    train = domain.train
    row = torch.repeat_interleave(torch.arange(len(train.users)), train.lengths)
    from_end = train.offsets[1:][row] - 1 - torch.arange(len(row))
    per_row = int(train.lengths.max()) // max_history + 1 if len(row) else 1
    window = row * per_row + from_end // max_history
    n_own = torch.bincount(window[train.own], minlength=len(train.users) * per_row)
    return n_own[window] > 0
