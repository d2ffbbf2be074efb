"""The contrastive loss, and SimCSE: a text is like itself."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from crossrec.errors import UserError
from crossrec.training.sharding import ALONE, Share
from crossrec.training.text_vectors import Pooling, TextBatch, bucketed, text_vectors


def info_nce(logits: Tensor, positive: Tensor, excluded: Tensor) -> Tensor:
    """Contrastive loss with several positives (van den Oord, 2018; L_out of Khosla et al., 2020).

    Mean over the anchors i that have positives P(i), and over these, of
    -log( exp(l_ij) / (exp(l_ij) + sum of exp(l_ik) over the k that are not excluded) ).

    Args:
        logits: (n, n) l_ij of anchor i and text j.
        positive: (n, n) bool.
        excluded: (n, n) bool, what is no negative: the anchor itself and its positives at least.

    Returns:
        A number; 0 where no anchor has a positive.
    """
    negatives = logits.masked_fill(excluded, -torch.inf).logsumexp(dim=1, keepdim=True)
    losses = torch.logaddexp(logits, negatives) - logits
    counts = positive.sum(dim=1)
    of_anchor = losses.masked_fill(~positive, 0.0).sum(dim=1) / counts.clamp(min=1)
    return of_anchor.sum() / (counts > 0).sum().clamp(min=1)


def cosines(anchors: Tensor, others: Tensor) -> Tensor:
    """(n, m) inner products in full precision: a temperature makes much of small differences."""
    with torch.autocast(anchors.device.type, enabled=False):
        return anchors.float() @ others.float().T


class SimCSE(nn.Module):
    """Unsupervised SimCSE (Gao, Yao and Chen, EMNLP 2021, equation 4).

    A batch is read twice; dropout makes the two readings differ, and each text has to find its
    other reading among those of all texts: -log softmax(cos(a_i, b_j) / temperature) at j = i.

    Args:
        tokens: token ids of distinct texts.
        n_batches: how many batches there are.
        batch_tokens: most tokens of a batch, without padding; a text of its own may exceed it.
        temperature: divides the cosines.
        pooling: how texts' vectors are made.
        seed: of order and dropout.
    """

    reads_head = False

    def __init__(
        self,
        tokens: Sequence[Sequence[int]],
        n_batches: int,
        batch_tokens: int,
        temperature: float,
        pooling: Pooling,
        seed: int,
    ) -> None:
        super().__init__()
        self.temperature, self.pooling, self.seed = temperature, pooling, seed
        self.batches: Dataset[TextBatch] = _TextBatches(tokens, n_batches, batch_tokens, seed)

    def loss(
        self, network: PreTrainedModel, batch: TextBatch, number: int, share: Share = ALONE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of a batch, whose number and the rank decide what is dropped, and what to
        log."""
        torch.manual_seed(_seed(self.seed, number, share.rank))
        network.train()
        first, second = (text_vectors(network, batch, self.pooling, share) for _ in range(2))
        network.eval()
        truth = torch.arange(len(first), device=first.device)
        loss = cross_entropy(cosines(first, second) / self.temperature, truth)
        return loss, {"contrast": loss.detach()}

    def n_tokens(self, batch: TextBatch) -> int:
        """Tokens that are trained on."""
        return batch.n_tokens

    def measure(self, network: PreTrainedModel, share: Share = ALONE) -> dict[str, float]:
        """Nothing of its own: see `Retrieval`."""
        return {}


@torch.no_grad()
def check_dropout(network: PreTrainedModel, batch: TextBatch, pooling: Pooling) -> None:
    """Refuse a network that reads a text the same way twice.

    Raises:
        UserError: there is nothing to tell the readings apart by.
    """
    network.train()
    first, second = (text_vectors(network, batch, pooling) for _ in range(2))
    network.eval()
    if first.equal(second):
        raise UserError(
            f"pretraining.objective=simcse needs dropout, which this {network.config.model_type} "
            "model has none of: its two readings of a text are one. Use "
            "pretraining=cooccurrence or pretraining=default"
        )


class _TextBatches(Dataset[TextBatch]):
    """Batch number b depends on (tokens, seed, b) alone; an epoch has every text once."""

    def __init__(
        self, tokens: Sequence[Sequence[int]], n_batches: int, batch_tokens: int, seed: int
    ) -> None:
        self.tokens, self.batch_tokens = tokens, batch_tokens
        rng = np.random.default_rng(seed)
        self.plan: list[list[int]] = []
        while len(self.plan) < n_batches:
            batch: list[int] = []
            room = batch_tokens
            for row in rng.permutation(len(tokens)).tolist():
                if batch and len(tokens[row]) > room:
                    self.plan.append(batch)
                    batch, room = [], batch_tokens
                    if len(self.plan) == n_batches:
                        return
                batch.append(row)
                room -= len(tokens[row])
            self.plan.append(batch)  # no text is in a batch twice, which would be its own negative

    def __len__(self) -> int:
        return len(self.plan)

    def __getitem__(self, number: int) -> TextBatch:
        return bucketed([self.tokens[row] for row in self.plan[number]], self.batch_tokens // 4)


def _seed(*numbers: int) -> int:
    return int(np.random.SeedSequence(numbers).generate_state(1)[0])
