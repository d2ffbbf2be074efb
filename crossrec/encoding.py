"""The stages in which a language model reads items: pretraining, and encoding their texts."""

import json
import logging
from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM
from crossrec.data.storage import DOMAINS, read_items, read_reviews, train_items
from crossrec.encoders.content import Content, read_content, write_content
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.text import compose, corpus, text_lengths
from crossrec.settings import Settings
from crossrec.staging import Staging
from crossrec.trainers import device_of, trainer_of
from crossrec.training.pretraining import pretrain

log = logging.getLogger(__name__)


def pretrain_encoder(settings: Settings, staging: Staging, data: Path) -> LanguageModel | None:
    """Continue the language model on the unlabeled texts of both domains, train alone.

    Args:
        data: folder of the prepared pair.

    Returns:
        The language model that reads items, None for encoder=none.
    """
    s = settings
    if s.encoder["model"] is None:
        return None
    cache = s.artifacts / "language_models"
    base = LanguageModel.locate(s.encoder["model"], s.encoder["pooling"], cache)
    if not s.pretraining["enabled"]:
        log.info("pretrain   off: the language model stays as it was published")
        return base
    options = {k: v for k, v in s.pretraining.items() if k not in ("enabled", "max_steps")}

    def make(folder: Path) -> None:
        # What no train event has is not read: its words would be of the held-out events.
        items = [
            read_items(data, name).filter(pl.col(ITEM).is_in(train_items(data, name).implode()))
            for name in DOMAINS
        ]
        reviews = [read_reviews(data, name) for name in DOMAINS]
        texts = corpus(pl.concat(items), pl.concat(reviews), s.data["text_fields"])
        limits = {"max_steps": s.pretraining["max_steps"], "max_epochs": -1}
        # One process: a bounded stage does not earn the start of several.
        trainer = trainer_of(s, "pretrain")([], devices=1, strategy="auto", **limits)
        account = pretrain(
            texts, base.folder, folder, trainer, pooling=base.pooling, seed=s.seed, **options
        )
        (folder / "pretraining.json").write_text(json.dumps(account, indent=1) + "\n")

    inputs = {
        "data": data.name,
        "text_fields": s.data["text_fields"],
        "model": weights_digest(base.folder),
        "pooling": base.pooling,
        "pretraining": s.pretraining,
        "precision": s.trainer.config["precision"],
        "seed": s.seed,
    }
    code = ("encoders", "training/pretraining.py", "training/language_modeling.py")
    folder = staging.stage("pretrain", code, inputs, make)
    account = json.loads((folder / "pretraining.json").read_text())
    before, after = account["perplexity_before"], account["perplexity_after"]
    log.info("           held-out perplexity %.4g -> %.4g", before, after)
    return LanguageModel(folder, base.pooling)


def encode_items(
    settings: Settings, staging: Staging, data: Path, language_model: LanguageModel | None
) -> Content:
    """Item texts of both domains -> content vectors (n_items, d_c) of mean length 1.

    Args:
        data: folder of the prepared pair.
        language_model: what `pretrain_encoder` gave.
    """
    if language_model is None:
        return Content(None, None, None)
    s = settings
    options = {k: s.encoder[k] for k in ("whiten_dim", "max_length", "batch_tokens", "dtype")}

    def make(folder: Path) -> None:
        items = [read_items(data, name) for name in DOMAINS]
        learned = [
            table[ITEM].is_in(train_items(data, name).implode()).to_numpy()
            for table, name in zip(items, DOMAINS, strict=True)
        ]
        fields = s.data["text_fields"]
        texts = [
            compose(table, fields, reviews=read_reviews(data, name))
            for table, name in zip(items, DOMAINS, strict=True)
        ]
        lengths = {n: text_lengths(t) for n, t in zip(DOMAINS, texts, strict=True)}
        (folder / "texts.json").write_text(json.dumps(lengths, indent=1) + "\n")
        write_content(folder, texts, learned, language_model, device=device_of(s), **options)

    inputs = {
        "data": data.name,
        "text_fields": s.data["text_fields"],
        "model": weights_digest(language_model.folder),
        "pooling": language_model.pooling,
        **options,
    }
    content = staging.stage("encode", ("encoders",), inputs, make)
    for name, lengths in json.loads((content / "texts.json").read_text()).items():
        words = lengths["words"]
        log.info(
            "           %s texts: %s words in the median, %s at most, %.0f%% without text",
            name,
            f"{words['p50']:g}",
            f"{words['max']:,}",
            100 * lengths["without_text"],
        )
    return read_content(content)
