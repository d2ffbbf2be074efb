"""A network for pictures or sounds learns to predict the words of the items that they show.

Weak supervision: what people wrote of an item is what its picture is told to show (Joulin et al.,
"Learning Visual Features from Large Weakly Supervised Data", ECCV 2016).
"""

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

from crossrec.data.columns import IMAGE
from crossrec.encoders.encode_media import batches, reader_of
from crossrec.encoders.media_files import MediaFiles, read_sound, warn_of_damaged
from crossrec.encoders.media_model import MediaModel
from crossrec.encoders.quiet import quiet
from crossrec.encoders.tiny import DIM, RATE, tiny
from crossrec.encoders.words import word_labels
from crossrec.errors import UserError
from crossrec.training.shown import Batch, Shown

FEWEST, MOST = 20, 10_000  # files that are learned from; their inputs are kept in memory
HELD_OUT = 0.1  # share of the files that measure what was learned
LONGEST = 3.0  # seconds of a sound
MEASURED = 200  # sounds whose median length is the length that the network hears
READ_AT_ONCE = 64
WARMUP = 0.1  # share of the steps in which the learning rate rises; a cosine follows
WEIGHT_DECAY = 0.05
RAREST = 1e-4


class WordPrediction(L.LightningModule):
    """Minimizes the logistic loss, summed over words and averaged over items.

    Args:
        model: the network; trained in place.
        rates: (words,) how many of the items have each word, where the head starts.
        learning_rate: its peak.
        total_steps: of the training.
    """

    def __init__(
        self, model: MediaModel, rates: Tensor, learning_rate: float, total_steps: int
    ) -> None:
        super().__init__()
        self.model, self.body = model, model.body.train()
        self.head = nn.Linear(DIM, len(rates))
        nn.init.zeros_(self.head.weight)
        with torch.no_grad():
            self.head.bias.copy_(log_odds(rates))
        self.learning_rate, self.total_steps = learning_rate, total_steps

    def forward(self, inputs: dict[str, Tensor]) -> Tensor:
        """(items, words) log-odds."""
        logits: Tensor = self.head(self.model.pooled(inputs))
        return logits

    def training_step(self, batch: Batch) -> Tensor:
        inputs, labels = batch
        return word_loss(self(inputs), labels)

    def configure_optimizers(self) -> Any:
        optimizer = torch.optim.AdamW(
            self.parameters(), self.learning_rate, weight_decay=WEIGHT_DECAY
        )
        schedule = torch.optim.lr_scheduler.OneCycleLR(
            optimizer, self.learning_rate, self.total_steps, pct_start=WARMUP
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}


def word_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """The logistic loss of (items, words), summed over words, averaged over items."""
    return F.binary_cross_entropy_with_logits(logits, labels, reduction="sum") / len(labels)


def log_odds(rates: Tensor) -> Tensor:
    """Of words that have these rates; finite for a word that the training items never have."""
    return torch.logit(rates.clamp(RAREST, 1 - RAREST))


def learn_words(
    files: MediaFiles,
    texts: Sequence[str | None],
    output_folder: Path,
    trainer: L.Trainer,
    learning_rate: float,
    batch_size: int,
    seed: int,
) -> dict[str, float | int]:
    """Train a tiny network for `trainer.max_steps` steps and save it as a Hugging Face folder.

    Args:
        files: of items of TRAIN data only.
        texts: of the same items; their words are predicted.
        output_folder: where to write.
        trainer: its max_steps bounds the work.
        learning_rate: peak of AdamW's.
        batch_size: pictures or sounds of a step.
        seed: of the weights, of what is held out, of order, moves and noise.

    Returns:
        words and files (trained on and held out); explained: 1 - loss / loss of the words' rates,
        on the held-out files, 0 for nothing learned and 1 for all; steps, seconds.

    Raises:
        UserError: there are too few files or words to learn from.
    """
    start = time.monotonic()
    text_of = dict(zip(reversed(files.digests), reversed(texts), strict=True))  # the first counts
    distinct = [digest for digest in files.distinct if text_of[digest]]
    order = np.random.default_rng(seed).permutation(len(distinct))[:MOST]
    chosen = {distinct[row]: files.distinct[distinct[row]] for row in order}
    model, digests, inputs = _prepared(files.medium, chosen, seed)
    words, labels = word_labels([text_of[digest] for digest in digests])
    if len(digests) < FEWEST or not words:
        raise UserError(
            f"content.{files.medium}.model=tiny learns from {files.medium} files of items in train "
            f"and the words of content.{files.medium}.labels, but {len(digests)} such items have "
            f"both, with {len(words)} words that repeat; it needs {FEWEST} items. Give a model "
            f"(content.{files.medium}.model=FOLDER) or leave {files.medium} out of content=[...]"
        )
    n_held_out = max(1, round(HELD_OUT * len(digests)))
    train = {name: value[n_held_out:] for name, value in inputs.items()}
    rates = labels[n_held_out:].mean(0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        module = WordPrediction(model, rates, learning_rate, trainer.max_steps)
    moves = (-2, -1) if files.medium == IMAGE else (-2,)
    shown = Shown(train, labels[n_held_out:], batch_size, trainer.max_steps, seed, moves)
    trainer.fit(module, DataLoader(shown, batch_size=None, shuffle=False))
    module.eval()
    held_out = {name: value[:n_held_out].float() for name, value in inputs.items()}
    with torch.inference_mode():
        loss = word_loss(module(held_out).cpu(), labels[:n_held_out])
        by_rates = word_loss(log_odds(rates).expand(n_held_out, -1), labels[:n_held_out])
    with quiet():
        model.body.cpu().save_pretrained(output_folder)
        model.processor.save_pretrained(output_folder)
    return {
        "words": len(words),
        "files": len(digests) - n_held_out,
        "held_out": n_held_out,
        "explained": 1 - float(loss / by_rates),
        "steps": trainer.global_step,
        "seconds": time.monotonic() - start,
    }


def _prepared(
    medium: str, files: dict[str, Path], seed: int
) -> tuple[MediaModel, list[str], dict[str, Tensor]]:
    """A fresh network, and what it reads of each file that is not damaged, in half precision."""
    damaged: dict[Path, str] = {}
    seconds = LONGEST if medium == IMAGE else _median_length(files)
    model = tiny(medium, seconds, seed)
    digests: list[str] = []
    parts: list[dict[str, Tensor]] = []
    for names, decoded in batches(files, reader_of(model, seconds), READ_AT_ONCE, damaged):
        if names:
            digests += names
            parts.append({name: value.half() for name, value in model.inputs(decoded).items()})
    warn_of_damaged(medium, damaged)
    inputs = {
        name: torch.cat([part[name] for part in parts]) for name in (parts[0] if parts else ())
    }
    return model, digests, inputs


def _median_length(files: dict[str, Path]) -> float:
    """Of the first sounds, in seconds, at most LONGEST."""
    some = dict(list(files.items())[:MEASURED])
    heard = batches(some, lambda path: read_sound(path, RATE, LONGEST), READ_AT_ONCE, {})
    lengths = [len(sound) for _, sounds in heard for sound in sounds]
    return float(np.median(lengths)) / RATE if lengths else LONGEST
