"""What the same person takes is alike: contrastive learning from the train histories."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from crossrec.errors import UserError
from crossrec.training.contrast import cosines, info_nce
from crossrec.training.sharding import ALONE, Share
from crossrec.training.text_histories import Codes, TextHistories
from crossrec.training.text_vectors import Pooling, TextBatch, bucketed, text_vectors


class WindowBatch(NamedTuple):
    """Some windows of histories, each text once.

    Attributes:
        texts: the n distinct texts.
        together: (n, n) bool, True where two texts share a window: the positives.
        known: (n, n) bool, True where somebody had both, or where they are one text.
        log_frequency: (n,) logarithm of the share of people who had the text.
    """

    texts: TextBatch
    together: Tensor
    known: Tensor
    log_frequency: Tensor


class Cooccurrence(nn.Module):
    """In-batch contrast of texts that a person had in one window, in either domain or across them.

    l_ij = cos(v_i, v_j) / temperature - log Q_j, where Q_j is the share of people who had text j:
    a text comes into batches as often as that, which would otherwise push popular items away from
    everything (Yi et al., RecSys 2019, equation 3). What anybody had beside the anchor is no
    negative.

    Args:
        histories: of the users that may be learned from.
        tokens: token ids of each of `histories.texts`.
        n_batches: how many batches there are.
        batch_tokens: most tokens of a batch, without padding; a window of its own may exceed it.
        window: most events of a window, >= 2; see `window_around`.
        temperature: divides the cosines.
        pooling: how texts' vectors are made.
        seed: of order and places.

    Raises:
        UserError: nobody had two different texts.
    """

    reads_head = False

    def __init__(
        self,
        histories: TextHistories,
        tokens: Sequence[Sequence[int]],
        n_batches: int,
        batch_tokens: int,
        window: int,
        temperature: float,
        pooling: Pooling,
        seed: int,
    ) -> None:
        super().__init__()
        if not len(histories.able()):
            raise UserError(
                "pretraining.objective=cooccurrence: no user has two items of different texts in "
                "train, so that there is nothing to learn from. Use pretraining=default"
            )
        self.temperature, self.pooling = temperature, pooling
        plan = plan_windows(histories, tokens, n_batches, batch_tokens, window, seed)
        self.batches: Dataset[WindowBatch] = WindowBatches(histories, tokens, plan, batch_tokens)

    def loss(
        self, network: PreTrainedModel, batch: WindowBatch, number: int, share: Share = ALONE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, and what to log."""
        vectors = text_vectors(network, batch.texts, self.pooling, share)
        logits = cosines(vectors, vectors) / self.temperature - batch.log_frequency
        loss = info_nce(logits, batch.together, batch.known)
        return loss, {"contrast": loss.detach()}

    def n_tokens(self, batch: WindowBatch) -> int:
        """Tokens that are trained on."""
        return batch.texts.n_tokens

    def measure(self, network: PreTrainedModel, share: Share = ALONE) -> dict[str, float]:
        """Nothing of its own: see `Retrieval`."""
        return {}


class WindowBatches(Dataset[WindowBatch]):
    """Batch number b depends on (histories, tokens, plan, b) alone.

    Args:
        histories: say who had what.
        tokens: token ids of each of `histories.texts`.
        plan: the windows of each batch, as `plan_windows` gives them.
        batch_tokens: most tokens of a batch.
    """

    def __init__(
        self,
        histories: TextHistories,
        tokens: Sequence[Sequence[int]],
        plan: list[list[Codes]],
        batch_tokens: int,
    ) -> None:
        self.tokens, self.plan, self.batch_tokens = tokens, plan, batch_tokens
        self.had = histories.matrix()
        self.log_frequency = np.log(np.maximum(np.diff(self.had.indptr), 1) / len(histories))

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> WindowBatch:
        codes = np.unique(np.concatenate(self.plan[number]))
        together = np.zeros((len(codes), len(codes)), dtype=bool)
        for window in self.plan[number]:
            places = np.searchsorted(codes, window)
            together[np.ix_(places, places)] = True
        np.fill_diagonal(together, False)
        had = self.had[:, codes]
        known = (had.T @ had).toarray() > 0
        np.fill_diagonal(known, True)
        return WindowBatch(
            texts=bucketed([self.tokens[code] for code in codes], self.batch_tokens // 4),
            together=torch.from_numpy(together),
            known=torch.from_numpy(known),
            log_frequency=torch.from_numpy(self.log_frequency[codes]).float(),
        )


def plan_windows(
    histories: TextHistories,
    tokens: Sequence[Sequence[int]],
    n_batches: int,
    batch_tokens: int,
    window: int,
    seed: int,
) -> list[list[Codes]]:
    """The windows of each batch, pass after pass over the users, shuffled each time.

    A person counts once a pass, however long the history is, with a window around a random event.
    """
    rng = np.random.default_rng(seed)
    able = histories.able()
    plan: list[list[Codes]] = []
    while len(plan) < n_batches:
        batch: list[Codes] = []
        inside: set[int] = set()
        room = batch_tokens
        for user in rng.permutation(able).tolist():
            codes, domains = histories.user(user)
            texts = window_around(codes, domains, int(rng.integers(len(codes))), window)
            new = set(texts.tolist()) - inside
            if batch and sum(len(tokens[code]) for code in new) > room:
                plan.append(batch)
                batch, inside, room = [], set(), batch_tokens
                new = set(texts.tolist())
            batch.append(texts)
            inside |= new
            room -= sum(len(tokens[code]) for code in new)
        plan.append(batch)  # where everything has room in one batch, a pass is one
    return plan[:n_batches]


def window_around(codes: Codes, domains: Codes, place: int, size: int) -> Codes:
    """Distinct texts of the events nearest to event `place`, in ascending order.

    Of somebody who is known in both domains it holds the same number of events of either, so that
    items of different domains meet however far the domains lie apart in the history.

    Args:
        codes, domains: (E,) texts and domains of a history, oldest first.
        place: of the event in the middle.
        size: most events.
    """
    sides = np.unique(domains)
    chosen = []
    for side in sides:
        of_side = np.flatnonzero(domains == side)
        nearest = np.argsort(np.abs(of_side - place), kind="stable")
        chosen.append(codes[of_side[nearest[: max(1, size // len(sides))]]])
    return np.unique(np.concatenate(chosen))
