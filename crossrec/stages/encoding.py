"""The stage in which models read, see and hear the items: text, pictures, sounds, or vectors."""

import json
import logging
from pathlib import Path

import numpy as np

from crossrec.data.storage import DOMAINS, in_train, read_items, read_reviews
from crossrec.encoders.content import Content, join, read_content, write_content
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.linear import fastest_dtype
from crossrec.encoders.media_files import MEDIA
from crossrec.encoders.text import compose, text_lengths
from crossrec.encoders.whitening import VectorMap
from crossrec.stages.sensing import given_vectors, sense
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of, processes_of

log = logging.getLogger(__name__)


def encode_items(
    settings: Settings,
    staging: Staging,
    data: Path,
    language_model: LanguageModel | None,
    vector_map: VectorMap | None = None,
) -> Content:
    """All that `content` lists -> content vectors (n_items, d_c) of mean length 1.

    Args:
        data: folder of the prepared pair.
        language_model: what `pretrain_encoder` gave.
        vector_map: that another owner's source vectors went through; None: it is fitted.
    """
    listed = settings.content
    parts = []
    if "text" in listed and language_model is not None:
        parts.append(encode_texts(settings, staging, data, language_model, vector_map))
    parts += [sense(settings, staging, data, medium) for medium in MEDIA if medium in listed]
    if "vectors" in listed:
        parts.append(given_vectors(settings, staging, data))
    return join(parts, listed["fusion"])


def encode_texts(
    settings: Settings,
    staging: Staging,
    data: Path,
    language_model: LanguageModel,
    vector_map: VectorMap | None = None,
) -> Content:
    """Item texts of both domains -> content vectors.

    Args:
        data: folder of the prepared pair.
        language_model: reads them.
        vector_map: as in `encode_items`.
    """
    s = settings
    asked = ("max_length", "batch_tokens", "dtype", "prefix", "layers", "whitening", "whiten_dim")
    options = {name: s.encoder[name] for name in asked}

    def make(folder: Path) -> None:
        items = [read_items(data, name) for name in DOMAINS]
        learned = [in_train(data, name) for name in DOMAINS]
        if s.is_private:  # of the source's catalog, which is public, whoever had what of it
            learned = [np.ones_like(learned[0]), np.zeros_like(learned[1])]
        fields = s.data["text_fields"]
        texts = [
            compose(table, fields, reviews=read_reviews(data, name))
            for table, name in zip(items, DOMAINS, strict=True)
        ]
        lengths = {n: text_lengths(t) for n, t in zip(DOMAINS, texts, strict=True)}
        (folder / "texts.json").write_text(json.dumps(lengths, indent=1) + "\n")
        write_content(
            folder,
            texts,
            learned,
            language_model,
            device=device_of(s),
            workers=s.encoder["workers"] or processes_of(s),
            cache=s.artifacts / "vectors",
            vector_map=vector_map,
            **options,
        )

    inputs = {
        "data": data.name,
        "text_fields": s.data["text_fields"],
        "model": weights_digest(language_model.folder),
        "pooling": language_model.pooling,
        "private": s.is_private,
        "map": None if vector_map is None else vector_map.digest(),
        **options,
        # What auto comes to is a matter of the machine, and of the model, which is named above.
        "fastest": fastest_dtype(device_of(s)) if options["dtype"] == "auto" else None,
    }
    content = staging.stage("encode", ("encoders",), inputs, make)
    for name, lengths in json.loads((content / "texts.json").read_text()).items():
        if not lengths["texts"]:  # another owner's domain
            continue
        words = lengths["words"]
        log.info(
            "           %s texts: %s words in the median, %s at most, %.0f%% without text",
            name,
            f"{words['p50']:g}",
            f"{words['max']:,}",
            100 * lengths["without_text"],
        )
    return read_content(content)
