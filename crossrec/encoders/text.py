"""Item tables -> the texts that a language model reads, in the language that they are in."""

from collections.abc import Sequence
from typing import Any

import polars as pl

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    ITEM,
    ITEM_COLUMNS,
    KEYWORDS,
    REVIEW,
    TITLE,
)
from crossrec.errors import UserError
from crossrec.folding import fold, shorten

TEXT_FIELDS = (TITLE, BRAND, CATEGORIES, FEATURES, DESCRIPTION, KEYWORDS)
REVIEWS = "reviews"
"""The field that stands for what users wrote of an item."""

REVIEWS_PER_ITEM = 5
REVIEW_CHARS = 200  # of each, so that five fill a text
_BLOCK_ROWS = 1 << 16
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def compose(
    items: pl.DataFrame,
    fields: Sequence[str] = TEXT_FIELDS,
    max_chars: int = 1000,
    reviews: pl.DataFrame | None = None,
) -> list[str | None]:
    """One text per item, in the table's order: "Title. Brand. A > B > C. Features. Description".

    What an item lacks is left out, so an item without a title is described by its categories, or
    else by its keywords; an item with none of the fields gets None. A field that repeats what
    already stands there (the brand inside the title) is not said twice.

    Args:
        items: a table with `fields` among its columns; a field it does not have counts as null.
        fields: the columns to read, in the order of the text; "reviews" stands for the starts of
            the item's five longest reviews, of equally long ones the first by the alphabet.
        max_chars: the longest text, in characters.
        reviews: TRAIN events only, with columns item_id and review: a review of a held-out event
            would be a leak. None: no item has reviews.

    Raises:
        UserError: a field is none that items have.
    """
    known = (*ITEM_COLUMNS, REVIEWS)
    if unknown := [field for field in fields if field not in known]:
        raise UserError(
            f"data.text_fields names {', '.join(unknown)}, which is none of {', '.join(known)}"
        )
    columns = [field for field in fields if field in items.columns or field == REVIEWS]
    if REVIEWS in columns:
        place = columns.index(REVIEWS)
        columns[place : place + 1] = []
        if reviews is not None:
            written = _reviews_by_item(reviews)
            items = items.join(written, on=ITEM, how="left", maintain_order="left")
            columns[place:place] = written.columns[1:]
    if not columns:
        return [None] * items.height
    blocks = items.select(columns).iter_slices(_BLOCK_ROWS)
    return [text for block in blocks for text in _join(block, max_chars)]


def corpus(
    items: pl.DataFrame,
    reviews: pl.DataFrame,
    fields: Sequence[str] = TEXT_FIELDS,
    max_chars: int = 1000,
) -> list[str]:
    """The unlabeled texts that a language model is pretrained on: items and their reviews.

    Args:
        items: those items of one or more domains that some TRAIN event has: the words of an item
            that only held-out events have would be a leak.
        reviews: TRAIN events only, with columns item_id and review, or without the latter.
        fields, max_chars: see `compose`.

    Returns:
        Distinct texts in alphabetical order, whatever the order of the rows.
    """
    written = reviews if REVIEW in reviews.columns else None
    texts = [pl.Series("text", compose(items, fields, max_chars, written), dtype=pl.String)]
    if written is not None:
        distinct = written.select(pl.col(REVIEW).drop_nulls().unique().alias("text"))
        for block in distinct.iter_slices(_BLOCK_ROWS):
            texts.append(shorten(fold(block.to_series()), max_chars).replace("", None))
    return pl.concat(texts).drop_nulls().unique().sort().to_list()


def text_lengths(texts: Sequence[str | None]) -> dict[str, Any]:
    """How long texts are, as JSON can hold it.

    Returns:
        texts: how many there are, the missing ones included; without_text: the share that is
        missing; characters and words: mean, quantiles (p5 to p95) and max of each over the others,
        null if there are none. A word is what stands between white space.
    """
    table = pl.DataFrame({"text": pl.Series(texts, dtype=pl.String)})
    text = pl.col("text")
    sizes = {"characters": text.str.len_chars(), "words": text.str.count_matches(r"\S+")}
    account: dict[str, Any] = {
        "texts": table.height,
        "without_text": table["text"].null_count() / max(table.height, 1),
    }
    for name, size in sizes.items():
        shares = {f"p{share:.0%}".rstrip("%"): size.quantile(share) for share in _QUANTILES}
        row = table.select(size.mean().alias("mean"), **shares, max=size.max())
        account[name] = row.row(0, named=True)
    return account


def _reviews_by_item(reviews: pl.DataFrame) -> pl.DataFrame:
    """Items and the starts of their longest reviews, a column each."""
    review = pl.col(REVIEW)
    ranked = review.sort_by(review.str.len_chars(), review, descending=[True, False])
    longest = (
        reviews.lazy()
        .select(ITEM, REVIEW)
        .drop_nulls()
        .group_by(ITEM)
        .agg(ranked.unique(maintain_order=True).head(REVIEWS_PER_ITEM))
        .collect()
    )
    numbered = [
        longest[REVIEW].list.get(number, null_on_oob=True) for number in range(REVIEWS_PER_ITEM)
    ]
    return longest.select(
        ITEM,
        *(
            shorten(fold(column), REVIEW_CHARS).alias(f"{REVIEWS} {number}")
            for number, column in enumerate(numbered)
        ),
    )


def _join(block: pl.DataFrame, max_chars: int) -> pl.Series:
    """The columns of some rows as one text a row, null where all are empty."""
    text, lower, part, lower_part = (pl.col(c) for c in ("text", "lower", "part", "lower_part"))
    separator = (
        pl.when(text == "")
        .then(pl.lit(""))
        .when(text.str.contains("[.!?。！？…]$"))
        .then(pl.lit(" "))
        .otherwise(pl.lit(". "))
    )
    new = ~lower.str.contains(lower_part, literal=True) & (text.str.len_chars() < max_chars)
    empty = pl.repeat("", block.height, eager=True)
    rows = pl.DataFrame({"text": empty, "lower": empty})
    for column in block.iter_columns():
        # No more of it can be seen, and what is longer than the text does not stand there.
        start = fold(column).str.slice(0, max_chars + 1)
        rows = rows.with_columns(part=start, lower_part=start.str.to_lowercase())
        rows = rows.select(
            pl.when(new).then(pl.concat_str(text, separator, part)).otherwise(text),
            pl.when(new).then(pl.concat_str(lower, separator, lower_part)).otherwise(lower),
        )
    return shorten(rows["text"], max_chars).replace("", None)
