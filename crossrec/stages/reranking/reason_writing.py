"""Reasons in a language model's own words, for a sample of users, kept where they hold."""

import logging
import re
from pathlib import Path

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, USER
from crossrec.encoders.generation import continue_texts
from crossrec.encoders.language_model import weights_digest
from crossrec.encoders.likelihood import locate_causal, open_causal
from crossrec.lineage import code_behind
from crossrec.stages.reasons import Explainer
from crossrec.stages.reranking.asking import item_texts
from crossrec.stages.reranking.prompting import Prompt
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import device_of

log = logging.getLogger(__name__)
KEY = "recommend.writer"
MAX_TOKENS = 24
ITEM_CHARS = 120
_WORD = re.compile(r"\w+")
_LEAST = 4  # letters of a word that says something


class ReasonWriter:
    """A causal language model that says what a recommended item and one of the history share.

    Args:
        settings: of the run; its recommend.writer names a model.
        staging: where artifacts are kept.

    Raises:
        UserError: the prompt or the model cannot be used.
    """

    def __init__(self, settings: Settings, staging: Staging) -> None:
        self.settings, self.staging = settings, staging
        options = settings.recommend
        self.prompt = Prompt.read(options["writer_prompt"], "recommend.writer_prompt", "reason")
        cache = settings.artifacts / "language_models"
        self.folder = locate_causal(options["writer"], KEY, cache)

    def rewrite(
        self, lists: pl.DataFrame, explainer: Explainer, data: Path, ranked_by: str
    ) -> pl.DataFrame:
        """The lists of the target, with the model's reasons for a sample of their users.

        A line is kept if it is `grounded`; the reason still names the item of the history. Else
        the reason stays what it was.

        Args:
            lists: what `recommend` gave.
            explainer: of the target.
            data: folder of the prepared pair.
            ranked_by: name of the artifact that ranked.
        """
        s = self.settings
        inputs = {
            "data": data.name,
            "ranked_by": ranked_by,
            "recommend": s.recommend,
            "text_fields": s.data["text_fields"],
            "model": weights_digest(self.folder),
            "prompt": self.prompt.text,
            "seed": s.seed,
        }

        def make(folder: Path) -> None:
            asked = self._sample(lists)
            named = explainer.items.select("domain", ITEM).iter_rows()
            texts = dict(zip(named, self._texts(data, explainer), strict=True))
            domain = explainer.domain.name
            pairs = [
                (texts[where, past] or "", texts[domain, item] or "")
                for where, past, item in asked.select(
                    "because_domain", "because_item_id", ITEM
                ).iter_rows()
            ]
            prompts = [self.prompt.filled(past, item, domain) for past, item in pairs]
            network, tokenizer = open_causal(self.folder, KEY, device_of(s))
            lines = map(first_sentence, continue_texts(network, tokenizer, prompts, MAX_TOKENS))
            kept = [
                line if grounded(line, *pair) else None
                for line, pair in zip(lines, pairs, strict=True)
            ]
            asked = asked.select(USER, ITEM, line=pl.Series(kept, dtype=pl.String))
            asked.write_parquet(folder / "reasons.parquet")

        code = code_behind("crossrec.stages.reranking.reason_writing")
        folder = self.staging.stage("reasons", code, inputs, make)
        written = pl.read_parquet(folder / "reasons.parquet")
        log.info(
            "           %d of %d lines hold, the others are as without a writer",
            written["line"].count(),
            len(written),
        )
        named = pl.col("reason").str.extract(r'^(Because of ".*": )')
        return (
            lists.join(written, on=[USER, ITEM], how="left", maintain_order="left")
            .with_columns(reason=pl.coalesce(named + pl.col("line"), "reason"))
            .drop("line")
        )

    def _sample(self, lists: pl.DataFrame) -> pl.DataFrame:
        """The recommendations of a sample of users that an item of their history speaks for."""
        reasoned = lists.drop_nulls("because_item_id")
        users = reasoned[USER].unique(maintain_order=True)
        draws = np.random.default_rng(self.settings.seed).permutation(len(users))
        chosen = users.gather(np.sort(draws[: self.settings.recommend["writer_users"]]))
        return reasoned.filter(pl.col(USER).is_in(chosen.implode()))

    def _texts(self, data: Path, explainer: Explainer) -> list[str | None]:
        """By code, as far as the domain's histories reach."""
        texts = item_texts(data, self.settings.data["text_fields"], ITEM_CHARS)
        return texts[: len(explainer.items)]


def first_sentence(text: str) -> str:
    """The first sentence of the first line that is not empty."""
    line = next((line.strip() for line in text.splitlines() if line.strip()), "")
    return re.split(r"(?<=[.!?])\s", line, maxsplit=1)[0]


def grounded(line: str, past: str, item: str) -> bool:
    """Whether a line that is said of two items says something of both, and nothing of one alone.

    It must have a word that stands in both texts. Its words that stand in one of them must stand in
    the other, too, and so must its numbers and its names (words with a capital that do not begin
    the line), which are invented where they stand in neither. An s at the end makes no difference.
    """
    texts = [{_plain(word) for word in _WORD.findall(text)} for text in (past, item)]
    both, either = texts[0] & texts[1], texts[0] | texts[1]
    words = _WORD.findall(line)
    said = {_plain(word) for word in words if len(word) >= _LEAST}
    facts = {_plain(word) for word in words if any(map(str.isdigit, word))}
    facts |= {_plain(word) for word in words[1:] if word[0].isupper()}
    return bool(said & both) and (said & either) | facts <= both


def _plain(word: str) -> str:
    return word.lower().removesuffix("s")
