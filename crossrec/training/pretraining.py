"""Continued pretraining of a language model on what the domains give, without a label."""

import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from transformers import PreTrainedModel

from crossrec.encoders.language_folder import save_language_model
from crossrec.encoders.language_head import freeze_lower_layers, open_with_head
from crossrec.encoders.language_model import open_tokenizer
from crossrec.encoders.low_rank import add_low_rank, merge_low_rank
from crossrec.encoders.reader import check_layers
from crossrec.encoders.sentence_folder import said
from crossrec.encoders.token_file import tokens_of
from crossrec.training.checkpoint import read_checkpoint
from crossrec.training.language_model_training import LanguageModelTraining, Saving
from crossrec.training.material import Material, Reader
from crossrec.training.options import PretrainingOptions
from crossrec.training.pretraining_tasks import contrast_task, kind_of, language_task
from crossrec.training.retrieval import Retrieval
from crossrec.training.schedule import Schedule
from crossrec.training.sharding import wholes
from crossrec.training.task import Task
from crossrec.training.text_vectors import MEAN, Pooling


def pretrain(
    material: Material,
    model_folder: Path,
    output_folder: Path,
    trainer: lightning.Trainer,
    options: PretrainingOptions,
    pooling: Pooling = MEAN,
    prefix: str = "",
    seed: int = 0,
    checkpoint: Path | None = None,
) -> dict[str, Any]:
    """Train a language model for `trainer.max_steps` steps and save it.

    A run that was killed goes on from its checkpoint, and ends with the weights that it would have
    ended with: what is read, masked and dropped at a step depends on the step and the seed alone.

    Args:
        material: from train data only.
        model_folder: the Hugging Face folder to start from.
        output_folder: the Hugging Face folder to write; sentence-transformers' files come along.
        trainer: of one process, or of ranks that hold the weights in shards, of which the first
            writes; its max_steps bounds the work.
        options: of the training.
        pooling: how texts' vectors are made.
        prefix: stands before every text whose vector is made; language is modeled without it, for
            words that are always the same are no task.
        seed: of held-out texts, order, masks, dropout, a fresh head and low-rank differences.
        checkpoint: file of its own to go on from and to write to, for the caller to remove; None
            begins at the beginning and writes none.

    Returns:
        perplexity and accuracy of the held-out targets (fixed masks) `_before` training, `_head`
        after the head-only steps with the body as it was (None without such steps) and `_after`,
        where language is modeled; retrieval_before and retrieval_after (see `Retrieval`) where
        there are histories; n_texts, steps, tokens (trained, without padding), seconds.

    Raises:
        UserError: if there is too little to learn from, or the architecture cannot serve the
            objective or has no such layers.
        ValueError: if trainer.max_steps does not bound the run.
    """
    if trainer.max_steps < 1:
        raise ValueError(f"pretraining needs trainer.max_steps >= 1, got {trainer.max_steps}")
    with torch.random.fork_rng(devices=[]):
        module, fresh_head = _module(
            material,
            model_folder,
            output_folder,
            trainer,
            options,
            pooling,
            prefix,
            seed,
            checkpoint,
        )
        done = module.resumed.step if module.resumed else 0
        loop = trainer.fit_loop.epoch_loop.automatic_optimization
        loop.optim_progress.optimizer.step.total.completed = done  # trainer.global_step begins here
        batches = _Numbered(
            [task.batches for task in module.tasks], done * trainer.accumulate_grad_batches
        )
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Found .* in eval mode")  # see open_with_head
            # Of in-place changes to what the network returns, which there are none of.
            warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view tensor")
            trainer.fit(module, DataLoader(batches, batch_size=None, shuffle=False))
    network = module.network
    if trainer.world_size > 1:
        weights = wholes(network.state_dict(), keep=trainer.is_global_zero)
        if trainer.is_global_zero:
            network = _put_together(weights, model_folder, options, seed)
    if trainer.is_global_zero:
        network = network.float().cpu()
        if options.lora_rank is not None:
            merge_low_rank(network.base_model)
        save_language_model(network, model_folder, output_folder, whole=not fresh_head)
    return {
        **module.measures,
        "n_texts": len(set(material.texts)),
        "steps": trainer.global_step,
        "tokens": module.tokens_seen,
        "seconds": time.monotonic() - module.started,
    }


def _put_together(
    weights: dict[str, Tensor], model_folder: Path, options: PretrainingOptions, seed: int
) -> PreTrainedModel:
    """The network as it was before it was sharded, with weights that were learned since."""
    network, _ = open_with_head(model_folder, kind_of(options, model_folder), seed)
    if options.lora_rank is not None:
        add_low_rank(network, options.lora_rank, options.trainable_layers, seed)
    network.load_state_dict(weights)
    return network


def _module(
    material: Material,
    model_folder: Path,
    output_folder: Path,
    trainer: lightning.Trainer,
    options: PretrainingOptions,
    pooling: Pooling,
    prefix: str,
    seed: int,
    checkpoint: Path | None,
) -> tuple[LanguageModelTraining, bool]:
    """The module, and whether its language head is a fresh one."""
    o = options
    kind = kind_of(o, model_folder)
    tokenizer = open_tokenizer(model_folder)
    network, fresh_head = open_with_head(model_folder, kind, seed)
    check_layers(pooling.layers, network.config.num_hidden_layers, model_folder)
    models_language = not o.contrasts or o.language_weight > 0
    steps = trainer.max_steps
    head_steps = round(o.head_share * steps) if fresh_head and models_language else 0
    reader = Reader(
        network,
        tokenizer,
        kind,
        pooling,
        partial(said, folder=model_folder, prefix=prefix),
        n_batches=steps * trainer.accumulate_grad_batches,
        head_batches=head_steps * trainer.accumulate_grad_batches,
        seed=seed,
    )
    learned_from = retrieval = None
    if material.histories is not None:
        learned_from, asked_about = material.histories.hold_out(
            o.held_out_share, o.retrieval_users, seed
        )
        tokens = tokens_of(tokenizer, reader.said(material.histories.texts), o.max_length, None)
        retrieval = Retrieval(
            material.histories, asked_about, tokens, pooling, o.retrieval_texts, seed
        )
    tasks: list[tuple[float, Task]] = []
    if o.contrasts:
        tasks.append((1.0, contrast_task(reader, material, learned_from, o)))
    if models_language:
        weight = o.language_weight if o.contrasts else 1.0
        tasks.append((weight, language_task(reader, material, o)))
    if not models_language or (o.lora_rank is not None and not fresh_head):
        network.requires_grad_(False)  # a published head rests as all published weights do
        network.base_model.requires_grad_(o.lora_rank is None)
    if o.lora_rank is not None:
        add_low_rank(network, o.lora_rank, o.trainable_layers, seed)
    elif o.trainable_layers is not None:
        freeze_lower_layers(network, o.trainable_layers)
    module = LanguageModelTraining(
        network,
        tasks,
        retrieval,
        Schedule(
            learning_rate=o.learning_rate,
            head_learning_rate=o.head_learning_rate if fresh_head else o.learning_rate,
            head_steps=head_steps,
            warmup_steps=round(o.warmup_share * steps),
            total_steps=steps,
        ),
        Saving(checkpoint, output_folder / "checkpoint.partial", o.checkpoint_every)
        if checkpoint
        else None,
        read_checkpoint(checkpoint) if checkpoint else None,
    )
    return module, fresh_head


class _Numbered(Dataset[tuple[int, list[Any]]]):
    """The batches of several tasks side by side, from one on, with their number."""

    def __init__(self, of_tasks: list[Dataset[Any]], start: int) -> None:
        self.of_tasks, self.start = of_tasks, start

    def __len__(self) -> int:
        return min(len(batches) for batches in self.of_tasks) - self.start  # type: ignore[arg-type]

    def __getitem__(self, place: int) -> tuple[int, list[Any]]:
        number = place + self.start
        return number, [batches[number] for batches in self.of_tasks]
