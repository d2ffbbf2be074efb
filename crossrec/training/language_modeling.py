"""Masked and causal language modeling as a LightningModule."""

import copy
import math
import time
from collections.abc import Callable

import lightning
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import cosine_similarity, cross_entropy
from torch.optim import AdamW, Optimizer
from torch.optim.lr_scheduler import LambdaLR
from transformers import PreTrainedModel

from crossrec.encoders.encode import pool
from crossrec.encoders.language_head import freeze_lower_layers
from crossrec.encoders.low_rank import add_low_rank
from crossrec.encoders.token_batches import NO_TARGET, Batch


def ramp_and_cosine(step: int, start: int, warmup: int, total: int) -> float:
    """Factor of a learning rate: 0 before `start`, linear up over `warmup` steps, cosine to 0."""
    if step < start:
        return 0.0
    if step < start + warmup:
        return (step - start + 1) / (warmup + 1)
    progress = (step - start - warmup) / max(1, total - start - warmup)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, progress)))


class LanguageModelPretraining(lightning.LightningModule):
    """Cross-entropy of the tokens to predict + meaning_weight * drift of the texts' vectors.

    drift = mean over texts of 1 - cos(v, v0): v is the pooled vector that the network gives the
    (masked) text, v0 the one that the network gave the whole text before pretraining. Language
    modeling alone moves a sentence encoder away from what it knew of meaning; the second term
    holds it there, and asks it to know the meaning also where words are missing.

    The vocabulary projection is the dearest layer of a small model: it sees only the positions
    that are to be predicted.

    Args:
        network: a transformers network with a language-modeling head.
        held_out: batches that measure perplexity, never trained on.
        learning_rate: peak for the body.
        head_learning_rate: peak for the head.
        head_steps: first steps, in which the body rests.
        warmup_steps: steps over which a learning rate rises.
        total_steps: optimizer steps of the whole run.
        trainable_layers: see `freeze_lower_layers`; None lets the whole body learn.
        lora_rank: see `add_low_rank`; None lets the body's weights themselves learn.
        seed: of the low-rank differences.
        masked: whether targets stand in for masked tokens, or follow (causal).
        pooling: "mean", "cls" or "last", how texts' vectors are made.
        meaning_weight: of the second term, >= 0.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        held_out: list[Batch],
        learning_rate: float,
        head_learning_rate: float,
        head_steps: int,
        warmup_steps: int,
        total_steps: int,
        trainable_layers: int | None,
        lora_rank: int | None,
        seed: int,
        masked: bool,
        pooling: str,
        meaning_weight: float,
    ) -> None:
        super().__init__()
        self.network = network
        self.held_out = held_out
        self.learning_rate = learning_rate
        self.head_learning_rate = head_learning_rate
        self.head_steps = head_steps
        self.warmup_steps = warmup_steps
        self.total_steps = total_steps
        self.masked = masked
        self.pooling = pooling
        self.meaning_weight = meaning_weight
        self.origin = copy.deepcopy(network.base_model) if meaning_weight else None
        self.lora_rank = lora_rank
        self.tokens_seen = 0
        self.measures: dict[str, float | None] = {}
        if self.origin is not None:
            self.origin.requires_grad_(False)
        if lora_rank is not None:
            add_low_rank(network, lora_rank, trainable_layers, seed)
        elif trainable_layers is not None:
            freeze_lower_layers(network, trainable_layers)
        in_body = {id(parameter) for parameter in network.base_model.parameters()}
        learning = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.body = [parameter for parameter in learning if id(parameter) in in_body]
        self.head = [parameter for parameter in learning if id(parameter) not in in_body]

    def forward(self, ids: Tensor, attention: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Logits (n, vocabulary) at the n positions that `wanted` (texts, length) marks, and the
        last layer's hidden states (texts, length, d)."""
        projection = self.network.get_output_embeddings()
        hook = projection.register_forward_pre_hook(lambda _, inputs: (inputs[0][wanted],))
        try:
            output = self.network(
                input_ids=ids, attention_mask=attention, output_hidden_states=True, use_cache=False
            )
        finally:
            hook.remove()
        return output.logits.float(), output.hidden_states[-1].float()

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        ids, attention, targets = batch
        wanted = targets != NO_TARGET
        logits, hidden = self(ids, attention, wanted)
        loss = cross_entropy(logits, targets[wanted])
        self.log("pretraining/loss", loss, prog_bar=True)
        if self.origin is not None and self.global_step >= self.head_steps:
            whole = torch.where(wanted, targets, ids) if self.masked else ids
            with torch.no_grad():
                before = self.origin(input_ids=whole, attention_mask=attention).last_hidden_state
            old = pool(before.float(), attention, self.pooling)
            drift = 1.0 - cosine_similarity(pool(hidden, attention, self.pooling), old).mean()
            self.log("pretraining/drift", drift)
            loss = loss + self.meaning_weight * drift
        self.tokens_seen += int(attention.sum()) * self.trainer.world_size
        seconds = time.monotonic() - self.started
        self.log("pretraining/tokens_per_second", self.tokens_seen / seconds, prog_bar=True)
        return loss

    def on_before_optimizer_step(self, optimizer: Optimizer) -> None:
        if self.global_step < self.head_steps:
            for parameter in self.body:
                parameter.grad = None  # AdamW skips it, its moments stay clean

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        groups = [
            (self.body, self.learning_rate, self.head_steps),
            (self.head, self.head_learning_rate, 0),
        ]
        groups = [group for group in groups if group[0]]
        optimizer = AdamW([{"params": params, "lr": rate} for params, rate, _ in groups])
        factors = [self._factor(start) for _, _, start in groups]
        scheduler = LambdaLR(optimizer, factors)
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def _factor(self, start: int) -> Callable[[int], float]:
        return lambda step: ramp_and_cosine(step, start, self.warmup_steps, self.total_steps)

    def on_train_start(self) -> None:
        self._measure("before")
        self.measures["perplexity_head"] = self.measures["accuracy_head"] = None
        self.started = time.monotonic()

    def on_train_batch_start(self, batch: Batch, batch_idx: int) -> None:
        if self.head_steps and self.global_step == self.head_steps:
            self._measure("head")

    def on_train_end(self) -> None:
        self._measure("after")

    @torch.no_grad()
    def _measure(self, when: str) -> None:
        """Held-out perplexity exp(mean cross-entropy) and accuracy -> `measures`."""
        loss, hits, count = 0.0, 0, 0
        for batch in self.held_out:
            ids, attention, targets = (tensor.to(self.device) for tensor in batch)
            wanted = targets != NO_TARGET
            logits, truth = self(ids, attention, wanted)[0], targets[wanted]
            loss += cross_entropy(logits, truth, reduction="sum").item()
            hits += int((logits.argmax(dim=1) == truth).sum())
            count += len(truth)
        self.measures[f"perplexity_{when}"] = math.exp(loss / count)
        self.measures[f"accuracy_{when}"] = hits / count
