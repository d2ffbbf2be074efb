"""Content vectors of two catalogs: one space, one scale, and no vector without text."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crossrec.encoders.content import Content, encode_later, read_content, write_content
from crossrec.encoders.language_model import LanguageModel
from crossrec.errors import UserError

OPTIONS = {"max_length": 16, "batch_tokens": 64, "dtype": "float32", "device": "cpu"}
SOURCE = ["red pan", None, "oak chair"]
TARGET = ["red lamp", "red pan"]
ALL = [np.ones(3, dtype=bool), np.ones(2, dtype=bool)]


@pytest.mark.parametrize("whitening", ["none", "pca", "whiten"])
def test_catalogs_share_one_space(tmp_path: Path, tiny_bert: Path, whitening: str) -> None:
    model = LanguageModel(tiny_bert, "mean")
    write_content(tmp_path, [SOURCE, TARGET], ALL, model, whitening, 2, **OPTIONS)
    content = read_content(tmp_path)
    assert content.source is not None
    assert content.target is not None
    assert (len(content.source), len(content.target)) == (3, 2)
    assert content.source[1].abs().sum() == 0
    assert torch.allclose(content.source[0], content.target[1], atol=1e-5)
    described = torch.cat([content.source[[0, 2]], content.target])
    assert np.isclose(described.norm(dim=1).mean(), 1.0, atol=1e-5)
    assert content.of_target(False).shape[0] == 2
    assert torch.equal(content.of_target(True)[2:], content.source)


@pytest.mark.parametrize("whitening", ["none", "pca", "whiten"])
def test_an_item_that_is_not_in_train_moves_no_vector(
    tmp_path: Path, tiny_bert: Path, whitening: str
) -> None:
    model = LanguageModel(tiny_bert, "mean")
    others = {}
    for unseen in ("blue sofa bed", "zz zz zz"):
        texts, learned = [SOURCE, [*TARGET, unseen]], [ALL[0], np.array([True, True, False])]
        write_content(tmp_path, texts, learned, model, whitening, 1, **OPTIONS)
        content = read_content(tmp_path)
        assert content.source is not None
        assert content.target is not None
        others[unseen] = torch.cat([content.source, content.target[:2]])
    assert torch.allclose(*others.values(), atol=1e-5)


@pytest.mark.parametrize(
    ("whitening", "max_length"), [("none", 16), ("whiten", 16), ("whiten", "auto")]
)
def test_an_item_that_comes_later_gets_the_vector_that_it_would_have_had(
    tmp_path: Path, tiny_bert: Path, whitening: str, max_length: int | str
) -> None:
    model = LanguageModel(tiny_bert, "mean")
    texts, learned = [SOURCE, [*TARGET, "blue pan"]], [ALL[0], np.array([True, True, False])]
    options = {**OPTIONS, "max_length": max_length}
    write_content(tmp_path, texts, learned, model, whitening, 2, **options)
    content = read_content(tmp_path)
    assert content.target is not None
    del options["max_length"]
    later = encode_later(tmp_path, ["blue pan", "red pan"], model, **options)
    torch.testing.assert_close(later, content.target[[2, 1]], rtol=1e-4, atol=1e-5)


def test_no_text_at_all_is_refused(tmp_path: Path, tiny_bert: Path) -> None:
    with pytest.raises(UserError, match="use encoder=none"):
        write_content(
            tmp_path,
            [[None] * 3, [None] * 2],
            ALL,
            LanguageModel(tiny_bert, "mean"),
            "none",
            None,
            **OPTIONS,
        )


def test_without_an_encoder_there_are_no_vectors() -> None:
    assert Content(None, None, None).of_target(True) is None
