"""A causal language model that judges items for a user."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from crossrec.data.columns import PAD
from crossrec.encoders.likelihood import answer_tokens, log_likelihood, open_causal, yes_over_no
from crossrec.errors import UserError
from crossrec.stages.reranking.asking import Questions, Tokens
from crossrec.stages.reranking.prompting import Prompt

MODEL, PROMPT = "reranking.model", "reranking.prompt"  # the settings, for what is said of mistakes


class Judge:
    """A causal language model that is asked about one user's items at a time.

    Args:
        folder: of the model.
        score: yes_no or likelihood.
        dtype, device: in what type and where it computes.
        questions: what it is asked.
    """

    def __init__(
        self, folder: Path, score: str, dtype: str, device: str, questions: Questions
    ) -> None:
        self.network, self.tokenizer = open_causal(folder, MODEL, device, dtype)
        self.tokens = Tokens.of(self.network, self.tokenizer, PROMPT)
        self.questions = questions
        self.answers = None
        if score == "yes_no":
            prompt = questions.prompt.text
            self.answers = answer_tokens(self.tokenizer, prompt, MODEL)

    def opinion(self, history: list[str], items: Tensor) -> Tensor:
        """(K,) scores of items by code; NaN for those without a text, and for PAD."""
        texts = [self.questions.texts[item] if item != PAD else None for item in items.tolist()]
        readable = torch.tensor([text is not None for text in texts])
        scores = torch.full((len(texts),), torch.nan)
        asked = [text for text in texts if text is not None]
        if not asked:
            return scores
        before, rest = self.tokens.of_user(self.questions, history, asked)
        if self.answers is not None:
            scores[readable] = yes_over_no(self.network, before, rest, self.answers)
        else:
            scores[readable] = log_likelihood(self.network, before, rest)
        return scores


def read_judge_prompt(options: dict[str, Any]) -> Prompt:
    """The prompt of the configured score.

    Raises:
        UserError: it cannot be read, or does not suit the score.
    """
    score, file = options["score"], options["prompt"]
    prompt = Prompt.read(file, PROMPT, score)
    if score == "likelihood" and not prompt.text.endswith("{item}"):
        raise UserError(
            f"reranking.prompt={file}: it must end with {{item}}, whose likelihood is the score; "
            "or use reranking.score=yes_no"
        )
    if score == "likelihood" and options["tune_steps"]:
        raise UserError(
            "reranking.tune_steps teaches to answer Yes or No: use reranking.score=yes_no"
        )
    return prompt
