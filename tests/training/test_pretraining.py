import json
from pathlib import Path

import lightning
import numpy as np
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    AutoModelForMaskedLM,
    AutoTokenizer,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from crossrec.encoders.encode import encode
from crossrec.encoders.language_head import freeze_lower_layers, objective_of, open_with_head
from crossrec.errors import UserError
from crossrec.training.language_modeling import ramp_and_cosine
from crossrec.training.pretraining import hold_out, pretrain

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
COLOR = {"knife": "red", "lamp": "green", "pan": "blue", "chair": "gray"}  # what there is to learn
SIZES = ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
TEXTS = [
    f"{COLOR[noun]} {noun} number {first} and {second}"
    for noun in COLOR
    for first in SIZES
    for second in SIZES
]
VOCABULARY = {
    token: number
    for number, token in enumerate([*SPECIAL, *sorted({w for text in TEXTS for w in text.split()})])
}


def save_tokenizer(folder: Path, encoder: bool) -> None:
    tokenizer = Tokenizer(models.WordLevel(VOCABULARY, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    if encoder:
        tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
        names = {"cls_token": "[CLS]", "mask_token": "[MASK]", "pad_token": "[PAD]"}
    else:
        names = {}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]", eos_token="[SEP]", sep_token="[SEP]", **names
    )
    fast.save_pretrained(folder)


def bert_config() -> BertConfig:
    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny sentence encoder: no language-modeling head, but a pooler and a pooling file."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(bert_config()).save_pretrained(folder)
    save_tokenizer(folder, encoder=True)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "modules.json").write_text("[]")
    return folder


@pytest.fixture(scope="module")
def gpt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt")
    torch.manual_seed(0)
    config = GPT2Config(
        vocab_size=len(VOCABULARY), n_embd=32, n_layer=2, n_head=2, n_positions=32,
        bos_token_id=3, eos_token_id=3,
    )  # fmt: skip
    GPT2LMHeadModel(config).save_pretrained(folder)
    save_tokenizer(folder, encoder=False)
    return folder


def trainer(max_steps: int, **options: object) -> lightning.Trainer:
    return lightning.Trainer(
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        **options,
    )


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return AutoModel.from_pretrained(folder).state_dict()


def test_masked_modeling_learns_what_the_texts_say(bert: Path, tmp_path: Path) -> None:
    measures = pretrain(
        TEXTS,
        bert,
        tmp_path,
        trainer(150),
        learning_rate=1e-2,
        head_learning_rate=1e-2,
        meaning_weight=0.0,
    )
    assert measures["perplexity_before"] > 15  # 20 words, and a head that knows nothing
    assert measures["perplexity_after"] < 0.6 * measures["perplexity_before"]
    assert measures["perplexity_after"] < measures["perplexity_head"]
    assert measures["accuracy_after"] > measures["accuracy_before"] + 0.1
    assert measures["n_texts"] == 380
    assert measures["n_held_out"] == 20
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


def test_causal_modeling_learns_what_the_texts_say(gpt: Path, tmp_path: Path) -> None:
    measures = pretrain(TEXTS, gpt, tmp_path, trainer(80), learning_rate=1e-2, meaning_weight=0.0)
    assert measures["perplexity_head"] is None  # the head was there: nothing to warm up
    assert measures["perplexity_after"] < 0.4 * measures["perplexity_before"]
    network = AutoModelForCausalLM.from_pretrained(tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    prompt = tokenizer("blue", return_tensors="pt")["input_ids"]
    assert tokenizer.decode(network(prompt).logits[0, -1].argmax()) == "pan"
    assert AutoModel.from_pretrained(tmp_path).config.n_layer == 2


def test_the_same_seed_gives_the_same_weights(bert: Path, tmp_path: Path) -> None:
    first = pretrain(TEXTS, bert, tmp_path / "a", trainer(4), seed=5)
    torch.manual_seed(99)  # what the process drew before does not matter
    again = pretrain(TEXTS, bert, tmp_path / "b", trainer(4), seed=5)
    other = pretrain(TEXTS, bert, tmp_path / "c", trainer(4), seed=6)
    assert first["perplexity_after"] == again["perplexity_after"] != other["perplexity_after"]
    for name, value in weights(tmp_path / "a").items():
        assert value.equal(weights(tmp_path / "b")[name])


def test_masks_of_held_out_texts_stay(bert: Path, tmp_path: Path) -> None:
    still = pretrain(TEXTS, bert, tmp_path, trainer(6), learning_rate=0.0, head_learning_rate=0.0)
    assert still["perplexity_before"] == still["perplexity_head"] == still["perplexity_after"]


def test_the_body_rests_while_a_fresh_head_warms_up(bert: Path, tmp_path: Path) -> None:
    measures = pretrain(TEXTS, bert, tmp_path, trainer(10), head_share=1.0, learning_rate=1.0)
    assert measures["perplexity_after"] < measures["perplexity_before"]
    for name, value in weights(bert).items():
        assert value.equal(weights(tmp_path)[name])


def test_meaning_is_kept_where_it_is_asked_for(bert: Path, tmp_path: Path) -> None:
    drift = {}
    for weight in (0.0, 100.0):
        folder = tmp_path / str(weight)
        pretrain(TEXTS, bert, folder, trainer(40), learning_rate=3e-3, meaning_weight=weight)
        cosines = (encode(TEXTS, bert)[0] * encode(TEXTS, folder)[0]).sum(axis=1)
        drift[weight] = 1.0 - cosines.mean()
    assert drift[100.0] < 0.5 * drift[0.0]


def test_only_the_last_layers_learn(bert: Path, tmp_path: Path) -> None:
    pretrain(TEXTS, bert, tmp_path, trainer(5), learning_rate=1e-2, trainable_layers=1)
    before, after = weights(bert), weights(tmp_path)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed
    assert all(name.startswith("encoder.layer.1.") for name in changed)


def test_more_layers_than_there_are(bert: Path) -> None:
    network, _ = open_with_head(bert, "masked", seed=0)
    with pytest.raises(UserError, match=r"trainable_layers=3: this model has 2 layers"):
        freeze_lower_layers(network, 3)


def test_a_head_that_the_folder_has_is_used_and_kept(tmp_path: Path) -> None:
    torch.manual_seed(0)
    BertForMaskedLM(bert_config()).save_pretrained(tmp_path / "origin")
    save_tokenizer(tmp_path / "origin", encoder=True)
    _, fresh = open_with_head(tmp_path / "origin", "masked", seed=0)
    assert not fresh
    measures = pretrain(
        TEXTS, tmp_path / "origin", tmp_path / "out", trainer(3), learning_rate=1e-2
    )
    assert measures["perplexity_head"] is None
    _, report = AutoModelForMaskedLM.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not report["missing_keys"]


def test_the_precision_of_the_trainer_is_respected(gpt: Path, tmp_path: Path) -> None:
    measures = pretrain(
        TEXTS, gpt, tmp_path, trainer(3, precision="bf16-mixed"), learning_rate=1e-2
    )
    assert measures["perplexity_after"] < measures["perplexity_before"]
    assert AutoModel.from_pretrained(tmp_path).dtype == torch.float32


def test_held_out_texts_are_never_trained_on() -> None:
    train, held_out = hold_out([*TEXTS, *TEXTS], share=0.1, most=25, seed=0)
    assert len(held_out) == 25
    assert sorted(train + held_out) == sorted(TEXTS)
    assert len(hold_out(TEXTS[:3], share=0.01, most=25, seed=0)[1]) == 1
    with pytest.raises(UserError, match=r"at least 2 distinct texts, found 1"):
        hold_out(["one", "one"], share=0.5, most=25, seed=0)


def test_a_planted_held_out_word_does_not_reach_the_weights(bert: Path, tmp_path: Path) -> None:
    """The same run with other held-out texts ends with the same weights."""
    _, held_out = hold_out(TEXTS, share=0.05, most=256, seed=0)
    planted = [f"and {text}" if text in held_out else text for text in TEXTS]
    pretrain(TEXTS, bert, tmp_path / "a", trainer(4))
    pretrain(planted, bert, tmp_path / "b", trainer(4))
    for name, value in weights(tmp_path / "a").items():
        assert value.equal(weights(tmp_path / "b")[name])


def test_the_objective_follows_the_architecture(bert: Path, gpt: Path) -> None:
    assert objective_of(bert) == "masked"
    assert objective_of(gpt) == "causal"
    with pytest.raises(UserError, match=r"objective=masked: .* gpt2 model, which has no such head"):
        open_with_head(gpt, "masked", seed=0)
    with pytest.raises(UserError, match=r"objective=span: expected auto or one of masked, causal"):
        open_with_head(bert, "span", seed=0)


def test_a_run_without_end_is_refused(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"trainer.max_steps >= 1, got -1"):
        pretrain(TEXTS, bert, tmp_path, trainer(-1, max_epochs=1))


def test_the_learning_rate_by_hand() -> None:
    rates = [ramp_and_cosine(step, start=2, warmup=1, total=7) for step in range(8)]
    half = (2 + 2**0.5) / 4
    np.testing.assert_allclose(rates, [0, 0, 0.5, 1, half, 0.5, 1 - half, 0], atol=1e-12)
