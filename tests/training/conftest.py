"""Tiny language models, texts that they can learn something from, and a way to pretrain them."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import lightning
import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    BertConfig,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    PreTrainedTokenizerFast,
)

from crossrec.training.material import Material
from crossrec.training.options import PretrainingOptions
from crossrec.training.pretraining import pretrain
from crossrec.training.text_vectors import MEAN, Pooling

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


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """400 texts of six words; the thing tells its color."""
    return list(TEXTS)


@pytest.fixture(scope="session")
def bert_config() -> BertConfig:
    return BertConfig(
        vocab_size=len(VOCABULARY),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=32,
    )


@pytest.fixture(scope="session")
def with_tokenizer() -> Callable[[Path, bool], None]:
    """Puts a tokenizer of the texts' words into a folder: (folder, of an encoder?)."""
    return save_tokenizer


@pytest.fixture(scope="session")
def bert(tmp_path_factory: pytest.TempPathFactory, bert_config: BertConfig) -> Path:
    """A tiny sentence encoder: no language-modeling head, but a pooler and a pooling file."""
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(0)
    BertModel(bert_config).save_pretrained(folder)
    save_tokenizer(folder, encoder=True)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text('{"pooling_mode_mean_tokens": true}')
    (folder / "modules.json").write_text("[]")
    return folder


@pytest.fixture(scope="session")
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


@pytest.fixture(scope="session")
def learn() -> Callable[..., dict[str, Any]]:
    """Pretrains so many steps: (texts or material, model, output, steps, **options)."""

    def run(
        material: list[str] | Material,
        model: Path,
        output: Path,
        max_steps: int,
        seed: int = 0,
        pooling: Pooling = MEAN,
        prefix: str = "",
        checkpoint: Path | None = None,
        trainer: dict[str, Any] | None = None,
        **options: Any,
    ) -> dict[str, Any]:
        made = lightning.Trainer(
            max_steps=max_steps,
            accelerator="cpu",
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            **(trainer or {}),
        )
        given = material if isinstance(material, Material) else Material(material)
        output.mkdir(exist_ok=True, parents=True)
        return pretrain(
            given,
            model,
            output,
            made,
            PretrainingOptions(**options),
            pooling=pooling,
            prefix=prefix,
            seed=seed,
            checkpoint=checkpoint,
        )

    return run
