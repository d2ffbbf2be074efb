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
from crossrec.training.text_vectors import Pooling


class LanguageModeling(nn.Module):
    """Cross-entropy of the tokens to predict + meaning_weight * drift of the texts' vectors.

    drift = mean over texts of 1 - cos(v, v0): v is the pooled vector that the network gives the
    (masked) text, v0 the one that the network gave the whole text before pretraining. Language
    modeling alone moves a sentence encoder away from what it knew of meaning; the second term
    holds it there, and asks it to know the meaning also where words are missing.

    The vocabulary projection is the dearest layer of a small model: it sees only the positions
    that are to be predicted.

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
        self.origin = copy.deepcopy(network.base_model) if meaning_weight else None
        if self.origin is not None:
            self.origin.requires_grad_(False)

    def loss(
        self, network: PreTrainedModel, batch: Batch, number: int
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of batch `number`, and what to log."""
        wanted = batch.targets != NO_TARGET
        logits, states = predictions(network, batch)
        loss = cross_entropy(logits, batch.targets[wanted])
        if self.origin is None or number < self.head_batches:
            return loss, {"loss": loss.detach()}
        whole = torch.where(wanted, batch.targets, batch.ids) if self.masked else batch.ids
        with torch.no_grad():
            inputs = _inputs(batch._replace(ids=whole))
            before = self.origin(**inputs, output_hidden_states=True).hidden_states
        old, new = (pooled(of_model, batch, self.pooling) for of_model in (before, states))
        drift = 1.0 - cosine_similarity(new, old).mean()
        logged = {"loss": loss.detach(), "drift": drift.detach()}
        return loss + self.meaning_weight * drift, logged

    def n_tokens(self, batch: Batch) -> int:
        """Tokens that are trained on."""
        return batch.n_tokens

    @torch.no_grad()
    def measure(self, network: PreTrainedModel) -> dict[str, float]:
        """Held-out perplexity exp(mean cross-entropy), and accuracy."""
        loss, hits, count = 0.0, 0, 0
        for batch in self.held_out:
            parts = {
                name: part.to(network.device)
                for name, part in batch._asdict().items()
                if part is not None
            }
            there = batch._replace(**parts)
            logits, truth = predictions(network, there)[0], there.targets
            truth = truth[truth != NO_TARGET]
            loss += cross_entropy(logits, truth, reduction="sum").item()
            hits += int((logits.argmax(dim=1) == truth).sum())
            count += len(truth)
        return {"perplexity": math.exp(loss / count), "accuracy": hits / count}


def predictions(network: PreTrainedModel, batch: Batch) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Logits (n, vocabulary) at the n positions with a target, and the hidden states (rows,
    length, d) of the embeddings and of each layer."""
    wanted = batch.targets != NO_TARGET
    projection = network.get_output_embeddings()
    hook = projection.register_forward_pre_hook(lambda _, inputs: (inputs[0][wanted],))
    try:
        output = network(**_inputs(batch), output_hidden_states=True, use_cache=False)
    finally:
        hook.remove()
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
