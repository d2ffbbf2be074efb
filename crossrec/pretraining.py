"""The stage in which a language model goes on learning from the domains' own texts."""

import json
import logging
from pathlib import Path

import polars as pl

from crossrec.data.columns import ITEM
from crossrec.data.storage import DOMAINS, read_items, read_reviews, train_items
from crossrec.encoders.language_model import LanguageModel, weights_digest
from crossrec.encoders.text import corpus
from crossrec.settings import Settings
from crossrec.staging import Staging
from crossrec.trainers import trainer_of
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
