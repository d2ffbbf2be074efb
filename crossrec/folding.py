"""Scraps of HTML -> plain text, and long texts -> short ones: whole columns at once."""

import html
from collections.abc import Callable

import polars as pl

_UNSEEN = r"(?is)<script\b.*?</script\s*>|<style\b.*?</style\s*>|<!--.*?-->"
_TAG = r"(?i)</?[a-z][^<>]*>"  # a letter must follow: "5 < 6 > 4" is no tag
_ENTITY = r"&(?:#[0-9]+;?|#[xX][0-9a-fA-F]+;?|[^\t\n\f <&#;]{1,32};?)"  # as html.unescape has it
_SPACE = r"[\s\x00-\x1f]+"
_NOT_ONE_SPACE = r"[^\S ]|[\x00-\x1f]|  "
_LONGEST_WORD = 40  # text that has no spaces, as Chinese, is cut anywhere


def fold(texts: pl.Series) -> pl.Series:
    """Plain text of scraps of HTML: no tags, entities decoded, white space single; "" for null."""
    texts = texts.cast(pl.String).fill_null("")
    texts = _where(texts, "&", lambda some: _decode(_decode(some)))  # shops escape twice: &amp;lt;
    texts = _where(texts, "<", _untag)
    texts = _where(texts, _NOT_ONE_SPACE, lambda some: some.str.replace_all(_SPACE, " "))
    return texts.str.strip_chars(" ")


def shorten(texts: pl.Series, max_chars: int) -> pl.Series:
    """The start of each text, at most `max_chars` characters, cut between words if it has any."""
    head = texts.str.slice(0, max_chars + 1)
    whole_words = head.str.replace(f" [^ ]{{0,{_LONGEST_WORD}}}$", "")
    cut = head.str.len_chars() > max_chars
    start = whole_words.zip_with(
        whole_words.str.len_chars() <= max_chars, head.str.slice(0, max_chars)
    )
    return start.zip_with(cut, texts)


def _where(texts: pl.Series, pattern: str, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The texts, those that have the pattern changed; most do not, and cost nothing more."""
    rows = texts.str.contains(pattern).arg_true()
    return texts if rows.is_empty() else texts.scatter(rows, change(texts.gather(rows)))


def _decode(texts: pl.Series) -> pl.Series:
    """Entities replaced as `html.unescape` does, which is asked once for each that occurs."""
    found = texts.str.extract_all(_ENTITY).explode().drop_nulls().unique().to_list()
    plain = {entity: text for entity in found if (text := html.unescape(entity)) != entity}
    if not plain:
        return texts
    longest_first = sorted(plain, key=lambda entity: (-len(entity), entity))
    return texts.str.replace_many(
        longest_first, [plain[entity] for entity in longest_first], leftmost=True
    )


def _untag(texts: pl.Series) -> pl.Series:
    return texts.str.replace_all(_UNSEEN, " ").str.replace_all(_TAG, " ")
