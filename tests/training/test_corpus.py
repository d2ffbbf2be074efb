"""A corpus of one's own: tokenized once into a file, and read beside the domains' texts."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from transformers import AutoModelForCausalLM

from crossrec.encoders.language_model import open_tokenizer
from crossrec.encoders.token_file import Joined, TokenFile, in_blocks, tokens_of, write_tokens
from crossrec.training.material import Material

Learn = Callable[..., dict[str, Any]]


@pytest.mark.parametrize("end", [None, 3])
def test_what_is_written_is_read(
    gpt: Path, texts: list[str], tmp_path: Path, end: int | None
) -> None:
    tokenizer = open_tokenizer(gpt)
    write_tokens(tmp_path, in_blocks(texts, 7), tokenizer, 5, end)
    expected = tokens_of(tokenizer, texts, 5, end)
    file = TokenFile(tmp_path)
    assert list(file) == expected
    assert file[3:5] == expected[3:5]
    assert file.lengths().tolist() == [len(ids) for ids in expected]
    assert json.loads((tmp_path / "tokens.json").read_text())["tokens"] == sum(map(len, expected))
    both = Joined(expected[:2], file)
    assert len(both) == 402
    assert both[1:4] == [expected[1], expected[0], expected[1]]


def test_only_one_block_is_in_memory(gpt: Path, texts: list[str], tmp_path: Path) -> None:
    """A block is asked for when the one before it is written."""
    written = []

    def blocks() -> Any:
        for start in range(0, 40, 20):
            written.append((tmp_path / "ends.bin").exists() and start)
            yield texts[start : start + 20]

    write_tokens(tmp_path, blocks(), open_tokenizer(gpt), 9, None)
    assert written == [0, 20]
    assert isinstance(TokenFile(tmp_path)._tokens, np.memmap)


@pytest.mark.parametrize("options", [{}, {"packing": True, "max_length": 16}])
def test_what_only_a_corpus_says_is_learned(
    learn: Learn, gpt: Path, texts: list[str], tmp_path: Path, options: dict[str, Any]
) -> None:
    """The domains' texts say nothing of colors; the corpus says that what is blue is a pan."""
    tokenizer = open_tokenizer(gpt)
    write_tokens(tmp_path, [texts], tokenizer, 16, tokenizer.eos_token_id)
    own = [text.split(maxsplit=2)[2] for text in texts[:50]]
    material = Material(own, corpus=TokenFile(tmp_path))
    learn(material, gpt, tmp_path / "out", 80, learning_rate=1e-2, meaning_weight=0.0, **options)
    network = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    prompt = tokenizer("blue", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(network(prompt).logits[0, -1].argmax()) == "pan"


def test_simcse_reads_a_corpus(learn: Learn, bert: Path, texts: list[str], tmp_path: Path) -> None:
    write_tokens(tmp_path, [texts[100:]], open_tokenizer(bert), 16, None)
    material = Material(texts[:100], corpus=TokenFile(tmp_path))
    account = learn(material, bert, tmp_path / "out", 3, objective="simcse", batch_tokens=64)
    assert account["steps"] == 3
