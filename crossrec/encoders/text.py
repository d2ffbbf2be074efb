"""Item tables -> the texts that a language model reads."""

import html
import re
from collections.abc import Sequence

import polars as pl

from crossrec.data.columns import BRAND, CATEGORIES, DESCRIPTION, KEYWORDS, REVIEW, TITLE

TEXT_FIELDS = (TITLE, BRAND, CATEGORIES, DESCRIPTION, KEYWORDS)

_UNSEEN = re.compile(r"<(script|style)\b.*?</\1\s*>|<!--.*?-->", re.IGNORECASE | re.DOTALL)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)  # a letter must follow: "5 < 6 > 4" is no tag
_SPACE = re.compile(r"\s+")


def fold(text: str | None) -> str:
    """Plain text of a scrap of HTML: no tags, entities decoded, white space single; "" for null."""
    if not text:
        return ""
    if "&" in text:
        text = html.unescape(html.unescape(text))  # "&amp;quot;": shops escape twice
    if "<" in text:
        text = _TAG.sub(" ", _UNSEEN.sub(" ", text))
    return _SPACE.sub(" ", text).strip()


def shorten(text: str, max_chars: int) -> str:
    """The start of `text`, at most `max_chars` characters, cut between words if it has any."""
    if len(text) <= max_chars:
        return text
    head = text[: max_chars + 1]
    return head[: head.rfind(" ")] if " " in head else text[:max_chars]


def compose(
    items: pl.DataFrame, fields: Sequence[str] = TEXT_FIELDS, max_chars: int = 1000
) -> list[str | None]:
    """One text per item, in the table's order: "Title. Brand. A > B > C. Description. Keywords".

    What an item lacks is left out, so an item without a title is described by its categories, or
    else by its keywords; an item with none of the fields gets None. A field that repeats what
    already stands there (the brand inside the title) is not said twice.

    Args:
        items: a table with `fields` among its columns; a field it does not have counts as null.
        fields: the columns to read, in the order of the text.
        max_chars: the longest text, in characters.
    """
    present = [field for field in fields if field in items.columns]
    if not present:
        return [None] * items.height
    return [_join(row, max_chars) for row in items.select(present).iter_rows()]


def _join(row: tuple[str | None, ...], max_chars: int) -> str | None:
    text = ""
    for value in row:
        part = fold(value)
        if not part or part.casefold() in text.casefold():
            continue
        separator = "" if not text else " " if text[-1] in ".!?" else ". "
        text += separator + part
        if len(text) >= max_chars:
            break
    return shorten(text, max_chars) or None


def corpus(
    items: pl.DataFrame,
    interactions: pl.DataFrame,
    fields: Sequence[str] = TEXT_FIELDS,
    max_chars: int = 1000,
) -> list[str]:
    """The unlabeled texts that a language model is pretrained on: items and their reviews.

    Args:
        items: the items of one or more domains.
        interactions: TRAIN interactions only: a review of a held-out event would be a leak.
        fields: the item columns to read.
        max_chars: the longest text, in characters.

    Returns:
        Distinct texts in alphabetical order, whatever the order of the rows.
    """
    texts = {text for text in compose(items, fields, max_chars) if text}
    if REVIEW in interactions.columns:
        reviews = interactions.get_column(REVIEW).drop_nulls().unique()
        texts.update(shorten(fold(review), max_chars) for review in reviews)
    return sorted(texts - {""})
