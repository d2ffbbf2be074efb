"""A tiny causal language model that can be asked, and a domain whose texts say who is who."""

from pathlib import Path

import polars as pl
import pytest
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.pair import DomainPair, align

HISTORY = {  # user -> (domain, item, time, part); item 3 of "tech" is what a is asked about
    "a": [
        ("home", 0, 1, "train"),
        ("tech", 0, 2, "train"),
        ("home", 1, 3, "train"),
        ("tech", 1, 4, "train"),
        ("tech", 2, 5, "valid"),
        ("tech", 3, 7, "test"),
        ("home", 2, 9, "train"),  # after the test event: cut
    ],
    "b": [("tech", 0, 1, "train"), ("tech", 1, 2, "train"), ("tech", 4, 3, "valid")],
    "c": [("tech", 5, 1, "test")],  # without any history
}


@pytest.fixture(scope="session")
def judge_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A LLaMA of two layers, random weights, that knows bytes and a few words."""
    folder = tmp_path_factory.mktemp("judge")
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<end>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    words = "Yes No chair of oak customer product answer chosen latest"
    tokenizer.train_from_iterator([words, f" {words}"] * 5, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<end>")
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.2,
        bos_token_id=0,
        eos_token_id=0,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def told_pair() -> DomainPair:
    """The pair of HISTORY: home is the source, tech the target, six items each."""

    def table(domain: str) -> tuple[str, pl.DataFrame, pl.DataFrame]:
        rows = [
            (user, f"{domain}{item}", None, time, None, part)
            for user, events in HISTORY.items()
            for where, item, time, part in events
            if where == domain
        ]
        schema = {
            USER: pl.String,
            ITEM: pl.String,
            RATING: pl.Float32,
            TIMESTAMP: pl.Int64,
            POSITION: pl.Int64,
            SPLIT: pl.String,
        }
        items = pl.DataFrame({ITEM: [f"{domain}{item}" for item in range(6)]}).with_columns(
            title=pl.lit(None).cast(pl.String)
        )
        return domain, pl.DataFrame(rows, schema, orient="row"), items

    return align(table("home"), table("tech"), "cut", TIMESTAMP)


@pytest.fixture(scope="session")
def texts() -> list[str | None]:
    """By code: the target's six items, of which the last has no text, then the source's."""
    return ["T0", "T1", "T2", "T3", "T4", None, "H0", "H1", "H2", "H3", "H4", "H5"]
