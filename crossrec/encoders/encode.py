"""Texts -> vectors, by a language model: de-duplicated, in batches of equal length."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.nn.functional import normalize as unit_length
from transformers import PreTrainedTokenizerBase

from crossrec.encoders.language_model import POOLINGS, open_body, open_tokenizer


def encode(
    texts: Sequence[str | None],
    model_folder: Path,
    pooling: str = "mean",
    max_length: int = 256,
    batch_tokens: int = 2048,
    device: str = "cpu",
    dtype: str = "float32",
    normalize: bool = True,
) -> tuple[np.ndarray, np.ndarray]:
    """One vector per text; it does not depend on the other texts, their order or the batch size.

    Args:
        texts: None where an item has no text.
        model_folder: a Hugging Face folder (see `language_model.locate`).
        pooling: "mean" over the tokens, "cls" the first token, "last" the last token.
        max_length: longest text in tokens, special tokens included; the rest is cut off.
        batch_tokens: largest texts x longest text of a batch. Around 2,000 a processor's cores
            are busy and its caches still hold the batch; a GPU wants 30 times that.
        device: where to compute, as torch names it.
        dtype: type of weights and activations, as torch names it ("float32", "bfloat16").
        normalize: scale each vector to length 1, so that inner products are cosines.

    Returns:
        vectors (len(texts), d) float32, zero where there is no text; and the mask (len(texts),) of
        texts that are not None.

    Raises:
        ValueError: if `pooling` or `dtype` is unknown.
    """
    element_type = getattr(torch, dtype, None)
    if not isinstance(element_type, torch.dtype) or not element_type.is_floating_point:
        raise ValueError(f"encoder.dtype={dtype}: expected float32, bfloat16 or float16")
    if pooling not in POOLINGS:
        raise ValueError(f"encoder.pooling={pooling}: expected one of {', '.join(POOLINGS)}")
    body = open_body(model_folder, element_type, device)
    mask = np.array([text is not None for text in texts], dtype=bool)
    vectors = np.zeros((len(texts), body.config.hidden_size), dtype=np.float32)
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    if not distinct:
        return vectors, mask

    tokens = tokenize(open_tokenizer(model_folder), distinct, max_length)
    encoded = torch.empty(len(distinct), body.config.hidden_size)
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_interactive)
    with torch.inference_mode(), bar as progress:
        task = progress.add_task(f"{'encode':<10}", total=len(distinct))
        for rows in length_buckets([len(ids) for ids in tokens], batch_tokens):
            ids, attention = pad([tokens[row] for row in rows])
            ids, attention = ids.to(device), attention.to(device)
            hidden = body(input_ids=ids, attention_mask=attention).last_hidden_state
            pooled = pool(hidden.float(), attention, pooling)
            encoded[rows] = (unit_length(pooled, dim=1) if normalize else pooled).cpu()
            progress.advance(task, len(rows))

    row_of = {text: row for row, text in enumerate(distinct)}
    vectors[mask] = encoded.numpy()[[row_of[text] for text in texts if text is not None]]
    return vectors, mask


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int
) -> list[list[int]]:
    """Token ids of each text, special tokens included, at most `max_length` (or the model's limit).

    A text without a single token ("" for a decoder) becomes one end-of-text token.
    """
    encoded = tokenizer(
        list(texts),
        truncation=True,
        max_length=min(max_length, tokenizer.model_max_length),
        return_attention_mask=False,
        return_token_type_ids=False,
    )
    return [ids or [tokenizer.eos_token_id] for ids in encoded["input_ids"]]


def length_buckets(lengths: Sequence[int], batch_tokens: int) -> list[list[int]]:
    """Positions of the texts in batches of similar length, the longest first.

    Each batch has rows x longest <= batch_tokens, or is one text that alone exceeds it.
    """
    order = sorted(range(len(lengths)), key=lambda row: -lengths[row])
    batches, start = [], 0
    while start < len(order):
        size = max(1, batch_tokens // max(1, lengths[order[start]]))
        batches.append(order[start : start + size])
        start += size
    return batches


def pad(tokens: Sequence[Sequence[int]]) -> tuple[Tensor, Tensor]:
    """Token ids (texts, longest), padded on the right with 0, and their attention mask."""
    longest = max(len(ids) for ids in tokens)
    padded = torch.tensor([[*ids, *[0] * (longest - len(ids))] for ids in tokens])
    lengths = torch.tensor([len(ids) for ids in tokens])
    return padded, (torch.arange(longest) < lengths[:, None]).long()


def pool(hidden: Tensor, attention: Tensor, pooling: str) -> Tensor:
    """Token vectors (texts, length, d) and attention mask (texts, length) -> (texts, d)."""
    if pooling == "mean":
        return (hidden * attention[:, :, None]).sum(dim=1) / attention.sum(dim=1, keepdim=True)
    last = attention.sum(dim=1) - 1
    position = last if pooling == "last" else torch.zeros_like(last)
    return hidden[torch.arange(len(hidden), device=hidden.device), position]
