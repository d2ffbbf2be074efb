"""Co-occurrence: which texts are alike, which are no negatives, and what the loss is."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModel

from crossrec.encoders.encode import encode
from crossrec.encoders.language_head import open_with_head
from crossrec.errors import UserError
from crossrec.training.contrast import info_nce
from crossrec.training.cooccurrence import Cooccurrence, WindowBatches, plan_windows, window_around
from crossrec.training.material import Material
from crossrec.training.text_histories import TextHistories
from crossrec.training.text_vectors import MEAN, Pooling, text_vectors

Learn = Callable[..., dict[str, Any]]


def histories_of(users: list[list[tuple[int, int]]], texts: list[str]) -> TextHistories:
    """From (text, domain) of each user's events."""
    events = [event for user in users for event in user]
    codes, domains = (np.array(column, dtype=np.int64) for column in zip(*events, strict=True))
    return TextHistories(texts, codes, domains, np.cumsum([0, *map(len, users)]))


@pytest.fixture(scope="module")
def of_numbers(texts: list[str]) -> TextHistories:
    """Two hundred people of ten tastes: each likes what has one first number, in both domains."""
    rng = np.random.default_rng(0)
    order = sorted(range(len(texts)), key=lambda n: texts[n].split()[3])
    users = []
    for person in range(200):
        liked = order[40 * (person % 10) : 40 * (person % 10 + 1)]
        users.append([(liked[n], n % 2) for n in rng.permutation(40)[:6].tolist()])
    return histories_of(users, texts)


def test_histories_of_events() -> None:
    """Items of one text are one, an item without text is left out, order stays."""
    rows = [("a", "source", "s2"), ("a", "target", "t1"), ("a", "source", "s1"),
            ("b", "target", "t2"), ("b", "target", "t1"), ("c", "source", "s3")]  # fmt: skip
    texts = [("source", "s1", "lamp"), ("source", "s2", "oak"), ("source", "s3", None),
             ("target", "t1", "lamp"), ("target", "t2", "pan")]  # fmt: skip
    made = TextHistories.of(
        pl.DataFrame(rows, schema=["user_id", "domain", "item_id"], orient="row"),
        pl.DataFrame(texts, schema=["domain", "item_id", "text"], orient="row"),
    )
    assert made.texts == ["lamp", "oak", "pan"]
    assert made.codes.tolist() == [1, 0, 0, 2, 0]
    assert made.domains.tolist() == [0, 1, 0, 1, 1]
    assert made.offsets.tolist() == [0, 3, 5]
    assert made.matrix().toarray().tolist() == [[1, 1, 0], [1, 0, 1]]
    empty = TextHistories.of(
        pl.DataFrame(rows[5:], schema=["user_id", "domain", "item_id"], orient="row"),
        pl.DataFrame(texts, schema=["domain", "item_id", "text"], orient="row"),
    )
    assert len(empty) == 0
    assert len(empty.able()) == 0


@given(st.integers(0, 2**32 - 1), st.floats(0.0, 1.0), st.integers(0, 20))
def test_held_out_users_are_others(seed: int, share: float, most: int) -> None:
    users = [[(user, 0), (user + 1, 1)] for user in range(30)] + [[(5, 0), (5, 1)]]
    histories = histories_of(users, [str(n) for n in range(31)])
    train, held_out = histories.hold_out(share, most, seed)
    assert len(held_out) == min(most, round(30 * share))
    both = sorted(tuple(part.user(n)[0]) for part in (train, held_out) for n in range(len(part)))
    assert both == sorted(tuple(histories.user(n)[0]) for n in range(31))
    assert (5, 5) not in [tuple(held_out.user(n)[0]) for n in range(len(held_out))]


def test_a_window_holds_both_domains() -> None:
    codes, domains = np.arange(10), np.array([0] * 7 + [1] * 3)
    assert window_around(codes, domains, 1, 4).tolist() == [0, 1, 7, 8]
    assert window_around(codes, domains, 9, 4).tolist() == [5, 6, 8, 9]
    assert window_around(codes[:7], domains[:7], 3, 3).tolist() == [2, 3, 4]
    assert window_around(np.array([4, 4, 4]), np.zeros(3), 1, 3).tolist() == [4]
    assert window_around(codes, domains, 0, 2).tolist() == [0, 7]


def test_what_is_alike_and_what_is_no_negative() -> None:
    users = [[(0, 0), (1, 0)], [(2, 0), (3, 1)], [(1, 0), (3, 1)]]
    histories = histories_of(users, list("abcd"))
    plan = [[np.array([0, 1]), np.array([2, 3])]]
    tokens = [[7], [8, 8], [9, 9, 9], [6]]
    batch = WindowBatches(histories, tokens, plan, 8)[0]
    alike = [[0, 1, 0, 0], [1, 0, 0, 0], [0, 0, 0, 1], [0, 0, 1, 0]]
    assert batch.together.int().tolist() == alike
    known = [[1, 1, 0, 0], [1, 1, 0, 1], [0, 0, 1, 1], [0, 1, 1, 1]]  # the third had 1 and 3
    assert batch.known.int().tolist() == known
    torch.testing.assert_close(
        batch.log_frequency, torch.tensor([1 / 3, 2 / 3, 1 / 3, 2 / 3]).log()
    )
    assert batch.texts.n_tokens == 7
    assert sorted(map(len, (ids for ids, _ in batch.texts.parts))) == [1, 1, 2]
    assert all(ids.shape == attention.shape for ids, attention in batch.texts.parts)


def test_the_loss_by_hand() -> None:
    logits = torch.tensor([[9.0, 1.0, 2.0, 0.0], [1.0, 9.0, 0.5, 0.0], [0.0] * 4, [0.0] * 4])
    positive = torch.zeros(4, 4, dtype=torch.bool)
    positive[0, 1] = positive[0, 2] = positive[1, 0] = True
    excluded = torch.eye(4, dtype=torch.bool) | positive
    first = np.log(1 + np.exp(0.0 - 1.0)) / 2 + np.log(1 + np.exp(0.0 - 2.0)) / 2
    second = np.log((np.exp(1.0) + np.exp(0.5) + 1.0) / np.exp(1.0))
    assert info_nce(logits, positive, excluded).item() == pytest.approx((first + second) / 2)
    nothing = torch.zeros(4, 4, dtype=torch.bool)
    assert info_nce(logits, nothing, nothing).item() == 0.0


def test_an_anchor_without_negatives_gives_no_nan() -> None:
    logits = torch.tensor([[1.0, 2.0], [2.0, 1.0]], requires_grad=True)
    alike = ~torch.eye(2, dtype=torch.bool)
    loss = info_nce(logits, alike, torch.ones(2, 2, dtype=torch.bool))
    loss.backward()
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_the_loss_of_a_batch_corrects_for_frequency(bert: Path) -> None:
    """Person one had a and b; c, which both others had, is the only negative of either."""
    histories = histories_of([[(0, 0), (1, 0)], [(2, 0), (3, 0)], [(2, 0), (3, 1)]], list("abcd"))
    tokens = [[2, 7, 3], [2, 8, 3], [2, 9, 3], [2, 10, 3]]
    task = Cooccurrence(histories, tokens, 1, 99, 6, 0.5, MEAN, seed=0)
    batch = WindowBatches(histories, tokens, [[np.array([0, 1]), np.array([2])]], 99)[0]
    network = open_with_head(bert, "masked", seed=0)[0]
    loss, _ = task.loss(network, batch, 0)
    vectors = text_vectors(network, batch.texts, MEAN).detach().double()
    logits = vectors @ vectors.T / 0.5 - torch.tensor([1 / 3, 1 / 3, 2 / 3]).log()
    by_hand = [torch.log1p((logits[i, 2] - logits[i, 1 - i]).exp()) for i in (0, 1)]
    assert loss.item() == pytest.approx(sum(map(float, by_hand)) / 2, rel=1e-5)


def test_a_plan_takes_everybody_once_within_its_tokens(of_numbers: TextHistories) -> None:
    tokens = [[1] * (3 + n % 3) for n in range(len(of_numbers.texts))]
    plan = plan_windows(of_numbers, tokens, 60, 100, 4, seed=3)
    assert len(plan) == 60
    again = plan_windows(of_numbers, tokens, 60, 100, 4, seed=3)
    assert all(a.tolist() == b.tolist() for one, two in zip(plan, again, strict=True)
               for a, b in zip(one, two, strict=True))  # fmt: skip
    for windows in plan:
        used = sum(len(tokens[code]) for code in np.unique(np.concatenate(windows)))
        assert used <= 100 or len(windows) == 1
    first = [tuple(window) for windows in plan for window in windows][:200]
    had = [set(of_numbers.user(user)[0]) for user in range(200)]
    owners = [{n for n in range(200) if set(window) <= had[n]} for window in first]
    assert set.union(*owners) == set(range(200))
    roomy = plan_windows(of_numbers, tokens, 2, 10**6, 4, seed=3)
    assert [len(windows) for windows in roomy] == [200, 200]


def test_people_of_one_taste_bring_its_texts_together(
    learn: Learn, bert: Path, of_numbers: TextHistories, tmp_path: Path
) -> None:
    options = {"objective": "cooccurrence", "learning_rate": 3e-3, "batch_tokens": 400}
    options |= {"held_out_share": 0.3}
    account = learn(Material(of_numbers.texts, histories=of_numbers), bert, tmp_path, 20, **options)
    before, after = account["retrieval_before"], account["retrieval_after"]
    assert set(before) == {"source", "target", "source to target", "target to source"}
    for direction in before:
        assert after[direction]["ndcg@10"] > before[direction]["ndcg@10_high"]
        assert after[direction]["users"] == before[direction]["users"] <= 60
    assert "perplexity_before" not in account
    vectors = encode(of_numbers.texts, tmp_path)[0]
    number = np.array([text.split()[3] for text in of_numbers.texts])
    cosines = vectors @ vectors.T
    same = number[:, None] == number
    assert cosines[same].mean() > cosines[~same].mean() + 0.3
    assert AutoModel.from_pretrained(tmp_path).config.hidden_size == 32
    assert (tmp_path / "modules.json").is_file()


@pytest.mark.parametrize("objective", ["cooccurrence", "simcse", "masked"])
def test_the_prefix_stands_before_texts_whose_vectors_are_made(
    learn: Learn, bert: Path, of_numbers: TextHistories, tmp_path: Path, objective: str
) -> None:
    """As if it were written in the texts; language is modeled without it."""
    options: dict[str, Any] = {"objective": objective, "batch_tokens": 200, "head_share": 0.0}

    def learned(name: str, written: str, prefix: str) -> tuple[dict[str, Any], torch.nn.Linear]:
        texts = [written + text for text in of_numbers.texts]
        material = Material(texts, histories=replace(of_numbers, texts=texts))
        account = learn(material, bert, tmp_path / name, 2, prefix=prefix, **options)
        return account, AutoModel.from_pretrained(tmp_path / name).encoder.layer[1].output.dense

    plain, plain_map = learned("plain", "", "")
    said, said_map = learned("said", "", "red knife ")
    assert said["retrieval_before"] != plain["retrieval_before"]
    if objective == "masked":
        assert said["perplexity_after"] == plain["perplexity_after"]
        assert said_map.weight.equal(plain_map.weight)
    else:
        written, written_map = learned("written", "red knife ", "")
        assert said["retrieval_after"] == written["retrieval_after"]
        assert said_map.weight.equal(written_map.weight)
        assert not said_map.weight.equal(plain_map.weight)


def test_the_layers_that_are_read_are_those_that_learn(
    learn: Learn, bert: Path, of_numbers: TextHistories, tmp_path: Path
) -> None:
    material = Material(of_numbers.texts, histories=of_numbers)

    def moved(name: str, *layers: int) -> list[bool]:
        options = {"objective": "cooccurrence", "batch_tokens": 200}
        learn(material, bert, tmp_path / name, 2, pooling=Pooling("mean", layers), **options)
        before, after = (AutoModel.from_pretrained(path) for path in (bert, tmp_path / name))
        parts = [*before.encoder.layer], [*after.encoder.layer]
        return [
            not old.output.dense.weight.equal(new.output.dense.weight)
            for old, new in zip(*parts, strict=True)
        ]

    assert moved("first", 0) == [False, False]
    assert moved("middle", 0, 1) == [True, False]
    assert moved("last", 1, -1) == [True, True]
    with pytest.raises(UserError, match=r"encoder.layers=\[3\]: .* has 2 layers"):
        moved("none", 3)


def test_language_can_be_modeled_beside(
    learn: Learn, bert: Path, of_numbers: TextHistories, tmp_path: Path
) -> None:
    material = Material(of_numbers.texts, histories=of_numbers)
    options = {"objective": "cooccurrence", "learning_rate": 3e-3, "batch_tokens": 300}
    account = learn(
        material, bert, tmp_path, 30, language_weight=1.0, head_learning_rate=1e-2, **options
    )
    assert account["perplexity_after"] < 0.8 * account["perplexity_before"]
    assert account["retrieval_after"].keys() == account["retrieval_before"].keys()


def test_where_nobody_had_two_texts(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path
) -> None:
    lonely = histories_of([[(n, 0)] for n in range(5)], texts)
    with pytest.raises(UserError, match="no user has two items of different texts"):
        learn(Material(texts, histories=lonely), bert, tmp_path, 1, objective="cooccurrence")
