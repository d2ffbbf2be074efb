"""What a judge is told: the past in order of time, never what is held out."""

from dataclasses import replace
from pathlib import Path
from typing import Literal

import hydra
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.configuration.composing import CONF, compose
from crossrec.data.pair import DomainPair
from crossrec.encoders.likelihood import open_causal
from crossrec.errors import UserError
from crossrec.evaluation.ranking import rank
from crossrec.stages.reranking import stage as reranking
from crossrec.stages.reranking.asking import Questions, Tokens, train_pairs
from crossrec.stages.reranking.prompting import Prompt
from crossrec.stages.scoring import Single, of_utility
from crossrec.stages.staging import Staging

PROMPT = Prompt("So far:\n{history}\nThen {item}?")


def test_a_history_is_the_past_of_both_domains(
    told_pair: DomainPair, texts: list[str | None]
) -> None:
    target = told_pair.target
    questions = Questions(PROMPT, target, texts, max_history=10)
    # In test the validation event is known; H2 came after the test event and is cut.
    assert questions.history(target.test.history, 0) == ["H0", "T0", "H1", "T1", "T2"]
    assert questions.history(target.valid.history, 0) == ["H0", "T0", "H1", "T1"]
    assert questions.history(target.test.history, 1) == []
    few = Questions(PROMPT, target, texts, max_history=2)
    assert few.history(target.test.history, 0) == ["T1", "T2"]
    none = Questions(PROMPT, target, texts, max_history=0)
    assert none.history(target.test.history, 0) == []
    assert few.ask(["T1", "T2"], "T9") == ("So far:\n- T1\n- T2\nThen", " T9?")


@pytest.mark.parametrize("part", ["valid", "test"])
def test_no_held_out_item_is_told(small_pair: DomainPair, part: str) -> None:
    target = small_pair.target
    texts = [f"<{code}>" for code in range(target.n_items + target.n_context)]
    questions = Questions(PROMPT, target, list(texts), max_history=100)
    held_out = getattr(target, part)
    query, items, _ = held_out.truths()
    later = target.test if part == "valid" else held_out
    future = dict(zip(later.users.tolist(), later.truth_items.tolist(), strict=True))
    for row, item in zip(query.tolist(), items.tolist(), strict=True):
        told = questions.history(held_out.history, row)
        assert f"<{item}>" not in told
        assert f"<{future.get(int(held_out.users[row]))}>" not in told


def test_train_pairs_are_of_train_alone(told_pair: DomainPair, texts: list[str | None]) -> None:
    found = train_pairs(told_pair.target, texts, n=50, seed=0)
    # a: T0 after H0, T1 after H0 T0 H1; b: T1 after T0. But each user who has T0 and T1 has all
    # that train knows, so nothing is left to say No to.
    assert found == []


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 100))
def test_no_pair_says_no_to_what_a_user_has(small_pair: DomainPair, seed: int) -> None:
    target = small_pair.target
    texts = [f"<{code}>" for code in range(target.n_items + target.n_context)]
    train, counts = target.train, target.item_counts()
    whole = [
        train.items[train.offsets[row] : train.offsets[row + 1]].tolist()
        for row in range(len(train.users))
    ]
    for history, chosen, other in train_pairs(target, list(texts), n=40, seed=seed):
        told = history.tolist()
        owners = [items for items in whole if items[: len(told) + 1] == [*told, chosen]]
        assert owners
        assert any(other not in items for items in owners)
        assert counts[other] > 0


def test_the_oldest_are_forgotten_until_all_fits(
    judge_folder: Path, told_pair: DomainPair, texts: list[str | None]
) -> None:
    network, tokenizer = open_causal(judge_folder, "reranking.model")
    questions = Questions(PROMPT, told_pair.target, texts, max_history=50)
    history = [f"chair {number}" for number in range(30)]

    def tokens(at_most: float) -> tuple[str, int]:
        whole = Tokens(tokenizer, at_most, "reranking.prompt")
        before, rest = whole.of_user(questions, history, ["oak", "chair of oak"])
        return tokenizer.decode(before), len(before) + max(map(len, rest))

    text, n = tokens(float("inf"))
    assert text.startswith("So far:\n- chair 0\n")
    shorter, fits = tokens(n - 1)
    assert shorter.startswith("So far:\n- chair 1\n")
    assert shorter.endswith("chair 29\nThen")
    assert fits < n
    with pytest.raises(UserError, match=r"reranking.prompt: the prompt takes \d+ tokens without"):
        tokens(5)
    assert Tokens.of(network, tokenizer, "k").at_most == 1024


def test_draws_depend_on_the_seed_alone(small_pair: DomainPair) -> None:
    texts = ["x"] * (small_pair.target.n_items + small_pair.target.n_context)
    first, again, other = (train_pairs(small_pair.target, texts, 30, seed) for seed in (0, 0, 1))
    assert [pair[1:] for pair in first] == [pair[1:] for pair in again]
    assert [pair[1:] for pair in first] != [pair[1:] for pair in other]
    assert len(first) == 30
    lengths = np.array([len(history) for history, *_ in first])
    assert (lengths > 0).all()
    assert torch.equal(first[0][0], again[0][0])


@pytest.mark.parametrize("part", ["valid", "test"])
def test_each_user_is_judged_by_their_own_past(
    small_pair: DomainPair,
    judge_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    part: Literal["valid", "test"],
) -> None:
    # A judge that knows the answers puts them first; it is never told them as history.
    target = small_pair.target
    held_out = getattr(target, part)
    code = {f"<{code}>": code for code in range(target.n_items + target.n_context)}
    pasts = {}
    for asked in (target.valid, target.test):
        past, ends = asked.history, asked.history.offsets.tolist()
        for row, item in enumerate(asked.truth_items.tolist()):  # one a user
            pasts[tuple(past.items[ends[row] : ends[row + 1]].tolist())] = item
    answered = []

    class Knowing:
        def __init__(self, *_: object) -> None: ...

        def opinion(self, history: list[str], items: torch.Tensor) -> torch.Tensor:
            answer = pasts[tuple(code[text] for text in history)]
            assert f"<{answer}>" not in history
            answered.append(answer)
            return (items == answer).float()

    monkeypatch.setattr(reranking, "Judge", Knowing)
    overrides = ["reranking=smollm2", f"reranking.model={judge_folder}", "encoder=none"]
    overrides += ["reranking.users=20", "reranking.candidates=12"]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        settings = compose(hydra.compose("train", overrides), tmp_path)
    stage = reranking.Reranking(
        replace(settings, artifacts=tmp_path), Staging(tmp_path / "artifacts")
    )
    scores = np.random.default_rng(0).normal(size=(target.n_users, target.n_items))
    ranker = Single(target, of_utility(lambda users: scores[users]))
    questions = Questions(PROMPT, target, list(code), max_history=100)
    artifact = stage.judge(tmp_path, questions, ranker, "none", judge_folder)
    judged = reranking.read_judged(artifact, part)
    assert judged.within.any()
    assert len(answered) >= judged.within.sum()
    assert (judged.reranked(1)[judged.within] == 1).all()
    assert judged.judgments[judged.users[judged.within]].isfinite().all()
    expected = rank(ranker.block(part), held_out.queries(), target.n_items, 12).truth_ranks
    assert torch.equal(judged.truth_ranks, expected[judged.rows])
