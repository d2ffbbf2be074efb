"""A language model's reasons are kept only where they hold."""

from pathlib import Path

import pytest

from crossrec.encoders.generation import continue_texts
from crossrec.encoders.likelihood import open_causal
from crossrec.stages.reranking.reason_writing import first_sentence, grounded

PAST, ITEM = "Acme Copper Kettle, 2 Quart, Retro", "Acme Steel Saucepan, 2 Quart, Retro"


@pytest.mark.parametrize(
    ("line", "holds"),
    [
        ("Both are retro and by Acme.", True),
        ("Both hold 2 quart", True),
        ("Both are made by ACME", True),
        ("Both are copper ware by Acme.", False),  # only the kettle is
        ("Both are retro and by Ohmstead.", False),  # who is that?
        ("Both hold 3 quart", False),
        ("You will love it!", False),  # says nothing of them
        ("", False),
        ("Retro", True),
        ("Both hold quarts.", True),
    ],
)
def test_what_is_kept(line: str, holds: bool) -> None:
    assert grounded(line, PAST, ITEM) is holds


def test_a_line_is_one_sentence() -> None:
    assert first_sentence("\n  Both are 2.5 quart. Also nice.\nChosen before:") == (
        "Both are 2.5 quart."
    )
    assert first_sentence(" \n ") == ""


def test_what_is_written_does_not_depend_on_the_batch(judge_folder: Path) -> None:
    network, tokenizer = open_causal(judge_folder, "k")
    texts = ["chair of oak", "customer", "the latest answer of a product"]
    together = continue_texts(network, tokenizer, texts, 6)
    assert together == [continue_texts(network, tokenizer, [text], 6)[0] for text in texts]
    assert all(text not in line for text, line in zip(texts, together, strict=True))
    assert any(together)
