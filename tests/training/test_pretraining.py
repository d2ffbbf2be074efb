import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from transformers import (
    AlbertConfig,
    AlbertForMaskedLM,
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
)

from crossrec.encoders.encode import encode
from crossrec.encoders.language_head import freeze_lower_layers, objective_of, open_with_head
from crossrec.errors import UserError
from crossrec.training.pretraining_tasks import hold_out
from crossrec.training.schedule import ramp_and_cosine

Learn = Callable[..., dict[str, Any]]


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModel.from_pretrained(folder).state_dict()


def test_masked_modeling_learns_what_the_texts_say(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    measures = learn(
        texts,
        bert,
        tmp_path,
        150,
        learning_rate=1e-2,
        head_learning_rate=1e-2,
        meaning_weight=0.0,
    )
    assert measures["perplexity_before"] > 15  # 20 words, and a head that knows nothing
    assert measures["perplexity_after"] < 0.6 * measures["perplexity_before"]
    assert measures["perplexity_after"] < measures["perplexity_head"]
    assert measures["accuracy_after"] > measures["accuracy_before"] + 0.1
    assert measures["n_texts"] == 400
    assert measures["steps"] == 150
    trained, origin = AutoModel.from_pretrained(tmp_path), weights(bert)
    assert trained.dtype == torch.float32
    assert trained.state_dict().keys() == origin.keys()
    assert trained.pooler.dense.weight.equal(origin["pooler.dense.weight"])
    assert not trained.embeddings.word_embeddings.weight.equal(
        origin["embeddings.word_embeddings.weight"]
    )
    assert AutoTokenizer.from_pretrained(tmp_path).mask_token == "[MASK]"
    assert json.loads((tmp_path / "1_Pooling" / "config.json").read_text())
    assert (tmp_path / "modules.json").is_file()
    assert not list(tmp_path.rglob("*.bin"))


def test_causal_modeling_learns_what_the_texts_say(
    gpt: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    measures = learn(texts, gpt, tmp_path, 80, learning_rate=1e-2, meaning_weight=0.0)
    assert measures["perplexity_head"] is None  # the head was there: nothing to warm up
    assert measures["perplexity_after"] < 0.4 * measures["perplexity_before"]
    network = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompt = tokenizer("blue", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(network(prompt).logits[0, -1].argmax()) == "pan"
    assert AutoModel.from_pretrained(tmp_path).config.n_layer == 2


def test_the_same_seed_gives_the_same_weights(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    first = learn(texts, bert, tmp_path / "a", 4, seed=5)
    torch.manual_seed(99)  # what the process drew before does not matter
    again = learn(texts, bert, tmp_path / "b", 4, seed=5)
    other = learn(texts, bert, tmp_path / "c", 4, seed=6)
    assert first["perplexity_after"] == again["perplexity_after"] != other["perplexity_after"]
    for name, value in weights(tmp_path / "a").items():
        assert value.equal(weights(tmp_path / "b")[name])


def test_masks_of_held_out_texts_stay(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    still = learn(texts, bert, tmp_path, 6, learning_rate=0.0, head_learning_rate=0.0)
    assert still["perplexity_before"] == still["perplexity_head"] == still["perplexity_after"]


def test_the_body_rests_while_a_fresh_head_warms_up(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    measures = learn(texts, bert, tmp_path, 10, head_share=1.0, learning_rate=1.0)
    assert measures["perplexity_after"] < measures["perplexity_before"]
    for name, value in weights(bert).items():
        assert value.equal(weights(tmp_path)[name])


def test_meaning_is_kept_where_it_is_asked_for(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    drift = {}
    for weight in (0.0, 100.0):
        folder = tmp_path / str(weight)
        learn(texts, bert, folder, 40, learning_rate=3e-3, meaning_weight=weight)
        cosines = (encode(texts, bert)[0] * encode(texts, folder)[0]).sum(axis=1)
        drift[weight] = 1.0 - cosines.mean()
    assert drift[100.0] < 0.5 * drift[0.0]


def test_only_the_last_layers_learn(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    learn(texts, bert, tmp_path, 5, learning_rate=1e-2, trainable_layers=1)
    before, after = weights(bert), weights(tmp_path)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_more_layers_than_there_are(bert: Path) -> None:
    network, _ = open_with_head(bert, "masked", seed=0)
    with pytest.raises(UserError, match=r"trainable_layers=3: this model has 2 layers"):
        freeze_lower_layers(network, 3)


def test_layers_that_are_one() -> None:
    sizes = {"hidden_size": 8, "num_attention_heads": 2, "intermediate_size": 8, "vocab_size": 9}
    network = AlbertForMaskedLM(AlbertConfig(num_hidden_layers=3, **sizes))
    with pytest.raises(UserError, match=r"albert model has no 3 layers of their own"):
        freeze_lower_layers(network, 1)


def test_a_head_that_the_folder_has_is_used_and_kept(
    tmp_path: Path,
    learn: Learn,
    texts: list[str],
    bert_config: BertConfig,
    with_tokenizer: Callable[[Path, bool], None],
) -> None:
    torch.manual_seed(0)
    BertForMaskedLM(bert_config).save_pretrained(tmp_path / "origin")
    with_tokenizer(tmp_path / "origin", True)
    _, fresh = open_with_head(tmp_path / "origin", "masked", seed=0)
    assert not fresh
    measures = learn(texts, tmp_path / "origin", tmp_path / "out", 3, learning_rate=1e-2)
    assert measures["perplexity_head"] is None
    _, report = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]


def test_the_precision_of_the_trainer_is_respected(
    gpt: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    measures = learn(
        texts, gpt, tmp_path, 3, trainer={"precision": "bf16-mixed"}, learning_rate=1e-2
    )
    assert measures["perplexity_after"] < measures["perplexity_before"]
    assert AutoModel.from_pretrained(tmp_path).dtype == torch.float32


def test_held_out_texts_are_never_trained_on(texts: list[str]) -> None:
    train, held_out = hold_out([*texts, *texts], share=0.1, most=25, seed=0)
    assert len(held_out) == 25
    assert sorted(train + held_out) == sorted(texts)
    assert len(hold_out(texts[:3], share=0.01, most=25, seed=0)[1]) == 1
    with pytest.raises(UserError, match=r"at least 2 distinct texts, found 1"):
        hold_out(["one", "one"], share=0.5, most=25, seed=0)


def test_a_planted_held_out_word_does_not_reach_the_weights(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    """The same run with other held-out texts ends with the same weights."""
    _, held_out = hold_out(texts, share=0.05, most=256, seed=0)
    planted = [f"and {text}" if text in held_out else text for text in texts]
    learn(texts, bert, tmp_path / "a", 4)
    learn(planted, bert, tmp_path / "b", 4)
    for name, value in weights(tmp_path / "a").items():
        assert value.equal(weights(tmp_path / "b")[name])


def test_the_objective_follows_the_architecture(bert: Path, gpt: Path) -> None:
    assert objective_of(bert) == "masked"
    assert objective_of(gpt) == "causal"
    with pytest.raises(UserError, match=r"objective=masked: .* gpt2 model, which has no such head"):
        open_with_head(gpt, "masked", seed=0)
    with pytest.raises(UserError, match=r"objective=span: expected auto or one of masked, causal"):
        open_with_head(bert, "span", seed=0)


def test_a_run_without_end_is_refused(
    bert: Path, tmp_path: Path, learn: Learn, texts: list[str]
) -> None:
    with pytest.raises(ValueError, match=r"trainer.max_steps >= 1, got -1"):
        learn(texts, bert, tmp_path, -1, trainer={"max_epochs": 1})


def test_the_learning_rate_by_hand() -> None:
    rates = [ramp_and_cosine(step, start=2, warmup=1, total=7) for step in range(8)]
    half = (2 + 2**0.5) / 4
    np.testing.assert_allclose(rates, [0, 0, 0.5, 1, half, 0.5, 1 - half, 0], atol=1e-12)
