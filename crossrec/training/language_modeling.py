"""Masked and causal language modeling: what is hidden, or what follows."""

import copy
import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.nn.utils.rnn import pad_sequence
from torch.utils.data import Dataset
from transformers import PreTrainedModel

from crossrec.encoders.batching import mean_of_layers, pool
from crossrec.encoders.token_batches import Batch
from crossrec.encoders.token_targets import NO_TARGET
from crossrec.errors import UserError
from crossrec.training.sharding import ALONE, Share
from crossrec.training.text_vectors import Pooling, predicting


class LanguageModeling(nn.Module):
    """Cross-entropy of the tokens to predict + meaning_weight * drift of the texts' vectors.

    drift = mean over texts of 1 - cos(v, v0): v is the pooled vector that the network gives the
    (masked) text, v0 the one that the network gave the whole text before pretraining. Language
    modeling alone moves a sentence encoder away from what it knew of meaning; the second term
    holds it there, and asks it to know the meaning also where words are missing.

    Args:
        network: a transformers network with a language-modeling head, as it is before training.
        batches: to learn from.
        held_out: batches that measure perplexity, never trained on.
        masked: whether targets stand in for masked tokens, or follow (causal).
        pooling: how texts' vectors are made.
        meaning_weight: of the second term, >= 0.
        head_batches: how many batches come first in which only the head learns, and nothing moves.
    """

    reads_head = True

    def __init__(
        self,
        network: PreTrainedModel,
        batches: Dataset[Batch],
        held_out: Sequence[Batch],
        masked: bool,
        pooling: Pooling,
        meaning_weight: float,
        head_batches: int,
    ) -> None:
        super().__init__()
        self.batches, self.held_out = batches, held_out
        self.masked, self.pooling = masked, pooling
        self.meaning_weight, self.head_batches = meaning_weight, head_batches
        self.origin = copy.deepcopy(network) if meaning_weight else None
        if self.origin is not None:
            self.origin.requires_grad_(False)

    def loss(
        self, network: PreTrainedModel, batch: Batch, number: int, share: Share = ALONE
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """This rank's part of the loss of batch `number`, and what to log of the whole."""
        n_targets, n_texts = (batch.targets != NO_TARGET).sum(), batch.texts.sum()
        batch, counts = shared(batch, share)
        wanted = batch.targets != NO_TARGET
        logits, states = predictions(network, batch)
        loss = cross_entropy(logits, batch.targets[wanted], reduction="sum") / n_targets
        logged = {"loss": share.total(loss)}
        if self.origin is None or number < self.head_batches:
            return loss, logged
        whole = torch.where(wanted, batch.targets, batch.ids) if self.masked else batch.ids
        nothing = torch.full_like(batch.targets, NO_TARGET)
        with torch.no_grad():
            _, before = predictions(self.origin, batch._replace(ids=whole, targets=nothing))
        old, new = (pooled(of_model, batch, self.pooling) for of_model in (before, states))
        drift = (1.0 - cosine_similarity(new, old))[counts].sum() / n_texts
        return loss + self.meaning_weight * drift, {**logged, "drift": share.total(drift)}

    def n_tokens(self, batch: Batch) -> int:
        """Tokens that are trained on."""
        return batch.n_tokens

    @torch.no_grad()
    def measure(self, network: PreTrainedModel, share: Share = ALONE) -> dict[str, float]:
        """Held-out perplexity exp(mean cross-entropy), and accuracy."""
        sums, count = torch.zeros(2, device=network.device), 0
        for batch in self.held_out:
            parts = {
                name: part.to(network.device)
                for name, part in batch._asdict().items()
                if part is not None
            }
            there, _ = shared(batch._replace(**parts), share)
            logits, truth = predictions(network, there)[0], there.targets
            truth = truth[truth != NO_TARGET]
            sums[0] += cross_entropy(logits, truth, reduction="sum")
            sums[1] += (logits.argmax(dim=1) == truth).sum()
            count += int((batch.targets != NO_TARGET).sum())
        loss, hits = share.total(sums).tolist()
        return {"perplexity": math.exp(loss / count), "accuracy": hits / count}


def shared(batch: Batch, share: Share) -> tuple[Batch, Tensor]:
    """The rows of a batch that a rank reads, and (texts,) whether each of their texts counts;
    nothing is to be predicted in one that does not."""
    rows, counts = share.rows(len(batch.ids), batch.ids.device)
    mine = batch.take(rows)
    targets = mine.targets.masked_fill(~counts[:, None], NO_TARGET)
    return mine._replace(targets=targets), counts.repeat_interleave(mine.texts)


def predictions(network: PreTrainedModel, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits (n, vocabulary) at the n positions with a target, and the hidden states (rows,
    length, d) of the embeddings and of each layer."""
    with predicting(network, batch.targets != NO_TARGET):
        output = network(**_inputs(batch), output_hidden_states=True, use_cache=False)
    return output.logits.float(), output.hidden_states


def pooled(states: Sequence[Tensor], batch: Batch, pooling: Pooling) -> Tensor:
    """(texts, d) vectors of a batch's texts from the hidden states, (rows, length, d) each."""
    hidden = mean_of_layers(states, pooling.layers)
    if batch.lengths is None:
        return pool(hidden, batch.attention, pooling.kind)
    texts = torch.split(hidden.flatten(0, 1), batch.lengths.tolist())
    padded = pad_sequence(list(texts), batch_first=True)
    places = torch.arange(padded.shape[1], device=hidden.device)
    return pool(padded, (places < batch.lengths[:, None]).long(), pooling.kind)


@torch.no_grad()
def check_packing(network: PreTrainedModel, batch: Batch) -> None:
    """Refuse a network in which the texts of a packed row see each other.

    The last text of the first row has to come out as it does alone.

    Raises:
        UserError: it does not.
    """
    assert batch.positions is not None
    body = network.base_model
    start = int((batch.positions[0] == 0).nonzero()[-1])
    alone = batch.ids[:1, start:]
    packed = body(**_inputs(batch)).last_hidden_state[:1, start:]
    expected = body(input_ids=alone, attention_mask=torch.ones_like(alone)).last_hidden_state
    if (packed - expected).abs().max() > 1e-3 * expected.abs().max():
        raise UserError(
            f"pretraining.packing=true: in this {network.config.model_type} model, texts of one "
            "row see each other. Use pretraining.packing=false"
        )


def _inputs(batch: Batch) -> dict[str, object]:
    inputs: dict[str, object] = {"input_ids": batch.ids, "attention_mask": batch.attention}
    if batch.positions is None:
        return inputs
    return {**inputs, "position_ids": batch.positions}
