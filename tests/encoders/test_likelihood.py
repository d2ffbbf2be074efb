"""Continuations of a cached text are scored as if each were read from its first token on."""

from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, LlamaModel, PreTrainedModel

from crossrec.encoders import likelihood
from crossrec.encoders.language_model import open_tokenizer
from crossrec.encoders.likelihood import (
    answer_tokens,
    locate_causal,
    log_likelihood,
    logits_at,
    open_causal,
    yes_over_no,
)
from crossrec.errors import UserError

PREFIX = [5, 9, 2, 7, 7, 3]
SUFFIXES = [[4], [8, 1, 6], [2, 2], [11, 10, 9, 8, 7], [3]]


@pytest.fixture(params=["llama", "gpt2"])
def network(request: pytest.FixtureRequest, tiny_llama: Path, tmp_path: Path) -> PreTrainedModel:
    if request.param == "llama":
        return open_causal(tiny_llama, "k")[0]
    torch.manual_seed(1)
    config = GPT2Config(
        vocab_size=40, n_embd=16, n_layer=2, n_head=2, n_positions=32, initializer_range=0.3
    )
    return GPT2LMHeadModel(config).eval()


@torch.no_grad()
def log_p(network: PreTrainedModel, ids: list[int]) -> torch.Tensor:
    """(length, vocabulary), from the whole text at once."""
    return network(torch.tensor([ids])).logits[0].float().log_softmax(dim=1)


@pytest.mark.parametrize("prefix", [PREFIX, PREFIX[:1]], ids=["long", "one token"])
@pytest.mark.parametrize("at_once", [2, 32])
def test_scores_are_those_of_whole_texts(
    network: PreTrainedModel, prefix: list[int], at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(likelihood, "AT_ONCE", at_once)
    answers, means = [], []
    for suffix in SUFFIXES:
        whole = log_p(network, [*prefix, *suffix])
        answers.append(whole[-1, 12] - whole[-1, 13])
        start = len(prefix) - 1
        tokens = [whole[start + place, token] for place, token in enumerate(suffix)]
        means.append(torch.stack(tokens).mean())
    found = yes_over_no(network, prefix, SUFFIXES, (12, 13))
    torch.testing.assert_close(found, torch.stack(answers), atol=1e-5, rtol=1e-4)
    found = log_likelihood(network, prefix, SUFFIXES)
    torch.testing.assert_close(found, torch.stack(means), atol=1e-5, rtol=1e-4)


def test_the_prefix_is_read_once_and_only_needed_positions_are_projected(
    network: PreTrainedModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    projected: list[int] = []
    body, head = network.base_model, network.get_output_embeddings()
    body.register_forward_pre_hook(
        lambda _, args, given: read.append((args[0] if args else given["input_ids"]).numel()),
        with_kwargs=True,
    )
    hook = head.register_forward_hook(lambda _, inputs, output: projected.append(len(output)))
    yes_over_no(network, PREFIX, SUFFIXES, (1, 2))
    hook.remove()
    longest = max(map(len, SUFFIXES))
    assert read == [len(PREFIX) - 1, len(SUFFIXES) * (1 + longest)]
    assert projected == [len(SUFFIXES)]


def test_the_projection_is_as_before_afterwards(network: PreTrainedModel) -> None:
    ids = torch.tensor([PREFIX])
    wanted = torch.zeros_like(ids, dtype=torch.bool)
    wanted[0, 2] = True
    with torch.no_grad():
        before = network(ids).logits
        torch.testing.assert_close(logits_at(network, wanted, input_ids=ids), before[:, 2])
        torch.testing.assert_close(network(ids).logits, before)


def test_answers_begin_with_tokens_of_their_own(tiny_llama: Path) -> None:
    tokenizer = open_tokenizer(tiny_llama)
    yes, no = answer_tokens(tokenizer, "Answer:\n", "k")
    assert tokenizer.convert_ids_to_tokens([yes, no]) == ["Y", "N"]
    # Here a blank is a token that both answers would begin with.
    assert answer_tokens(tokenizer, "Answer:", "k") == (yes, no)


def test_models_that_cannot_be_asked(tiny_bert: Path, tiny_llama: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"reranking.model=.*fills in masked words"):
        locate_causal(str(tiny_bert), "reranking.model", tmp_path)
    with pytest.raises(UserError, match=r"reranking.model=./none: there is no such folder\. Exp"):
        locate_causal("./none", "reranking.model", tmp_path)
    headless = tmp_path / "headless"
    LlamaModel.from_pretrained(tiny_llama).save_pretrained(headless)
    open_tokenizer(tiny_llama).save_pretrained(headless)
    config = (headless / "config.json").read_text()
    (headless / "config.json").write_text(
        config.replace('"tie_word_embeddings": true', '"tie_word_embeddings": false')
    )
    with pytest.raises(UserError, match="without a language-modeling head"):
        open_causal(headless, "reranking.model")
