"""Tokens of texts that need not fit in memory: written block by block, mapped when read."""

import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import overload

import numpy as np
from transformers import PreTrainedTokenizerBase

from crossrec.encoders.encode import tokenize

TOKENS, ENDS, ACCOUNT = "tokens.bin", "ends.bin", "tokens.json"


class TokenFile(Sequence[list[int]]):
    """Token ids of each text in a folder that `write_tokens` wrote.

    Args:
        folder: holds tokens.bin (uint32, one text after the other), ends.bin (int64, where each
            ends) and tokens.json (how many there are).
    """

    def __init__(self, folder: Path) -> None:
        n_texts = json.loads((folder / ACCOUNT).read_text())["texts"]
        self._ends = np.memmap(folder / ENDS, dtype="<i8", mode="r", shape=(n_texts,))
        self._tokens = np.memmap(folder / TOKENS, dtype="<u4", mode="r")

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> list[int]: ...
    @overload
    def __getitem__(self, place: slice) -> list[list[int]]: ...
    def __getitem__(self, place: int | slice) -> list[int] | list[list[int]]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        start = self._ends[place - 1] if place else 0
        return [int(token) for token in self._tokens[start : self._ends[place]]]

    def lengths(self) -> np.ndarray:
        """(texts,) int64 number of tokens of each text."""
        return np.diff(self._ends, prepend=0)


class Joined(Sequence[list[int]]):
    """Texts in memory, and after them those of a file."""

    def __init__(self, first: Sequence[list[int]], second: TokenFile) -> None:
        self.first, self.second = first, second

    def __len__(self) -> int:
        return len(self.first) + len(self.second)

    @overload
    def __getitem__(self, place: int) -> list[int]: ...
    @overload
    def __getitem__(self, place: slice) -> list[list[int]]: ...
    def __getitem__(self, place: int | slice) -> list[int] | list[list[int]]:
        if isinstance(place, slice):
            return [self[n] for n in range(*place.indices(len(self)))]
        n_first = len(self.first)
        return self.first[place] if place < n_first else self.second[place - n_first]


def write_tokens(
    folder: Path,
    blocks: Iterable[Sequence[str]],
    tokenizer: PreTrainedTokenizerBase,
    max_length: int,
    end: int | None,
) -> None:
    """Tokenize blocks of texts, one in memory at a time, into a folder for `TokenFile`.

    Args:
        folder: where to write.
        blocks: of texts.
        tokenizer, max_length, end: see `tokens_of`.
    """
    n_texts = n_tokens = 0
    with (folder / TOKENS).open("wb") as tokens, (folder / ENDS).open("wb") as ends:
        for block in blocks:
            found = tokens_of(tokenizer, block, max_length, end)
            np.array([token for ids in found for token in ids], dtype="<u4").tofile(tokens)
            of_block = n_tokens + np.cumsum([len(ids) for ids in found])
            of_block.astype("<i8").tofile(ends)
            n_texts, n_tokens = n_texts + len(found), int(of_block[-1])
    account = {"texts": n_texts, "tokens": n_tokens}
    (folder / ACCOUNT).write_text(json.dumps(account) + "\n")


def tokens_of(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_length: int, end: int | None
) -> list[list[int]]:
    """Token ids of each text, at most `max_length`, the last of them `end` unless it is None."""
    tokens = tokenize(tokenizer, texts, max_length)
    return tokens if end is None else [[*ids[: max_length - 1], end] for ids in tokens]


def in_blocks(texts: Sequence[str], size: int = 4096) -> Iterator[Sequence[str]]:
    """The texts, so many at a time."""
    for start in range(0, len(texts), size):
        yield texts[start : start + size]
