"""What a language model is asked about tokens: the next one, or what is hidden."""

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

NO_TARGET = -100

Span = tuple[int, int]
"""The first token of a field, and the one after its last."""


class Targets(Protocol):
    """Turns tokens into a question, all draws from a generator."""

    def __call__(
        self, ids: Tensor, segments: Tensor, texts: Sequence[int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """What the model reads and what it is to say.

        Args:
            ids: (rows, length) token ids.
            segments: (rows, length) 0 for padding, else which of the row's texts a token is of.
            texts: (rows,) number of the text in each row, if a row is one text.
            generator: of all draws.

        Returns:
            ids to read and targets, (rows, length): a target is the token to predict at that
            position, or NO_TARGET.
        """


class NextToken:
    """Causal targets: at each position the token that follows, NO_TARGET at a text's end."""

    def __call__(
        self, ids: Tensor, segments: Tensor, texts: Sequence[int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """See `Targets`."""
        targets = torch.full_like(ids, NO_TARGET)
        follows = (segments[:, 1:] == segments[:, :-1]) & (segments[:, 1:] > 0)
        targets[:, :-1][follows] = ids[:, 1:][follows]
        return ids, targets


class MaskedTokens:
    """BERT's masking (Devlin et al., 2019), see `mask_tokens`.

    Args:
        tokenizer: names the special tokens, which are never hidden.
        share: of a row's tokens to predict, in (0, 1].
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, share: float) -> None:
        self.special = torch.tensor(sorted(set(tokenizer.all_special_ids)))
        self.mask_id = tokenizer.mask_token_id
        self.vocabulary_size = len(tokenizer)
        self.share = share

    def ordinary(self, ids: Tensor, segments: Tensor) -> Tensor:
        """(rows, length) True for what may be hidden: neither special nor padding."""
        return (segments > 0) & ~torch.isin(ids, self.special)

    def __call__(
        self, ids: Tensor, segments: Tensor, texts: Sequence[int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """See `Targets`."""
        ordinary = self.ordinary(ids, segments)
        return mask_tokens(ids, ordinary, self.share, self.mask_id, self.vocabulary_size, generator)


class MaskedFields(MaskedTokens):
    """One field of each text is hidden whole: its brand, say, is to be told from the rest.

    A text without fields has a random run of neighboring tokens hidden instead (spans as in
    SpanBERT, Joshi et al., 2020), as many as `share` says.

    Args:
        tokenizer, share: as above.
        fields: of each text.
    """

    def __init__(
        self, tokenizer: PreTrainedTokenizerBase, share: float, fields: Sequence[Sequence[Span]]
    ) -> None:
        super().__init__(tokenizer, share)
        self.fields = fields

    def __call__(
        self, ids: Tensor, segments: Tensor, texts: Sequence[int], generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """See `Targets`."""
        ordinary = self.ordinary(ids, segments)
        chosen = torch.zeros_like(ordinary)
        for row, text in enumerate(texts):
            fields = self.fields[text]
            if fields:
                start, stop = fields[_draw(len(fields), generator)]
                chosen[row, start:stop] = True
                continue
            places = ordinary[row].nonzero()[:, 0]
            if len(places):
                size = max(1, round(self.share * len(places)))
                start = _draw(len(places) - size + 1, generator)
                chosen[row, places[start : start + size]] = True
        chosen &= ordinary
        return ids.masked_fill(chosen, self.mask_id), ids.masked_fill(~chosen, NO_TARGET)


def mask_tokens(
    ids: Tensor,
    ordinary: Tensor,
    share: float,
    mask_id: int,
    vocabulary_size: int,
    generator: torch.Generator,
) -> tuple[Tensor, Tensor]:
    """80% [MASK], 10% a random token, 10% left as it is.

    Of a row's n ordinary tokens exactly max(1, round(share * n)) are chosen, so short titles are
    never without a target.

    Args:
        ids: (rows, length).
        ordinary: (rows, length) True where a token may be chosen: neither special nor padding.
        share: the share to choose, in (0, 1].
        mask_id: id of [MASK].
        vocabulary_size: random tokens are drawn from 0 .. vocabulary_size - 1.
        generator: of all draws.

    Returns:
        the masked ids and the targets, both (rows, length).
    """
    counts = ordinary.sum(dim=1)
    wanted = (counts * share).round().clamp(min=1).minimum(counts)
    draws = torch.rand(ids.shape, generator=generator).masked_fill(~ordinary, 2.0)
    chosen = draws.argsort(dim=1).argsort(dim=1) < wanted[:, None]
    targets = ids.masked_fill(~chosen, NO_TARGET)
    fate = torch.rand(ids.shape, generator=generator)
    random_ids = torch.randint(vocabulary_size, ids.shape, generator=generator)
    masked = torch.where(chosen & (fate < 0.8), mask_id, ids)
    masked = torch.where(chosen & (fate >= 0.9), random_ids, masked)
    return masked, targets


def _draw(n: int, generator: torch.Generator) -> int:
    return int(torch.randint(n, (), generator=generator))
