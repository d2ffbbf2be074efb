"""The words of items as things to predict: what pictures and sounds are told to show."""

import re
from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

FEWEST = 5  # items that have a word, for it to be predicted
MOST = 512  # words


def word_labels(texts: Sequence[str | None]) -> tuple[list[str], Tensor]:
    """Which words each text has.

    Returns:
        the words that at least FEWEST texts have and not all do, the most frequent first, then by
        the alphabet, at most MOST; and (texts, words) float32 of zeros and ones.
    """
    found = [set(re.findall(r"\w+", (text or "").lower())) for text in texts]
    counts = Counter(word for words in found for word in words)
    useful = [word for word, count in counts.items() if FEWEST <= count < len(texts)]
    words = sorted(useful, key=lambda word: (-counts[word], word))[:MOST]
    place = {word: number for number, word in enumerate(words)}
    labels = torch.zeros(len(texts), len(words))
    for row, present in enumerate(found):
        labels[row, [place[word] for word in present if word in place]] = 1.0
    return words, labels
