"""Where an item's brand, categories and keywords stand in its text, in characters and in tokens."""

from collections.abc import Mapping, Sequence

import polars as pl
from transformers import PreTrainedTokenizerBase

from crossrec.data.columns import BRAND, CATEGORIES, KEYWORDS
from crossrec.encoders.token_targets import Span
from crossrec.errors import UserError
from crossrec.folding import fold

FIELDS = (BRAND, CATEGORIES, KEYWORDS)
"""The fields that can be told from the rest of a text: short, and of few values."""


def field_spans(items: pl.DataFrame, texts: Sequence[str | None]) -> dict[str, list[Span]]:
    """Text -> first character, and the one after the last, of each field that stands in it.

    A field that repeats a part of the text before it (the brand inside the title) is not said
    twice; it is found where it first stands. What fills more than half of a text is no field: it
    could not be told from the rest.

    Args:
        items: with some of FIELDS among its columns.
        texts: of the items, in their order; None where an item has none.
    """
    columns = [fold(items[name]).to_list() for name in FIELDS if name in items.columns]
    found: dict[str, list[Span]] = {}
    for row, text in enumerate(texts):
        if text is None:
            continue
        spans = set()
        for column in columns:
            value = column[row]
            start = text.lower().find(value.lower()) if value else -1
            if start >= 0 and 2 * len(value) <= len(text):
                spans.add((start, start + len(value)))
        found[text] = sorted(spans)
    return found


def token_spans(
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    fields: Mapping[str, Sequence[Span]],
    max_length: int,
) -> list[list[Span]]:
    """The same in tokens of `encode.tokenize`, for each text; cut off parts are left out.

    Args:
        tokenizer: a fast one, which knows where its tokens stand.
        texts: in any order; those that `fields` does not name have none.
        fields: text -> spans in characters.
        max_length: longest text in tokens.

    Raises:
        UserError: the tokenizer does not know.
    """
    if not tokenizer.is_fast:
        raise UserError(
            "pretraining.masking=fields needs a fast tokenizer (tokenizer.json), which this "
            "language model does not have. Use pretraining.masking=tokens"
        )
    if not texts:
        return []
    offsets = tokenizer(
        list(texts),
        truncation=True,
        max_length=min(max_length, tokenizer.model_max_length),
        return_offsets_mapping=True,
        return_attention_mask=False,
        return_token_type_ids=False,
    )["offset_mapping"]
    spans = []
    for text, places in zip(texts, offsets, strict=True):
        of_text = []
        for first, last in fields.get(text, ()):
            inside = [n for n, (start, stop) in enumerate(places) if first < stop and start < last]
            if inside:
                of_text.append((inside[0], inside[-1] + 1))
        spans.append(of_text)
    return spans
