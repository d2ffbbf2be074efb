"""What was asked about held-out users, and what it comes to, by hand."""

from pathlib import Path

import numpy as np
import pytest
import torch

from crossrec.encoders.language_head import open_with_head
from crossrec.training import retrieval
from crossrec.training.retrieval import Retrieval
from crossrec.training.text_histories import TextHistories
from crossrec.training.text_vectors import MEAN


def histories(users: list[list[tuple[int, int]]]) -> TextHistories:
    events = [event for user in users for event in user]
    codes, domains = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    return TextHistories(list("abcdef"), codes, domains, np.cumsum([0, *map(len, users)]))


EVERYBODY = histories([[(0, 0), (1, 0), (4, 1)], [(2, 0), (3, 0)], [(5, 1), (4, 1)]])
ASKED = histories([[(0, 0), (1, 0), (4, 1)]])
VECTORS = torch.tensor([[1.0, 0.0], [0.8, 0.6], [0.96, 0.28], [0.0, 1.0], [0.6, 0.8], [1.0, 0.1]])


def measured(monkeypatch: pytest.MonkeyPatch, asked: Retrieval) -> retrieval.Measures:
    """With vectors by the texts' single tokens."""
    monkeypatch.setattr(
        retrieval,
        "measured_vectors",
        lambda network, tokens, pooling, share: VECTORS[[ids[0] for ids in tokens]],
    )
    return asked.measure(torch.nn.Identity())


def test_the_measures_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside 0 the user had 1: 2 is nearer, so that it has rank 2; beside 1 they had 0, again
    behind 2. From the source, 4 is the nearer one of two to 1, and behind 5 to 0."""
    asked = Retrieval(EVERYBODY, ASKED, [[n] for n in range(6)], MEAN, None, seed=0)
    found = measured(monkeypatch, asked)
    second = 1 / np.log2(3)
    assert found["source"]["ndcg@10"] == pytest.approx(second)
    assert found["source"]["recall@10"] == 1.0
    assert found["source"]["candidates"] == 4
    assert found["source"]["users"] == 1
    assert found["source"]["ndcg@10_low"] is None
    assert found["source to target"]["ndcg@10"] == pytest.approx((second + 1) / 2)
    # From 4 the user's 0 and 1 are wanted: 1 comes first, then 3, 2 and 0.
    ideal = 1 + second
    assert found["target to source"]["ndcg@10"] == pytest.approx((1 + 1 / np.log2(5)) / ideal)
    assert "target" not in found  # they had one item there


def test_a_catalog_can_be_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user had stays; of the rest as many as there is room for, by the seed."""
    tokens = [[n] for n in range(6)]
    cut = Retrieval(EVERYBODY, ASKED, tokens, MEAN, 4, seed=1)
    again = Retrieval(EVERYBODY, ASKED, tokens, MEAN, 4, seed=1)
    assert cut.tokens == again.tokens
    assert {0, 1, 4} < {ids[0] for ids in cut.tokens}
    assert len(cut.tokens) == 4
    assert len(Retrieval(EVERYBODY, ASKED, tokens, MEAN, 1, seed=1).tokens) == 3
    assert sum(map(len, cut.candidates.values())) == 4
    assert measured(monkeypatch, cut)["source"]["candidates"] in (2, 3)


def test_nobody_to_ask(bert: Path) -> None:
    nobody = histories([[(0, 0)]]).some(np.array([], dtype=np.int64))
    asked = Retrieval(EVERYBODY, nobody, [[5]] * 6, MEAN, None, seed=0)
    assert asked.measure(open_with_head(bert, "masked", seed=0)[0]) == {}


def test_a_network_that_has_learned_nothing_is_left_as_it_was(bert: Path) -> None:
    network = open_with_head(bert, "masked", seed=0)[0]
    before = {name: value.clone() for name, value in network.state_dict().items()}
    asked = Retrieval(EVERYBODY, ASKED, [[2, 5 + n, 3] for n in range(6)], MEAN, None, seed=0)
    assert asked.measure(network) == asked.measure(network)
    assert all(value.equal(before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
