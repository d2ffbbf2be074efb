"""Whether the nearest items by text are those that the same person had: a measure of taste."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel

from crossrec.evaluation.metrics import METRICS
from crossrec.evaluation.ranking import Queries, factorized, rank
from crossrec.evaluation.significance import mean_interval
from crossrec.training.sharding import ALONE, Share
from crossrec.training.text_histories import Codes, TextHistories
from crossrec.training.text_vectors import Pooling, measured_vectors

K = 10
DIRECTIONS = {
    "source": (0, 0),
    "target": (1, 1),
    "source to target": (0, 1),
    "target to source": (1, 0),
}
Measures = dict[str, dict[str, float | None]]


@dataclass(frozen=True)
class Questions:
    """Of one direction: (user, item of theirs, the user's other items), as places of texts."""

    users: list[int]
    anchors: list[int]
    truths: list[Codes]


class Retrieval:
    """Asks about users whom nothing was trained on: which items did they have beside this one?

    Every item of theirs is asked with, and a user counts once, with the mean of the answers. The
    candidates are ranked by cosine: the texts of a domain's train items without the one that is
    asked with, `most` of both domains together besides those that the users had.

    Args:
        histories: of all users, which say what texts each domain has.
        held_out: of the users that are asked about.
        tokens: token ids of each of `histories.texts`.
        pooling: how texts' vectors are made.
        most: most texts to look through; None: all.
        seed: of the choice of texts.
    """

    def __init__(
        self,
        histories: TextHistories,
        held_out: TextHistories,
        tokens: Sequence[Sequence[int]],
        pooling: Pooling,
        most: int | None,
        seed: int,
    ) -> None:
        asked_about = np.unique(held_out.codes)
        others = np.setdiff1d(histories.codes, asked_about)
        room = len(others) if most is None else max(0, most - len(asked_about))
        chosen = np.random.default_rng(seed).permutation(others)[:room]
        codes = np.sort(np.concatenate([asked_about, chosen]))
        self.tokens = [tokens[code] for code in codes]
        self.pooling = pooling
        self.candidates = {
            side: np.flatnonzero(np.isin(codes, histories.codes[histories.domains == side]))
            for side in (0, 1)
        }
        self.questions = {
            name: _questions(held_out, codes, *sides) for name, sides in DIRECTIONS.items()
        }

    def measure(self, network: PreTrainedModel, share: Share = ALONE) -> Measures:
        """NDCG@10 and Recall@10 by direction, with intervals of 95% over users.

        Args:
            network: with its language head.
            share: the texts that this rank reads; all ranks are told the same.

        Returns:
            direction -> metric, metric_low, metric_high (null for a single user), users and
            candidates; directions in which nobody can be asked are left out.
        """
        if not any(questions.users for questions in self.questions.values()):
            return {}
        vectors = measured_vectors(network, self.tokens, self.pooling, share)
        return {
            name: self._of(name, questions, vectors)
            for name, questions in self.questions.items()
            if questions.users
        }

    def _of(self, name: str, asked: Questions, vectors: Tensor) -> dict[str, float | None]:
        candidates = self.candidates[DIRECTIONS[name][1]]
        seen = [np.flatnonzero(candidates == anchor) for anchor in asked.anchors]
        truth = [np.searchsorted(candidates, places) for places in asked.truths]
        queries = Queries(
            np.arange(len(truth)), _offsets(seen), _flat(seen), _offsets(truth), _flat(truth)
        )
        scores = factorized(vectors[asked.anchors], vectors[candidates])
        ranking = rank(scores, queries, len(candidates), K, beyond_k=False)
        _, of_user = np.unique(asked.users, return_inverse=True)
        found: dict[str, float | None] = {}
        for metric in ("ndcg", "recall"):
            values = METRICS[metric](ranking.truth_ranks, ranking.truth_offsets, K).numpy()
            means = np.bincount(of_user, values) / np.bincount(of_user)
            value, low, high = map(float, mean_interval(means))
            certain = len(means) > 1
            found[f"{metric}@{K}"] = value
            found[f"{metric}@{K}_low"] = low if certain else None
            found[f"{metric}@{K}_high"] = high if certain else None
        return {**found, "users": int(of_user.max()) + 1, "candidates": len(candidates)}


def _questions(held_out: TextHistories, codes: Codes, given: int, wanted: int) -> Questions:
    asked = Questions([], [], [])
    for user in range(len(held_out)):
        texts, domains = held_out.user(user)
        answers = np.unique(texts[domains == wanted])
        for anchor in np.unique(texts[domains == given]):
            others = answers[answers != anchor]
            if len(others):
                asked.users.append(user)
                asked.anchors.append(int(np.searchsorted(codes, anchor)))
                asked.truths.append(np.searchsorted(codes, others))
    return asked


def _flat(parts: list[Codes]) -> Tensor:
    return torch.from_numpy(np.concatenate(parts)).long()


def _offsets(parts: list[Codes]) -> Tensor:
    return torch.tensor([0, *np.cumsum([len(part) for part in parts])])
