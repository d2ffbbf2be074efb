"""SimCSE: two readings of a text differ by dropout alone, and it has to find its other one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import BertForMaskedLM

from crossrec.encoders.encode import encode
from crossrec.encoders.language_head import open_with_head
from crossrec.errors import UserError
from crossrec.training.contrast import SimCSE
from crossrec.training.text_vectors import MEAN, bucketed, measured_vectors, text_vectors

Learn = Callable[..., dict[str, Any]]


def test_texts_move_apart(learn: Learn, bert: Path, texts: list[str], tmp_path: Path) -> None:
    options = {"objective": "simcse", "learning_rate": 1e-3, "batch_tokens": 512}
    account = learn(texts, bert, tmp_path, 15, **options)
    assert account["steps"] == 15
    assert "perplexity_before" not in account
    alike = {}
    for name, folder in (("before", bert), ("after", tmp_path)):
        vectors = encode(texts, folder)[0]
        alike[name] = float((vectors @ vectors.T).mean())
    assert alike["after"] < alike["before"] - 0.2  # uniformity, Wang and Isola (2020)


WITHOUT_DROPOUT = {"hidden_dropout_prob": 0, "attention_probs_dropout_prob": 0}


def test_the_loss_is_minus_log_softmax_of_the_pairs(bert: Path) -> None:
    """Without dropout both readings are one: -log softmax of each row's own cosine."""
    network = BertForMaskedLM.from_pretrained(
        bert, hidden_dropout_prob=0, attention_probs_dropout_prob=0
    )
    task = SimCSE([[2, 7, 3], [2, 8, 9, 3]], 1, 20, 0.5, MEAN, 0)
    batch = task.batches[0]
    loss, _ = task.loss(network, batch, 0)
    vectors = text_vectors(network, batch, MEAN)
    cosine = float(vectors[0].detach() @ vectors[1].detach())
    expected = np.log(1 + np.exp((cosine - 1) / 0.5))
    assert loss.item() == pytest.approx(expected, rel=1e-5)


def test_no_text_is_in_a_batch_twice() -> None:
    task = SimCSE([[2, n, 3] for n in range(5, 12)], 9, 9, 0.5, MEAN, 0)
    assert len(task.batches) == 9
    seen = []
    for number in range(9):
        ids = [row[1] for part, _ in task.batches[number].parts for row in part.tolist()]
        assert len(set(ids)) == len(ids) <= 3
        seen += ids
    assert sorted(seen[:7]) == sorted(seen[7:14]) == list(range(5, 12))


def test_dropout_depends_on_the_number_of_the_batch_alone(bert: Path) -> None:
    task = SimCSE([[2, 7, 3], [2, 8, 9, 3], [2, 6, 3]], 2, 20, 0.05, MEAN, 0)
    network = BertForMaskedLM.from_pretrained(bert)
    losses = [task.loss(network, task.batches[0], number)[0].item() for number in (3, 4, 3)]
    assert losses[0] == losses[2] != losses[1]
    assert not network.training


def test_a_model_without_dropout_is_refused(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path
) -> None:
    network = BertForMaskedLM.from_pretrained(
        bert, hidden_dropout_prob=0, attention_probs_dropout_prob=0
    )
    network.save_pretrained(tmp_path / "still")
    for file in bert.glob("tokenizer*"):
        (tmp_path / "still" / file.name).write_bytes(file.read_bytes())
    with pytest.raises(UserError, match="simcse needs dropout, which this bert model has none of"):
        learn(texts, tmp_path / "still", tmp_path / "out", 2, objective="simcse")


def test_vectors_do_not_depend_on_their_parts(bert: Path) -> None:
    tokens = [[2, *range(5, 5 + n), 3] for n in (1, 9, 4, 9, 2)]
    network = open_with_head(bert, "masked", seed=0)[0]
    whole = text_vectors(network, bucketed(tokens, 1000), MEAN)
    parts = text_vectors(network, bucketed(tokens, 12), MEAN)
    assert len(bucketed(tokens, 12).parts) == 4
    torch.testing.assert_close(whole, parts)
    torch.testing.assert_close(measured_vectors(network, tokens, MEAN), whole)
    torch.testing.assert_close(whole.norm(dim=1), torch.ones(5))
