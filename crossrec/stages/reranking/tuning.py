"""The stage in which a judge learns from train what users choose."""

import json
import logging
from pathlib import Path
from typing import Any

from crossrec.encoders.likelihood import answer_tokens, open_causal
from crossrec.errors import UserError
from crossrec.lineage import code_behind
from crossrec.stages.reranking.asking import Questions, Tokens, train_pairs
from crossrec.stages.reranking.language_judge import MODEL, PROMPT
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.stages.trainers import trainer_of
from crossrec.training.judge_tuning import Example, tune_judge

log = logging.getLogger(__name__)
HELD_OUT = 32  # pairs of train that say whether tuning taught anything


def tuned(
    settings: Settings,
    staging: Staging,
    questions: Questions,
    model: Path,
    reads: dict[str, Any],
) -> Path:
    """A language model, LoRA-tuned on train: Yes for the item that came next, No for another.

    Args:
        questions: what it is asked.
        model: folder of the model to begin with.
        reads: what model and questions depend on, for the artifact's key.

    Returns:
        The tuned model's folder.

    Raises:
        UserError: train has too few events that follow another.
    """
    o = settings.reranking

    def make(folder: Path) -> None:
        network, tokenizer = open_causal(model, MODEL)
        tokens = Tokens.of(network, tokenizer, PROMPT)
        answers = answer_tokens(tokenizer, questions.prompt.text, MODEL)
        wanted = o["tune_steps"] * max(1, o["tune_examples"] // 2) + HELD_OUT
        pairs = []
        for past, *items in train_pairs(questions.domain, questions.texts, wanted, settings.seed):
            asked = [questions.texts[item] or "" for item in items]
            before, rest = tokens.of_user(questions, questions.told(past), asked)
            chosen, other = (before + suffix for suffix in rest)
            pairs.append((Example(chosen, True), Example(other, False)))
        if len(pairs) < 2:
            raise UserError(
                "reranking.tune_steps: train has fewer than two events with a text that follow "
                "another; use reranking.tune_steps=0"
            )
        n_held_out = min(HELD_OUT, max(1, len(pairs) // 4))
        limits = {"max_steps": o["tune_steps"], "max_epochs": -1}
        account = tune_judge(
            pairs[n_held_out:],
            pairs[:n_held_out],
            network,
            tokenizer,
            answers,
            folder,
            # One process: a bounded stage does not earn the start of several.
            trainer_of(settings, "tune")([], devices=1, strategy="auto", **limits),
            examples=o["tune_examples"],
            rank=o["tune_rank"],
            layers=o["tune_layers"],
            learning_rate=o["tune_learning_rate"],
            seed=settings.seed,
        )
        (folder / "tuning.json").write_text(json.dumps(account, indent=1) + "\n")

    inputs = {
        **reads,
        "tuning": {key: value for key, value in o.items() if key.startswith("tune_")},
        "precision": settings.trainer.config["precision"],
    }
    folder = staging.stage("tune", code_behind("crossrec.stages.reranking.tuning"), inputs, make)
    account = json.loads((folder / "tuning.json").read_text())
    before, after = account["auc_before"], account["auc_after"]
    log.info("           AUC of held-out train events %.3f -> %.3f", before, after)
    return folder
