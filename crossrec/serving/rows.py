"""The models of a run at work: catalog vectors are made once, a request costs one product."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.pair import Side
from crossrec.data.sequences import Sequences
from crossrec.evaluation.mixing import standardized
from crossrec.models.interface import Recommender, last_state
from crossrec.serving.past import Past, as_sequences
from crossrec.stages.learning import Model
from crossrec.stages.scoring import Ranker, Single
from crossrec.transfer.pair_model import PairModel

Scores = Callable[[Sequences, Tensor | None], Tensor]
"""(S,) histories and (C,) items, or None for all -> their scores, (S, C), on the CPU."""


class Row(Protocol):
    """What ranks a catalog for people of whom the past is known.

    Attributes:
        reads_history: whether a new event can change what it says.
        reads_content: whether a new item can have a place by its text.
    """

    @property
    def reads_history(self) -> bool: ...

    @property
    def reads_content(self) -> bool: ...

    def score(self, pasts: Sequence[Past], items: Tensor | None = None) -> Tensor:
        """(P, C) scores of the chosen items, of the whole catalog if None, for P pasts."""


@dataclass(frozen=True)
class Alone:
    """One model.

    Attributes:
        domain: that it reads, with the items that were added.
        side: which of the pair's domains that is.
        scores: from histories in the codes of that domain.
    """

    domain: Domain
    side: Side
    scores: Scores
    reads_history: bool
    reads_content: bool

    def score(self, pasts: Sequence[Past], items: Tensor | None = None) -> Tensor:
        """Scores of the model's own."""
        return self.scores(as_sequences(pasts, self.domain, self.side), items)


@dataclass(frozen=True)
class Mixed:
    """Several models, as a guard mixes them: see `evaluation.mixing`."""

    members: Sequence[Row]
    weights: Sequence[float]

    @property
    def reads_history(self) -> bool:
        """Whether any of them does."""
        return any(member.reads_history for member in self.members)

    @property
    def reads_content(self) -> bool:
        """Whether any of them does."""
        return any(member.reads_content for member in self.members)

    def score(self, pasts: Sequence[Past], items: Tensor | None = None) -> Tensor:
        """The weighted sum of scores, each standardized over the whole catalog."""
        parts = zip(self.members, self.weights, strict=True)
        total = torch.stack([w * standardized(member.score(pasts)) for member, w in parts]).sum(0)
        return total if items is None else total[:, items]


def at_work(domain: Domain, side: Side, model: Model) -> Alone:
    """A model with the vectors of its catalog made."""
    model.eval()
    if isinstance(model, PairModel):
        reads = model.max_history > 1
        return Alone(domain, side, _of_pair_model(model), reads, model.reads_text)
    reads_content = getattr(model, "content", None) is not None
    return Alone(domain, side, _of_model(model), model.sequential, reads_content)


def baseline(domain: Domain, ranker: Ranker, reads_history: bool) -> Alone:
    """A baseline of the table, which gives items that came after it a score of 0.

    Args:
        domain: with the items that were added.
        ranker: the baseline as it was fitted, a `Single`.
    """
    assert isinstance(ranker, Single)
    fitted, n_fitted = ranker.scorer, ranker.domain.n_items

    def scores(histories: Sequences, items: Tensor | None) -> Tensor:
        known = histories.items < n_fitted
        counted = torch.cat([torch.zeros(1, dtype=torch.int64), known.cumsum(0)])
        past = Sequences(
            histories.users,
            counted[histories.offsets],
            histories.items[known],
            histories.ratings[known],
            histories.own[known],
        )
        found = F.pad(fitted(past)(slice(None)), (0, domain.n_items - n_fitted))
        return found if items is None else found[:, items]

    return Alone(domain, "target", scores, reads_history, reads_content=False)


@torch.no_grad()
def _of_model(model: Recommender) -> Scores:
    embedded = model.embed_items()
    catalog = model.item_vectors(embedded)

    @torch.no_grad()
    def scores(histories: Sequences, items: Tensor | None) -> Tensor:
        rows = torch.arange(len(histories.users))
        batch = histories.last(rows, model.max_history).to(embedded.device)
        states = last_state(model.user_vectors(batch.users, batch.items, embedded), batch.items)
        chosen = catalog if items is None else catalog[items.to(embedded.device)]
        return model.score_block(states, chosen)(slice(None)).float().cpu()

    return scores


@torch.no_grad()
def _of_pair_model(model: PairModel) -> Scores:
    score = model.scorer("target")
    held = next(chain(model.parameters(), model.buffers()), torch.empty(0))

    @torch.no_grad()
    def scores(histories: Sequences, items: Tensor | None) -> Tensor:
        rows = torch.arange(len(histories.users))
        found = score(histories.last(rows, model.max_history).to(held.device)).float().cpu()
        return found if items is None else found[:, items]

    return scores
