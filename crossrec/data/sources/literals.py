"""Turn lines of Python literals into lines of JSON, exactly, without a Python step for each.

Old releases (Amazon 2014 metadata, Steam) hold dictionaries as Python prints them:
`{u'id': u'761140', 'title': "It's", u'early_access': False}`. They are never evaluated.
"""

import numpy as np
import polars as pl

_NEWLINE, _SPACE, _DOUBLE, _SINGLE, _SLASH, _COLON, _BACKSLASH = b"\n \"'/:\\"
# Bytes that stand for what takes another number of bytes in JSON; no text holds them.
_NOTHING, _HEX, _QUOTE = 1, 2, 3
_MOST_STRINGS = 10_000  # of a line; a longer one is cheaper to parse by itself
_PADDING = b" " * 16  # so that looking ahead of the last line stays inside
_DIGITS = np.full(256, -1)
_DIGITS[list(b"0123456789abcdef")] = range(16)
_DIGITS[list(b"ABCDEF")] = range(10, 16)


def to_json(block: bytes) -> bytes:
    """Whole lines of Python literals as lines of JSON.

    Every string is found: it starts at a quote that is in no other string and ends at the next
    quote of its kind that is not escaped. All lines are walked at once, from string to string.
    What is no literal, or one that JSON cannot say, comes out as something that is not JSON; so
    do True, False and None in a list, which are rare (there true, false and null pass).

    Raises:
        polars.exceptions.ComputeError: a string has no end, or holds what JSON reads otherwise.
    """
    text = np.frombuffer(block + _PADDING, np.uint8).copy()
    _refuse(text <= _QUOTE, "control characters")
    escapes = _escapes(text)
    opening, closing, inner = _strings(text, escapes)
    text[inner[text[inner] == _DOUBLE]] = _QUOTE
    text[opening] = text[closing] = _DOUBLE
    prefix = opening[opening > 0] - 1
    text[prefix[text[prefix] == ord("u")]] = _SPACE
    _rename_constants(text, closing)
    _rewrite_escapes(text, escapes)
    out = text[: len(block)].tobytes()
    if escapes.size:
        out = out.translate(None, bytes([_NOTHING])).replace(bytes([_HEX]), b"u00")
    return out.replace(bytes([_QUOTE]), b'\\"')


def _refuse(found: np.ndarray, what: str) -> None:
    if found.any():
        raise pl.exceptions.ComputeError(f"a line holds {what}")


def _escapes(text: np.ndarray) -> np.ndarray:
    """Positions of the backslashes that escape what follows: every other one of a run."""
    slashes = np.flatnonzero(text == _BACKSLASH)
    number = np.arange(slashes.size)
    starts = np.diff(slashes, prepend=-2) != 1
    return slashes[(number - np.maximum.accumulate(np.where(starts, number, 0))) % 2 == 0]


def _strings(text: np.ndarray, escapes: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Positions of the quotes that open strings, that close them, and that lie inside them."""
    marks = np.flatnonzero((text == _SINGLE) | (text == _DOUBLE) | (text == _NEWLINE))
    if escapes.size:
        escaped = np.zeros(text.size, bool)
        escaped[escapes + 1] = True
        marks = marks[~escaped[marks]]
    kinds = text[marks]
    next_of_kind = np.full(marks.size, marks.size)
    for kind in (_SINGLE, _DOUBLE):
        same = np.flatnonzero(kinds == kind)
        next_of_kind[same[:-1]] = same[1:]
    line_end = np.flatnonzero(kinds == _NEWLINE)
    at = np.append(0, line_end[:-1] + 1)  # the next string of every line
    opening, closing = [at[:0]], [at[:0]]
    while at.size:
        _refuse(np.array(len(opening) > _MOST_STRINGS), "very many strings")
        more = at < line_end
        at, line_end = at[more], line_end[more]
        end = next_of_kind[at]
        _refuse(end >= line_end, "a string without an end")
        opening.append(at)
        closing.append(end)
        at = end + 1
    first, last = np.concatenate(opening), np.concatenate(closing)
    is_inner = kinds != _NEWLINE
    is_inner[first] = is_inner[last] = False
    return marks[first], marks[last], marks[is_inner]


def _rename_constants(text: np.ndarray, closing: np.ndarray) -> None:
    """True, False and None that are the value of a key become true, false and null."""
    keys = closing[text[closing + 1] == _COLON]
    values = keys + 2 + (text[keys + 2] == _SPACE)
    letters = text[values]
    _refuse(np.isin(letters, list(b"tfn")), "a constant of JSON")
    text[values[np.isin(letters, list(b"TF"))]] += ord("t") - ord("T")
    spelled = [text[values + i] == letter for i, letter in enumerate(b"None")]
    nothing = values[np.logical_and.reduce(spelled)]
    for i, letter in enumerate(b"null"):
        text[nothing + i] = letter


def _rewrite_escapes(text: np.ndarray, escapes: np.ndarray) -> None:
    r"""`\'`, `\xe9` and `\U0001f600` for JSON; other escapes that it lacks it will refuse."""
    kinds = text[escapes + 1]
    _refuse(kinds == _SLASH, "a backslash before a slash")
    text[escapes[kinds == _SINGLE]] = _NOTHING
    text[escapes[kinds == ord("x")] + 1] = _HEX

    units = escapes[kinds == ord("u")]
    units = units[_DIGITS[text[units + 2]] == 0xD]
    second = _DIGITS[text[units + 3]]
    pairs = np.array_equal(units[(second >= 8) & (second < 12)] + 6, units[second >= 12])
    _refuse(np.array(not pairs), "half a character")

    wide = escapes[kinds == ord("U")]
    digits = _DIGITS[text[wide[:, None] + np.arange(2, 10)]]
    points = digits @ (16 ** np.arange(7, -1, -1))
    valid = (digits >= 0).all(axis=1) & (points >= 0x10000) & (points < 0x110000)
    wide, points = wide[valid], points[valid]
    text[wide[:, None] + np.arange(4)] = (points[:, None] >> np.array([18, 12, 6, 0])) & 0x3F | 0x80
    text[wide] |= 0xF0
    text[wide[:, None] + np.arange(4, 10)] = _NOTHING
