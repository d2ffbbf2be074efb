"""The stage in which a language model goes on learning from the domains' own texts."""

import json
import logging
from pathlib import Path
from typing import Any

import polars as pl

from crossrec.data.columns import ITEM
from crossrec.data.storage import DOMAINS, read_items, read_reviews, train_items
from crossrec.data.text_files import text_blocks, text_files
from crossrec.data.train_histories import DOMAIN, train_histories
from crossrec.encoders.field_spans import field_spans
from crossrec.encoders.language_model import (
    LanguageModel,
    file_digest,
    open_tokenizer,
    weights_digest,
)
from crossrec.encoders.sentence_folder import prefix_of, said
from crossrec.encoders.text import compose, corpus
from crossrec.encoders.token_file import TokenFile, write_tokens
from crossrec.errors import UserError
from crossrec.lineage import code_behind
from crossrec.stages.curves import keep_curve, show_curve
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import sharded, shards, trainer_of
from crossrec.training.material import Material
from crossrec.training.options import PretrainingOptions
from crossrec.training.pretraining import pretrain
from crossrec.training.pretraining_tasks import end_of, kind_of
from crossrec.training.text_histories import TEXT, TextHistories
from crossrec.training.text_vectors import Pooling
from crossrec.world import n_ranks

log = logging.getLogger(__name__)
MODULES = (
    "crossrec.training.pretraining",
    "crossrec.data.train_histories",
    "crossrec.data.text_files",
    "crossrec.encoders.text",
)
ACCOUNT = "pretraining.json"  # what was measured before and after, in the artifact and the run
# The stage's own settings, and one that changes nothing of what it makes.
NO_OPTIONS = ("enabled", "max_steps", "corpus")
NO_INPUTS = ("corpus", "checkpoint_every")


def pretrain_encoder(settings: Settings, staging: Staging, data: Path) -> LanguageModel | None:
    """Continue the language model on unlabeled texts and train histories of both domains.

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
    options = PretrainingOptions(**{k: v for k, v in s.pretraining.items() if k not in NO_OPTIONS})
    prefix = s.encoder["prefix"]
    prefix = prefix_of(base.folder) if prefix is None else prefix
    tokens = _tokens_of_corpus(settings, staging, base, options, prefix)
    code = code_behind(*MODULES)
    inputs = {
        "data": data.name,
        "text_fields": s.data["text_fields"],
        "model": weights_digest(base.folder),
        "pooling": base.pooling,
        "layers": s.encoder["layers"],
        "prefix": prefix,
        "pretraining": {k: v for k, v in s.pretraining.items() if k not in NO_INPUTS},
        "corpus": tokens and tokens.name,
        "precision": s.trainer.config["precision"],
        "seed": s.seed,
    }
    if options.objective == "simcse" and shards(s.trainer):
        inputs["ranks"] = n_ranks()  # each draws what it drops; else their number changes nothing
    checkpoint = staging.progress("pretrain", code, inputs)

    def make(folder: Path) -> None:
        material = _material(data, s.data["text_fields"], options, tokens)
        limits = {"max_steps": s.pretraining["max_steps"], "max_epochs": -1}
        trainer = trainer_of(s, "pretrain")([], **sharded(s.trainer), **limits)
        account = pretrain(
            material,
            base.folder,
            folder,
            trainer,
            options,
            Pooling(base.pooling, tuple(s.encoder["layers"])),
            prefix,
            s.seed,
            checkpoint,
        )
        (folder / ACCOUNT).write_text(json.dumps(account, indent=1) + "\n")
        keep_curve(s.run_folder, "pretrain", folder)

    folder = staging.stage("pretrain", code, inputs, make, together=shards(s.trainer))
    show_curve(folder, s.run_folder, "pretrain")
    account = (folder / ACCOUNT).read_text()
    (s.run_folder / ACCOUNT).write_text(account)
    for line in _told(json.loads(account)):
        log.info("           %s", line)
    return LanguageModel(folder, base.pooling)


def _material(
    data: Path, fields: list[str], options: PretrainingOptions, tokens: Path | None
) -> Material:
    """What train events say, and no others: their items' texts, their reviews, their order."""
    # What no train event has is not read: its words would be of the held-out events.
    items = [
        read_items(data, name).filter(pl.col(ITEM).is_in(train_items(data, name).implode()))
        for name in DOMAINS
    ]
    reviews = [read_reviews(data, name) for name in DOMAINS]
    texts = [
        compose(table, fields, reviews=written)
        for table, written in zip(items, reviews, strict=True)
    ]
    texts_of = pl.concat(
        table.select(pl.lit(name).alias(DOMAIN), ITEM, pl.Series(TEXT, of_items, dtype=pl.String))
        for name, table, of_items in zip(DOMAINS, items, texts, strict=True)
    )
    spans = [
        field_spans(table, of_items) if options.masking == "fields" else {}
        for table, of_items in zip(items, texts, strict=True)
    ]
    return Material(
        texts=corpus(pl.concat(items), pl.concat(reviews), fields),
        fields=spans[0] | spans[1],
        histories=TextHistories.of(train_histories(data), texts_of),
        corpus=TokenFile(tokens) if tokens else None,
    )


def _tokens_of_corpus(
    settings: Settings,
    staging: Staging,
    base: LanguageModel,
    options: PretrainingOptions,
    prefix: str,
) -> Path | None:
    """The artifact of the tokens of `pretraining.corpus`, None where there is none.

    Raises:
        UserError: the corpus cannot be read, or nothing would read it.
    """
    if settings.pretraining["corpus"] is None:
        return None
    if options.objective == "cooccurrence" and not options.language_weight:
        raise UserError(
            "pretraining.corpus has no histories for pretraining.objective=cooccurrence: set "
            "pretraining.language_weight above 0 to model its language as well, or leave it out"
        )
    files = text_files(Path(settings.pretraining["corpus"]).expanduser())
    tokenizer = open_tokenizer(base.folder)
    end = None if options.contrasts else end_of(tokenizer, kind_of(options, base.folder))
    vectors = options.objective == "simcse"  # are made of the corpus, too
    prefix = prefix if vectors else ""

    def make(folder: Path) -> None:
        blocks = text_blocks(files)
        read = (said(block, base.folder, prefix) for block in blocks) if vectors else blocks
        write_tokens(folder, read, tokenizer, options.max_length, end)

    inputs = {
        "files": [file_digest(file) for file in files],
        "model": weights_digest(base.folder),
        "max_length": options.max_length,
        "end": end,
        "prefix": prefix,
    }
    code = code_behind("crossrec.data.text_files", "crossrec.encoders.token_file")
    return staging.stage("corpus", code, inputs, make)


def _told(account: dict[str, Any]) -> list[str]:
    """What was measured before and after, in lines."""
    lines = []
    if "perplexity_before" in account:
        before, after = account["perplexity_before"], account["perplexity_after"]
        hits = account["accuracy_before"], account["accuracy_after"]
        lines.append(
            f"held-out perplexity {before:.4g} -> {after:.4g}, "
            f"accuracy {hits[0]:.3f} -> {hits[1]:.3f}"
        )
    for direction, before in account.get("retrieval_before", {}).items():
        after = account["retrieval_after"][direction]
        lines.append(
            f"beside an item, {direction}: ndcg@10 {before['ndcg@10']:.4f} -> "
            f"{after['ndcg@10']:.4f} ({before['users']} held-out users)"
        )
    return lines
