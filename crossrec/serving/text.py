"""How a new item is read: by the language model of the run, with what its encode stage fitted."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from torch import Tensor

from crossrec.data.columns import ITEM_COLUMNS
from crossrec.encoders.content import encode_later
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.text import compose
from crossrec.errors import UserError
from crossrec.integrity import RECORD
from crossrec.serving.problems import Problem
from crossrec.stages.settings import Settings
from crossrec.stages.trainers import device_of


class NoText(Problem):
    """An item has no text that the language model would read."""

    status = 422


@dataclass(frozen=True)
class Reader:
    """Texts of items -> content vectors, the same ones as the encode stage would have made.

    Attributes:
        encoded: what the encode stage made.
        language_model: that read the items.
        fields: of an item that are read.
        options: of the encoding.
    """

    encoded: Path
    language_model: LanguageModel
    fields: Sequence[str]
    options: Mapping[str, Any]

    @classmethod
    def of(cls, settings: Settings, encoded: Path, pretrained: Path | None) -> "Reader":
        """The reader of a run.

        Args:
            encoded, pretrained: what the stages encode and pretrain made, if there was the latter.

        Raises:
            UserError: the language model is not the one that read the items, or none is here.
        """
        inputs = json.loads((encoded / RECORD).read_text())["inputs"]
        if pretrained is None:
            name, cache = settings.encoder["model"], settings.artifacts / "language_models"
            folder = LanguageModel.locate(name, inputs["pooling"], cache).folder
        else:
            folder = pretrained
        if weights_digest(folder) != inputs["model"]:
            raise UserError(f"{folder} is not the language model that read this run's items")
        options = {key: inputs[key] for key in ("batch_tokens", "dtype", "prefix", "layers")}
        options["device"] = device_of(settings)
        model = LanguageModel(folder, inputs["pooling"])
        return cls(encoded, model, settings.data["text_fields"], options)

    def vectors(self, items: Sequence[Mapping[str, str]]) -> Tensor:
        """(items, d_c) vectors of items, each of which names some of the columns of items.

        Raises:
            NoText: an item has none of the fields that are read.
        """
        schema = dict.fromkeys(ITEM_COLUMNS, pl.String)
        texts = compose(pl.DataFrame(items, schema=schema), self.fields)
        written = [text for text in texts if text is not None]
        if len(written) < len(texts):
            place = texts.index(None)
            raise NoText(
                f"item {items[place]['item_id']!r} has no text: give at least one of "
                f"{', '.join(self.fields)}"
            )
        return encode_later(self.encoded, written, self.language_model, **self.options)
