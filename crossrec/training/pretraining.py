"""Continued pretraining of a language model on the domains' own unlabeled texts."""

import re
import shutil
import time
import warnings
from collections.abc import Sequence
from pathlib import Path

import lightning
import numpy as np
from torch.utils.data import DataLoader
from transformers import PreTrainedTokenizerBase

from crossrec.encoders.encode import length_buckets, tokenize
from crossrec.encoders.language_head import objective_of, open_with_head
from crossrec.encoders.language_model import open_body, open_tokenizer
from crossrec.encoders.low_rank import merge_low_rank
from crossrec.encoders.quiet import quiet
from crossrec.encoders.token_batches import TokenBatches, plan_batches
from crossrec.errors import UserError
from crossrec.training.language_modeling import LanguageModelPretraining

SENTENCE_FILES = ("modules.json", "sentence_bert_config.json", "config_sentence_transformers.json")


def pretrain(
    texts: Sequence[str],
    model_folder: Path,
    output_folder: Path,
    trainer: lightning.Trainer,
    objective: str = "auto",
    batch_tokens: int = 512,
    max_length: int = 64,
    learning_rate: float = 1e-4,
    head_learning_rate: float = 2e-3,
    head_share: float = 0.3,
    warmup_share: float = 0.1,
    trainable_layers: int | None = None,
    lora_rank: int | None = None,
    pooling: str = "mean",
    meaning_weight: float = 20.0,
    mask_share: float = 0.15,
    held_out_share: float = 0.05,
    max_held_out: int = 256,
    seed: int = 0,
) -> dict[str, float | None]:
    """Train a language model for `trainer.max_steps` steps and save it.

    Args:
        texts: unlabeled texts, from train data only.
        model_folder: the Hugging Face folder to start from.
        output_folder: the Hugging Face folder to write; sentence-transformers' files come along.
        trainer: its max_steps bounds the work; precision, devices and loggers are its own.
        objective: "masked", "causal", or "auto": what the architecture was made for.
        batch_tokens: largest texts x longest text of a batch.
        max_length: longest text in tokens.
        learning_rate: peak for the body.
        head_learning_rate: peak for a head that the folder lacked and that starts from noise.
        head_share: share of the steps in which only such a head learns, so that its first large
            gradients do not spoil the body; without such a head there are no such steps.
        warmup_share: share of the steps in which a learning rate rises; a cosine follows.
        trainable_layers: only the last so many layers of the body learn; None for all of it.
        lora_rank: r, to learn differences of rank r of the body's linear maps and a fresh head,
            and nothing else (see `add_low_rank`); None to learn the weights themselves.
        pooling: how texts' vectors are made, "mean", "cls" or "last".
        meaning_weight: weight of keeping these vectors near the ones of `model_folder`; 0 is
            language modeling alone, which makes a sentence encoder worse at similarity.
        mask_share: share of tokens to predict in masked modeling.
        held_out_share: share of the texts that are never trained on and measure perplexity.
        max_held_out: most texts held out.
        seed: of held-out texts, order, masks, a fresh head and low-rank differences.

    Returns:
        perplexity and accuracy of the held-out targets (fixed masks) `_before` training, `_head`
        after the head-only steps with the body as it was (None without such steps) and `_after`;
        n_texts, n_held_out, steps, tokens (trained, without padding), seconds.

    Raises:
        UserError: if there are too few texts, or the architecture cannot serve the objective or
            has no such layers.
        ValueError: if trainer.max_steps does not bound the run.
    """
    if trainer.max_steps < 1:
        raise ValueError(f"pretraining needs trainer.max_steps >= 1, got {trainer.max_steps}")
    start = time.monotonic()
    objective = objective_of(model_folder) if objective == "auto" else objective
    tokenizer = open_tokenizer(model_folder)
    network, fresh_head = open_with_head(model_folder, objective, seed)

    train, held_out = hold_out(texts, held_out_share, max_held_out, seed)
    share = mask_share if objective == "masked" else None
    n_batches = trainer.max_steps * trainer.accumulate_grad_batches * trainer.world_size
    train_tokens = _tokens(tokenizer, train, objective, max_length, n_batches * batch_tokens)
    held_out_tokens = _tokens(tokenizer, held_out, objective, max_length)
    plan = plan_batches([len(ids) for ids in train_tokens], n_batches, batch_tokens, seed)
    batches = TokenBatches(train_tokens, plan, tokenizer, share, seed)
    plan = length_buckets([len(ids) for ids in held_out_tokens], batch_tokens)
    fixed = TokenBatches(held_out_tokens, plan, tokenizer, share, seed)

    if lora_rank is not None and not fresh_head:
        network.requires_grad_(False)  # a published head rests as all published weights do
    module = LanguageModelPretraining(
        network,
        held_out=[fixed[number] for number in range(len(fixed))],
        learning_rate=learning_rate,
        head_learning_rate=head_learning_rate if fresh_head else learning_rate,
        head_steps=round(head_share * trainer.max_steps) if fresh_head else 0,
        warmup_steps=round(warmup_share * trainer.max_steps),
        total_steps=trainer.max_steps,
        trainable_layers=trainable_layers,
        lora_rank=lora_rank,
        seed=seed,
        masked=objective == "masked",
        pooling=pooling,
        meaning_weight=meaning_weight,
    )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Found .* in eval mode")  # see open_with_head
        trainer.fit(module, DataLoader(batches, batch_size=None, shuffle=False))

    if trainer.is_global_zero:
        save(module, model_folder, output_folder, tokenizer, whole=not fresh_head)
    trainer.strategy.barrier()
    return {
        **module.measures,
        "n_texts": len(train),
        "n_held_out": len(held_out),
        "steps": trainer.global_step,
        "tokens": module.tokens_seen,
        "seconds": time.monotonic() - start,
    }


def hold_out(
    texts: Sequence[str], share: float, most: int, seed: int
) -> tuple[list[str], list[str]]:
    """Distinct texts, shuffled by `seed` -> (train, held out); at least one of each.

    Raises:
        UserError: if there are fewer than two distinct texts.
    """
    distinct = list(dict.fromkeys(texts))
    if len(distinct) < 2:
        raise UserError(
            f"pretraining needs at least 2 distinct texts, found {len(distinct)}: the items have "
            "no text. Use pretraining=off, or encoder=none"
        )
    order = np.random.default_rng(seed).permutation(len(distinct))
    n_held_out = min(most, max(1, round(share * len(distinct))))
    shuffled = [distinct[place] for place in order]
    return shuffled[n_held_out:], shuffled[:n_held_out]


def _tokens(
    tokenizer: PreTrainedTokenizerBase,
    texts: list[str],
    objective: str,
    max_length: int,
    enough: int | None = None,
    chunk: int = 4096,
) -> list[list[int]]:
    """Token ids of the texts, or of the first ones that together have `enough` tokens."""
    tokens: list[list[int]] = []
    total = 0
    for start in range(0, len(texts), chunk):
        if enough is not None and total >= enough:
            break
        new = tokenize(tokenizer, texts[start : start + chunk], max_length)
        if objective == "causal" and tokenizer.eos_token_id is not None:
            new = [[*ids[: max_length - 1], tokenizer.eos_token_id] for ids in new]
        tokens += new
        total += sum(len(ids) for ids in new)
    return tokens


def save(
    module: LanguageModelPretraining,
    model_folder: Path,
    output_folder: Path,
    tokenizer: PreTrainedTokenizerBase,
    whole: bool,
) -> None:
    """Write a Hugging Face folder: the whole network, or the body alone as its origin had it.

    A head that pretraining had to invent is not saved; parts of the origin that pretraining does
    not know (BERT's pooler) are kept as they were.
    """
    network = module.network.float().cpu()
    if module.lora_rank is not None:
        merge_low_rank(network.base_model)
    with quiet():
        if whole:
            network.save_pretrained(output_folder)
        else:
            body = open_body(model_folder)
            body.load_state_dict(network.base_model.state_dict(), strict=False)
            body.save_pretrained(output_folder)
        tokenizer.save_pretrained(output_folder)
    for path in model_folder.iterdir():
        if path.is_dir() and re.match(r"\d+_", path.name):
            shutil.copytree(path, output_folder / path.name, dirs_exist_ok=True)
        elif path.name in SENTENCE_FILES:
            shutil.copyfile(path, output_folder / path.name)
