"""What a language model is pretrained on, and the language model that reads it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from crossrec.encoders.token_file import TokenFile
from crossrec.encoders.token_targets import Span
from crossrec.training.text_histories import TextHistories
from crossrec.training.text_vectors import Pooling


@dataclass(frozen=True)
class Material:
    """All that a language model may learn from: train data, and texts of one's own.

    Attributes:
        texts: distinct texts of the domains' items and reviews.
        fields: text -> where its fields stand, in characters (see `field_spans`).
        histories: what users had; None where nobody is known.
        corpus: more texts, tokenized for the same model, length and objective.
    """

    texts: Sequence[str]
    fields: Mapping[str, Sequence[Span]] = field(default_factory=dict)
    histories: TextHistories | None = None
    corpus: TokenFile | None = None


@dataclass(frozen=True)
class Reader:
    """A language model in training, and how much of it there is to be.

    Attributes:
        network: with its language-modeling head.
        tokenizer: of the network.
        kind: "masked" or "causal", what its head does.
        pooling: how texts' vectors are made.
        said: texts as they are read where their vectors are made: after the encoder's prefix, say.
        n_batches: in all.
        head_batches: the first ones, in which only the head learns.
        seed: of all draws.
    """

    network: PreTrainedModel
    tokenizer: PreTrainedTokenizerBase
    kind: str
    pooling: Pooling
    said: Callable[[Sequence[str]], list[str]]
    n_batches: int
    head_batches: int
    seed: int
