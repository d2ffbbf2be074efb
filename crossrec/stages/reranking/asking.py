"""What a language model is asked of users and items, from what the protocol lets it know."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crossrec.data.domain import Domain
from crossrec.data.sequences import Sequences
from crossrec.data.storage import read_items
from crossrec.encoders.text import REVIEWS, compose
from crossrec.errors import UserError
from crossrec.stages.reranking.prompting import Prompt


def item_texts(data: Path, fields: Sequence[str], chars: int) -> list[str | None]:
    """Short texts of the target's items, then of the source's; None where an item has none.

    Args:
        data: folder of the prepared pair.
        fields: the columns that are read (see `compose`), but for reviews.
        chars: of the longest text.
    """
    items = [read_items(data, side) for side in ("target", "source")]
    named = [name for name in fields if name != REVIEWS]
    return [text for table in items for text in compose(table, named, max_chars=chars)]


@dataclass(frozen=True)
class Questions:
    """Fills a prompt with histories and items.

    Attributes:
        prompt: what is asked.
        domain: the target, its context being the source's items.
        texts: of its items and of the context's, by code.
        max_history: latest items that are told.
    """

    prompt: Prompt
    domain: Domain
    texts: list[str | None]
    max_history: int

    def told(self, events: Tensor) -> list[str]:
        """Texts of the latest of (L,) events, oldest first; those without text are left out."""
        known = [text for item in events.tolist() if (text := self.texts[item]) is not None]
        return known[max(0, len(known) - self.max_history) :]

    def history(self, histories: Sequences, row: int) -> list[str]:
        """Texts of the latest items of one history."""
        return self.told(histories.items[histories.offsets[row] : histories.offsets[row + 1]])

    def ask(self, history: list[str], item: str) -> tuple[str, str]:
        """The text before the item, and the rest."""
        return self.prompt.split(in_lines(history), item, self.domain.name)


def in_lines(history: Sequence[str]) -> str:
    """A history as a list, an item a line."""
    return "\n".join(f"- {text}" for text in history)


@dataclass(frozen=True)
class Tokens:
    """Turns questions into tokens that the model can read.

    Attributes:
        tokenizer: of the model.
        at_most: tokens that it reads.
        key: the setting that names the prompt.
    """

    tokenizer: PreTrainedTokenizerBase
    at_most: float
    key: str

    @classmethod
    def of(cls, network: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, key: str) -> "Tokens":
        """As many tokens as the network has positions for."""
        at_most = getattr(network.config, "max_position_embeddings", None) or float("inf")
        return cls(tokenizer, at_most, key)

    def of_user(
        self, questions: Questions, history: list[str], items: Sequence[str]
    ) -> tuple[list[int], list[list[int]]]:
        """Tokens of the text before the items, and of the rest for each item.

        The oldest items of the history are left out until all fits.

        Raises:
            UserError: the prompt does not fit even without a history.
        """
        for start in range(len(history) + 1):
            asked = [questions.ask(history[start:], item) for item in items]
            before = self.tokenizer(asked[0][0])["input_ids"] or [self.tokenizer.eos_token_id]
            rest = self.tokenizer([text for _, text in asked], add_special_tokens=False)
            suffixes: list[list[int]] = rest["input_ids"]
            needed = len(before) + max(map(len, suffixes))
            if needed <= self.at_most:
                return before, suffixes
        raise UserError(
            f"{self.key}: the prompt takes {needed} tokens without any history, and the model "
            f"reads {self.at_most:g}; shorten it, or the texts of items (reranking.item_chars)"
        )


def train_pairs(
    domain: Domain, texts: list[str | None], n: int, seed: int
) -> list[tuple[Tensor, int, int]]:
    """(history, the item that came next, an item that the user does not have) from train alone.

    The other item is drawn by popularity, as chosen items are: the history alone tells them apart.

    Args:
        domain: the target.
        texts: by item code; items without text are not asked about.
        n: how many triples; fewer where train has fewer events that follow another.
        seed: of the draws.
    """
    train, generator = domain.train, np.random.default_rng(seed)
    rows = torch.repeat_interleave(torch.arange(len(train.users)), train.lengths)
    follows = torch.arange(len(train.items)) > train.offsets[rows]
    readable = torch.tensor([text is not None for text in texts])
    events = (train.own & follows & readable[train.items]).nonzero().squeeze(1).numpy()
    counts = domain.item_counts().double() * readable[: domain.n_items]
    share = (counts / counts.sum()).numpy()
    triples = []
    for event in generator.permutation(events)[:n].tolist():
        first, end = train.offsets[rows[event]], train.offsets[rows[event] + 1]
        has = set(train.items[first:end].tolist())
        drawn = generator.choice(domain.n_items, size=32, p=share).tolist()
        other = next((item for item in drawn if item not in has), None)
        if other is not None:
            triples.append((train.items[first:event], int(train.items[event]), other))
    return triples
