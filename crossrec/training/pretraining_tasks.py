"""From what there is to read to the tasks that a language model is pretrained on."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset
from transformers import PreTrainedTokenizerBase

from crossrec.encoders.encode import length_buckets
from crossrec.encoders.field_spans import token_spans
from crossrec.encoders.language_head import objective_of
from crossrec.encoders.token_batches import (
    Batch,
    PackedBatches,
    TokenBatches,
    plan_batches,
    plan_rows,
)
from crossrec.encoders.token_file import Joined, TokenFile, in_blocks, tokens_of
from crossrec.encoders.token_targets import MaskedFields, MaskedTokens, NextToken, Targets
from crossrec.errors import UserError
from crossrec.training.contrast import SimCSE, check_dropout
from crossrec.training.cooccurrence import Cooccurrence
from crossrec.training.language_modeling import LanguageModeling, check_packing
from crossrec.training.material import Material, Reader
from crossrec.training.options import PretrainingOptions
from crossrec.training.task import Task
from crossrec.training.text_histories import TextHistories


def contrast_task(
    reader: Reader,
    material: Material,
    histories: TextHistories | None,
    options: PretrainingOptions,
) -> Task:
    """SimCSE over all texts, or co-occurrence over the histories that may be learned from.

    Raises:
        UserError: there is nothing to contrast, or nothing that could be told apart.
    """
    o, tokenizer = options, reader.tokenizer
    if o.objective == "cooccurrence":
        if histories is None:
            raise ValueError("pretraining.objective=cooccurrence needs histories")
        return Cooccurrence(
            histories,
            tokens_of(tokenizer, reader.said(histories.texts), o.max_length, None),
            n_batches=reader.n_batches,
            batch_tokens=o.batch_tokens,
            window=o.window,
            temperature=o.temperature,
            pooling=reader.pooling,
            seed=reader.seed,
        )
    tokens = _tokens(reader, reader.said(material.texts), o, None, material.corpus)
    task = SimCSE(
        tokens, reader.n_batches, o.batch_tokens, o.temperature, reader.pooling, reader.seed
    )
    check_dropout(reader.network, task.batches[0], reader.pooling)
    return task


def language_task(
    reader: Reader, material: Material, options: PretrainingOptions
) -> LanguageModeling:
    """Masked or causal language modeling of the texts, some of which are held out.

    Raises:
        UserError: there are too few texts, or the model cannot do what is asked.
    """
    o, masked, seed = options, reader.kind == "masked", reader.seed
    if o.masking == "fields" and (not masked or o.packing):
        raise UserError(
            "pretraining.masking=fields hides words that a masked language model is to find, in "
            "texts that are not packed: use an encoder such as encoder=minilm and "
            "pretraining.packing=false, or pretraining.masking=tokens"
        )
    train, held_out = hold_out(material.texts, o.held_out_share, o.max_held_out, seed)
    end = end_of(reader.tokenizer, reader.kind)
    tokens = _tokens(reader, train, o, end, material.corpus)
    fixed_tokens = tokens_of(reader.tokenizer, held_out, o.max_length, end)

    def targets(texts: list[str], n_texts: int) -> Targets:
        if not masked:
            return NextToken()
        if o.masking == "tokens":
            return MaskedTokens(reader.tokenizer, o.mask_share)
        spans = token_spans(reader.tokenizer, texts[:n_texts], material.fields, o.max_length)
        spans += [[]] * (n_texts - len(spans))  # a corpus has no fields
        return MaskedFields(reader.tokenizer, o.mask_share, spans)

    batches: Dataset[Batch]
    if o.packing:
        n_rows = max(1, o.batch_tokens // o.max_length)
        rows = plan_rows(_lengths(tokens), reader.n_batches * n_rows, o.max_length, seed)
        batches = PackedBatches(tokens, rows, n_rows, targets(train, 0), not masked, seed)
        check_packing(reader.network, batches[0])
    else:
        plan = plan_batches(_lengths(tokens), reader.n_batches, o.batch_tokens, seed)
        batches = TokenBatches(tokens, plan, targets(train, len(tokens)), seed)
    buckets = length_buckets([len(ids) for ids in fixed_tokens], o.batch_tokens)
    fixed = TokenBatches(fixed_tokens, buckets, targets(held_out, len(held_out)), seed)
    return LanguageModeling(
        reader.network,
        batches,
        [fixed[number] for number in range(len(fixed))],
        masked,
        reader.pooling,
        o.meaning_weight,
        reader.head_batches,
    )


def kind_of(options: PretrainingOptions, model_folder: Path) -> str:
    """ "masked" or "causal": what is asked for, or what the architecture was made for."""
    asked = options.objective
    return asked if asked in ("masked", "causal") else objective_of(model_folder)


def end_of(tokenizer: PreTrainedTokenizerBase, kind: str) -> int | None:
    """The token that ends each text in causal modeling; None where the tokenizer closes texts."""
    return None if kind == "masked" else tokenizer.eos_token_id


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
    reader: Reader,
    texts: list[str],
    options: PretrainingOptions,
    end: int | None,
    corpus: TokenFile | None,
) -> Sequence[list[int]]:
    """Tokens of the texts and of the corpus; without one, of as many texts as there are batches
    for."""
    enough = reader.n_batches * options.batch_tokens
    tokens: list[list[int]] = []
    total = 0
    for block in in_blocks(texts):
        tokens += tokens_of(reader.tokenizer, block, options.max_length, end)
        total = sum(len(ids) for ids in tokens)
        if corpus is None and total >= enough:
            break
    return tokens if corpus is None else Joined(tokens, corpus)


def _lengths(tokens: Sequence[list[int]]) -> np.ndarray:
    if isinstance(tokens, Joined):
        return np.concatenate([_lengths(tokens.first), tokens.second.lengths()])
    return np.array([len(ids) for ids in tokens])
