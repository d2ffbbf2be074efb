"""Texts -> vectors, by a language model: each distinct text once, and once for all runs."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from crossrec.artifacts import code_digest, key_of
from crossrec.encoders.batching import fitting_length, length_buckets, pad, pool, tokenize
from crossrec.encoders.language_model import open_tokenizer, weights_digest
from crossrec.encoders.linear import MIN_COSINE, fastest_dtype, has_int8_units
from crossrec.encoders.reader import Reader, Reading, read_alone, read_together, width_of
from crossrec.encoders.sentence_folder import (
    POOLINGS,
    longest_text_of,
    pools_prefix,
    prefix_of,
    said,
)
from crossrec.encoders.vector_cache import VectorCache
from crossrec.errors import UserError
from crossrec.lineage import code_behind

__all__ = ["encode", "length_buckets", "pad", "pool", "tokenize"]

DTYPES = ("float32", "bfloat16", "float16", "int8", "auto")
BATCH_TOKENS = {"cpu": 2048, "cuda": 65536}
"""A processor's caches hold the one; the other keeps a GPU busy."""

LIMIT = 8192  # tokens of a text, for a model that knows none
_KEPT_AT_ONCE = 8192  # texts whose vectors a kill can lose
_TRIED_ON = (
    "Cast iron skillet, 12 inch, pre-seasoned",
    "USB-C charger 65W",
    "Organic green tea, 100 bags. Tea > Green",
    "The night train: a novel",
    "Kids' wooden train set with 40 pieces, fits all major brands. Toys > Vehicles > Trains",
    "Noise cancelling headphones, black",
    "A thriller in which nobody is who they say they are; based on a true story.",
    "Shampoo",
)
log = logging.getLogger(__name__)


def encode(
    texts: Sequence[str | None],
    model_folder: Path,
    pooling: str = "mean",
    max_length: int = 256,
    batch_tokens: int | None = None,
    device: str = "cpu",
    dtype: str = "float32",
    normalize: bool = True,
    prefix: str | None = None,
    layers: Sequence[int] = (-1,),
    workers: int = 1,
    cache: Path | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """One vector per text; it does not depend on the other texts, their order or the batch size.

    Args:
        texts: None where an item has no text.
        model_folder: a Hugging Face folder (see `language_model.locate`); a Dense module, a longest
            text and a prompt that sentence-transformers put there hold.
        pooling: one of `POOLINGS`, see `pool`.
        max_length: longest text in tokens, prefix and special tokens included; the rest is cut off.
        batch_tokens: largest texts x longest text of a batch; None: what suits the device.
        device: where to compute, as torch names it.
        dtype: type of weights and activations: "float32", "bfloat16", "float16"; "int8" for
            products of 8-bit numbers (see `Int8Linear`); "auto": see `admissible_dtype`.
        normalize: scale each vector to length 1, so that inner products are cosines.
        prefix: stands before every text ("passage: "); None: what the folder says.
        layers: hidden layers whose mean is pooled: 0 the embeddings, -1 the last.
        workers: processes that share the work; the processor's threads are divided among them, and
            the GPUs dealt out.
        cache: folder of the vectors that earlier runs made and later ones can use.

    Returns:
        vectors (len(texts), d) float32, zero where there is no text; and the mask (len(texts),) of
        texts that are not None.

    Raises:
        UserError: if the model cannot be read in this way.
    """
    prefix = prefix_of(model_folder) if prefix is None else prefix
    _check(model_folder, pooling, dtype, device, prefix)
    if dtype == "auto":
        dtype = admissible_dtype(model_folder, pooling, device)
    elif dtype == "int8" and not has_int8_units():
        log.warning(
            "           encoder.dtype=int8 is slower than float32 on this processor, which has no "
            "8-bit units (AVX-512 VNNI, AMX) that torch uses; encoder.dtype=auto takes the fastest"
        )
    reading = Reading(model_folder, pooling, tuple(layers), dtype, normalize)
    batch_tokens = batch_tokens or BATCH_TOKENS[torch.device(device).type]
    longest = min(max_length, longest_text_of(model_folder) or max_length)
    mask = np.array([text is not None for text in texts], dtype=bool)
    distinct = list(dict.fromkeys(text for text in texts if text is not None))
    if not distinct:
        return np.zeros((len(texts), width_of(model_folder)), dtype=np.float32), mask

    read = said(distinct, model_folder, prefix)
    encoded = _encode(read, reading, longest, batch_tokens, device, workers, cache)
    row_of = {text: row for row, text in enumerate(distinct)}
    vectors = np.zeros((len(texts), encoded.shape[1]), dtype=np.float32)
    vectors[mask] = encoded[[row_of[text] for text in texts if text is not None]]
    return vectors, mask


def longest_text(texts: Sequence[str], model_folder: Path, prefix: str | None = None) -> int:
    """What 99% of the texts fit into, in tokens with the prefix, rounded up to a multiple of 8."""
    prefix = prefix_of(model_folder) if prefix is None else prefix
    read = said(texts, model_folder, prefix)
    tokens = tokenize(open_tokenizer(model_folder), read, longest_text_of(model_folder) or LIMIT)
    return fitting_length([len(ids) for ids in tokens])


def admissible_dtype(model_folder: Path, pooling: str, device: str) -> str:
    """The fastest type that this device is known to gain by, if the model stands it.

    It does if its vectors of some texts, less their mean, have a cosine of at least 0.99 to those
    of float32; or else float32 it is. A decoder's vectors all point nearly the same way: without
    the mean every cosine is near 1. Nothing is timed: on one machine the answer for a model is
    always the same.
    """
    fastest = fastest_dtype(device)
    if fastest == "float32":
        return fastest
    tokens = tokenize(open_tokenizer(model_folder), _TRIED_ON, max_length=64)
    exact, fast = (
        read_alone(Reader(Reading(model_folder, pooling, (-1,), d, True), device), tokens, 1)
        for d in ("float32", fastest)
    )
    cosine = least_cosine(exact, fast)
    verdict = "" if cosine >= MIN_COSINE else ": encoder.dtype=auto is float32 for this model"
    log.info("           %s: cosine to float32 %.4f at worst%s", fastest, cosine, verdict)
    return "float32" if verdict else fastest


def least_cosine(exact: np.ndarray, fast: np.ndarray) -> float:
    """The least cosine of two vectors of one text, (texts, d) each, less the mean of the exact."""
    exact, fast = exact - exact.mean(axis=0), fast - exact.mean(axis=0)
    products = (exact * fast).sum(axis=1)
    lengths = np.linalg.norm(exact, axis=1) * np.linalg.norm(fast, axis=1)
    return float((products / lengths).min())


def _encode(
    texts: list[str],
    reading: Reading,
    max_length: int,
    batch_tokens: int,
    device: str,
    workers: int,
    cache: Path | None,
) -> np.ndarray:
    """Vectors (len(texts), d) of distinct texts: from the cache, or read now and added to it."""
    known = None if cache is None else VectorCache(cache / _key(reading, max_length))
    vectors = np.empty((len(texts), width_of(reading.folder)), dtype=np.float32)
    new = np.arange(len(texts))
    if known:
        places, vectors_of_places = known.look_up(texts)
        if len(places):
            vectors[places] = vectors_of_places
            new = np.delete(new, places)
    counts = (f"{n:,}" for n in (len(new), len(texts), len(texts) - len(new)))
    log.info("           encoded %s new of %s texts (%s from cache)", *counts)
    if not len(new):
        return vectors
    tokenizer = open_tokenizer(reading.folder)
    reader = Reader(reading, device) if workers == 1 else None
    # Processes take seconds to start: they get all texts at once.
    at_once = _KEPT_AT_ONCE if reader else len(new)
    for start in range(0, len(new), at_once):
        rows = new[start : start + at_once]
        some = [texts[row] for row in rows]
        tokens = tokenize(tokenizer, some, max_length)
        if reader:
            vectors[rows] = read_alone(reader, tokens, batch_tokens)
        else:
            vectors[rows] = read_together(reading, device, workers, tokens, batch_tokens)
        if known:
            known.add(some, vectors[rows])
    return vectors


def _key(reading: Reading, max_length: int) -> str:
    """What a vector depends on besides its text, the prefix included: a folder's name."""
    code = code_digest(*code_behind("crossrec.encoders.encode", "crossrec.encoders.reader"))
    how = {**vars(reading), "folder": weights_digest(reading.folder), "layers": [*reading.layers]}
    return key_of({**how, "max_length": max_length, "code": code})


def _check(folder: Path, pooling: str, dtype: str, device: str, prefix: str) -> None:
    if dtype not in DTYPES:
        raise UserError(f"encoder.dtype={dtype}: expected one of {', '.join(DTYPES)}")
    if dtype == "int8" and torch.device(device).type != "cpu":
        raise UserError(
            f"encoder.dtype=int8: for processors alone, and this run computes on {device}; use "
            "bfloat16, or auto"
        )
    if pooling not in POOLINGS:
        raise UserError(f"encoder.pooling={pooling}: expected one of {', '.join(POOLINGS)}")
    if prefix and not pools_prefix(folder):
        raise UserError(
            f"encoder.prefix={prefix!r}: {folder} leaves its prefix out of pooling, which is not "
            "known here; use encoder.prefix='' or another encoder.model"
        )
