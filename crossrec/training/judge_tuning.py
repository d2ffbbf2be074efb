"""LoRA-tuning of a causal language model to answer whether a user wants an item."""

import time
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import lightning
import numpy as np
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits
from torch.optim import AdamW
from torch.optim.lr_scheduler import LambdaLR
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crossrec.encoders.encode import pad
from crossrec.encoders.likelihood import last_places, logits_at
from crossrec.encoders.low_rank import add_low_rank, merge_low_rank
from crossrec.encoders.quiet import quiet
from crossrec.training.language_model_training import ramp_and_cosine

WARMUP = 0.1  # share of the steps in which the learning rate rises


Batch = tuple[Tensor, Tensor, Tensor]


class Example(NamedTuple):
    """A prompt's token ids, and whether the answer is Yes."""

    tokens: list[int]
    wanted: bool


class JudgeTuning(lightning.LightningModule):
    """Binary cross-entropy of log p(yes) - log p(no) after a prompt.

    Instruction tuning as in TALLRec (Bao et al., RecSys 2023), with the loss over the two answers
    alone: their difference is all that a judge is asked for.

    Args:
        network: a causal language model with low-rank adapters.
        answers: the tokens that mean yes and no.
        held_out: examples that are never trained on.
        learning_rate: peak; it rises over WARMUP of the steps, then falls along a cosine.
        total_steps: optimizer steps.
    """

    def __init__(
        self,
        network: PreTrainedModel,
        answers: tuple[int, int],
        held_out: Sequence[Example],
        learning_rate: float,
        total_steps: int,
    ) -> None:
        super().__init__()
        self.network, self.answers = network, answers
        self.held_out = held_out
        self.learning_rate, self.total_steps = learning_rate, total_steps
        self.measures: dict[str, float] = {}

    def forward(self, ids: Tensor, attention: Tensor) -> Tensor:
        """(B,) log p(yes) - log p(no)."""
        wanted = last_places(attention)
        logits = logits_at(
            self.network, wanted, input_ids=ids, attention_mask=attention, use_cache=False
        )
        yes, no = self.answers
        return logits[:, yes] - logits[:, no]

    def training_step(self, batch: Batch, batch_idx: int) -> Tensor:
        ids, attention, wanted = batch
        loss = binary_cross_entropy_with_logits(self(ids, attention), wanted)
        self.log("tuning/loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        learning = [parameter for parameter in self.parameters() if parameter.requires_grad]
        optimizer = AdamW(learning, lr=self.learning_rate)
        warmup = round(WARMUP * self.total_steps)
        scheduler = LambdaLR(
            optimizer, lambda step: ramp_and_cosine(step, 0, warmup, self.total_steps)
        )
        return {
            "optimizer": optimizer,
            "lr_scheduler": {"scheduler": scheduler, "interval": "step"},
        }

    def on_train_start(self) -> None:
        self._measure("before")

    def on_train_end(self) -> None:
        self._measure("after")

    @torch.no_grad()
    def _measure(self, when: str) -> None:
        """Loss and AUC on the held-out examples."""
        losses, differences, answers = [], [], []
        for start in range(0, len(self.held_out), 8):
            batch = collate(self.held_out[start : start + 8])
            ids, attention, wanted = (tensor.to(self.device) for tensor in batch)
            difference = self(ids, attention)
            losses.append(binary_cross_entropy_with_logits(difference, wanted, reduction="none"))
            differences.append(difference)
            answers.append(wanted)
        difference, wanted = torch.cat(differences), torch.cat(answers).bool()
        above = difference[wanted][:, None] - difference[~wanted]
        self.measures[f"loss_{when}"] = float(torch.cat(losses).mean())
        self.measures[f"auc_{when}"] = float(((above > 0) + 0.5 * (above == 0)).float().mean())


def collate(examples: Sequence[Example]) -> Batch:
    """Token ids and attention (B, length), and answers (B,), 1 for Yes."""
    ids, attention = pad([example.tokens for example in examples])
    return ids, attention, torch.tensor([float(example.wanted) for example in examples])


class Batches(Dataset[Batch]):
    """Batches that are made already."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, number: int) -> Batch:
        return self.batches[number]


def tune_judge(
    pairs: Sequence[tuple[Example, Example]],
    held_out: Sequence[tuple[Example, Example]],
    network: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    answers: tuple[int, int],
    output_folder: Path,
    trainer: lightning.Trainer,
    examples: int,
    rank: int,
    layers: int | None,
    learning_rate: float,
    seed: int,
) -> dict[str, float]:
    """Learn low-rank differences for `trainer.max_steps` steps, merge them and save the model.

    Args:
        pairs: for each of some events of train, the item that was chosen and one that was not,
            after the same history.
        held_out: such pairs that are measured, never trained on.
        network: changed in place.
        tokenizer: saved beside it.
        answers: the tokens that mean yes and no.
        output_folder: the Hugging Face folder to write.
        trainer: its max_steps bounds the work.
        examples: in a step; half of them are Yes.
        rank, layers: see `add_low_rank`.
        learning_rate: peak.
        seed: of order and adapters.

    Returns:
        loss and AUC of the held-out examples, _before and _after; pairs, steps, seconds.
    """
    start = time.monotonic()
    network.requires_grad_(False)
    add_low_rank(network, rank, layers, seed)
    flat = [example for pair in held_out for example in pair]
    module = JudgeTuning(network, answers, flat, learning_rate, trainer.max_steps)
    generator = np.random.default_rng(seed)
    per_step = max(1, examples // 2)
    batches: list[Batch] = []
    while len(batches) < trainer.max_steps:
        order = generator.permutation(len(pairs))
        for first in range(0, len(order), per_step):
            chosen = [pairs[place] for place in order[first : first + per_step]]
            batches.append(collate([example for pair in chosen for example in pair]))
    loader: DataLoader = DataLoader(
        Batches(batches[: trainer.max_steps]), batch_size=None, shuffle=False
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found .* in eval mode")  # see open_with_head
        trainer.fit(module, loader)
    if trainer.is_global_zero:
        merge_low_rank(network.base_model)
        with quiet():
            network.float().cpu().save_pretrained(output_folder)
            tokenizer.save_pretrained(output_folder)
    trainer.strategy.barrier()
    seconds = time.monotonic() - start
    return {**module.measures, "pairs": len(pairs), "steps": trainer.max_steps, "seconds": seconds}
