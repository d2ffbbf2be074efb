"""LoRA in continued pretraining: what learns, what rests, and that a plain folder is left."""

import copy
from pathlib import Path

import lightning
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    AutoModel,
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    BertModel,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerFast,
)
from transformers.pytorch_utils import Conv1D

from crossrec.configuration.values import check_values
from crossrec.encoders.language_head import last_layers, open_with_head
from crossrec.encoders.low_rank import add_low_rank, merge_low_rank
from crossrec.errors import UserError
from crossrec.training.language_model_training import LanguageModelTraining
from crossrec.training.material import Material
from crossrec.training.options import PretrainingOptions
from crossrec.training.pretraining import pretrain
from crossrec.training.schedule import Schedule

COLOR = {"knife": "red", "lamp": "green", "pan": "blue", "chair": "gray"}  # what there is to learn
SIZES = ["one", "two", "three", "four", "five", "six", "seven", "eight"]
TEXTS = [f"{COLOR[n]} {n} number {a} and {b}" for n in COLOR for a in SIZES for b in SIZES]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*SPECIAL, *sorted({word for text in TEXTS for word in text.split()})]
SHARED = {
    "vocab_size": len(WORDS),
    "bos_token_id": 3,
    "eos_token_id": 3,
    "pad_token_id": 0,
    "initializer_range": 0.2,
}
BERT = BertConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
    **SHARED,
)
# A projection of its own: a head that is no part of the body.
LLAMA = LlamaConfig(
    hidden_size=32,
    num_hidden_layers=2,
    num_attention_heads=2,
    intermediate_size=64,
    max_position_embeddings=32,
    tie_word_embeddings=False,
    **SHARED,
)
GPT2 = GPT2Config(n_embd=32, n_layer=2, n_head=2, n_positions=32, **SHARED)
MAPS = {  # of a layer, as the architectures name them
    "bert": (
        "attention.self.query", "attention.self.key", "attention.self.value",
        "attention.output.dense", "intermediate.dense", "output.dense",
    ),
    "llama": (
        "self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj",
        "mlp.gate_proj", "mlp.up_proj", "mlp.down_proj",
    ),
    "gpt2": ("attn.c_attn", "attn.c_proj", "mlp.c_fc", "mlp.c_proj"),
}  # fmt: skip
STACKS = {"bert": "encoder.layer", "llama": "layers", "gpt2": "h"}
FAMILIES = sorted(MAPS)


@pytest.fixture(scope="module")
def origins(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Tiny models with random weights: a BERT without a head, one with it, a LLaMA, a GPT-2."""
    tokenizer = Tokenizer(models.WordLevel({w: n for n, w in enumerate(WORDS)}, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
        eos_token="[SEP]",
    )
    made: dict[str, Path] = {}
    for name, make, config in (
        ("bert", BertModel, BERT),
        ("bert_with_head", BertForMaskedLM, BERT),
        ("llama", LlamaForCausalLM, LLAMA),
        ("gpt2", GPT2LMHeadModel, GPT2),
    ):
        made[name] = tmp_path_factory.mktemp(name)
        torch.manual_seed(0)
        make(copy.deepcopy(config)).save_pretrained(made[name])
        fast.save_pretrained(made[name])
    return made


def learn(origin: Path, folder: Path, max_steps: int = 6, **options: object) -> dict[str, float]:
    """Pretrain with adapters of rank 2, unless `options` say otherwise."""
    trainer = lightning.Trainer(
        max_steps=max_steps,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    given = {"lora_rank": 2, "learning_rate": 1e-2, "meaning_weight": 0.0, **options}
    seed = given.pop("seed", 0)
    settings = PretrainingOptions(**given)
    return pretrain(Material(TEXTS), origin, folder, trainer, settings, seed=seed)


def weights(folder: Path, head: bool = False) -> dict[str, torch.Tensor]:
    opened = (AutoModelForCausalLM if head else AutoModel).from_pretrained(folder)
    return dict(opened.state_dict())


def maps(family: str, layers: tuple[int, ...] = (0, 1)) -> set[str]:
    """Names of the weights of a body's linear maps."""
    return {f"{STACKS[family]}.{n}.{name}.weight" for n in layers for name in MAPS[family]}


def adapted(origin: Path, rank: int = 2, layers: int | None = None) -> PreTrainedModel:
    """A network whose adapters have learned something: A and B drawn at random."""
    objective = "masked" if "bert" in origin.name else "causal"
    network, _ = open_with_head(origin, objective, seed=0)
    add_low_rank(network, rank, layers, seed=0)
    torch.manual_seed(1)
    for name, parameter in network.named_parameters():
        if ".lora_" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    return network.eval()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_start_is_the_origin(origins: dict[str, Path], family: str) -> None:
    objective = "masked" if family == "bert" else "causal"
    network, _ = open_with_head(origins[family], objective, seed=0)
    ids = torch.randint(len(WORDS), (4, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(ids).logits
        add_low_rank(network, rank=2, trainable_layers=None, seed=0)
        assert network(ids).logits.equal(before)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_merged_network_is_the_adapted_one(origins: dict[str, Path], family: str) -> None:
    network = adapted(origins[family])
    names = set(AutoModel.from_pretrained(origins[family]).state_dict())
    ids = torch.randint(len(WORDS), (4, 9), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = network(ids).logits
        plain = open_with_head(origins[family], "masked" if family == "bert" else "causal", 0)[0]
        assert (before - plain(ids).logits).abs().max() > 0.1  # the adapters do something
        merge_low_rank(network.base_model)
        torch.testing.assert_close(network(ids).logits, before, rtol=1e-4, atol=1e-5)
    merged = set(network.base_model.state_dict())
    assert merged == {name for name in names if not name.startswith("pooler.")}
    assert not hasattr(network.base_model, "peft_config")


@pytest.mark.parametrize(
    ("family", "name"),
    [("bert", "encoder.layer.1.intermediate.dense"), ("llama", "layers.0.mlp.down_proj"),
     ("gpt2", "h.1.attn.c_attn")],
)  # fmt: skip
def test_what_is_merged_by_hand(origins: dict[str, Path], family: str, name: str) -> None:
    """W + (alpha / r) B A with alpha = 2 r; Conv1D holds its weight transposed."""
    network = adapted(origins[family], rank=3)
    layer = network.base_model.get_submodule(name)
    a, b = layer.lora_A["default"].weight, layer.lora_B["default"].weight
    origin = weights(origins[family])[f"{name}.weight"]
    difference = 2.0 * torch.einsum("or,ri->oi", b, a).detach()
    by_hand = origin + (difference.T if family == "gpt2" else difference)
    assert a.shape[0] == b.shape[1] == 3
    merge_low_rank(network.base_model)
    found = network.base_model.get_parameter(f"{name}.weight")
    torch.testing.assert_close(found.detach(), by_hand, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("family", FAMILIES)
def test_the_folder_differs_by_low_rank_maps_alone(
    origins: dict[str, Path], tmp_path: Path, family: str
) -> None:
    learn(origins[family], tmp_path)
    before, after = weights(origins[family]), weights(tmp_path)
    assert {name: value.shape for name, value in after.items()} == {
        name: value.shape for name, value in before.items()
    }
    assert {name for name in before if not before[name].equal(after[name])} == maps(family)
    for name in maps(family):
        singular = torch.linalg.svdvals((after[name] - before[name]).double())
        assert singular[0] > 1e-3
        assert singular[2:].max() < 1e-5 * singular[0]  # float32's sum W + B A rounds


def test_a_published_head_rests(origins: dict[str, Path], tmp_path: Path) -> None:
    learn(origins["llama"], tmp_path)
    before, after = weights(origins["llama"], head=True), weights(tmp_path, head=True)
    assert "lm_head.weight" in before
    assert after["lm_head.weight"].equal(before["lm_head.weight"])
    learn(origins["bert_with_head"], tmp_path / "bert")
    origin = BertForMaskedLM.from_pretrained(origins["bert_with_head"]).state_dict()
    saved = BertForMaskedLM.from_pretrained(tmp_path / "bert").state_dict()
    changed = {name for name in origin if not origin[name].equal(saved[name])}
    assert changed == {f"bert.{name}" for name in maps("bert")}


def test_a_fresh_head_learns_whole(origins: dict[str, Path]) -> None:
    network, fresh = open_with_head(origins["bert"], "masked", seed=0)
    add_low_rank(network, rank=2, trainable_layers=None, seed=0)
    module = LanguageModelTraining(network, [], None, Schedule(1.0, 1.0, 0, 0, 1), None, None)
    assert fresh
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    assert {names[id(parameter)] for parameter in module.head} == {
        "cls.predictions.transform.dense.weight",
        "cls.predictions.transform.dense.bias",
        "cls.predictions.transform.LayerNorm.weight",
        "cls.predictions.transform.LayerNorm.bias",
        "cls.predictions.bias",
    }
    assert {name.split(".lora_")[0] for name in map(names.get, map(id, module.body))} == {
        f"bert.{name.removesuffix('.weight')}" for name in maps("bert")
    }
    per_layer = 2 * (4 * (32 + 32) + 2 * (32 + 64))  # r (inputs + outputs) of each map
    assert sum(parameter.numel() for parameter in module.body) == 2 * per_layer


def test_the_body_rests_while_a_fresh_head_warms_up(
    origins: dict[str, Path], tmp_path: Path
) -> None:
    measures = learn(origins["bert"], tmp_path, head_share=1.0)
    assert measures["perplexity_after"] < measures["perplexity_before"]
    before, after = weights(origins["bert"]), weights(tmp_path)
    assert all(before[name].equal(after[name]) for name in before)


@pytest.mark.parametrize("family", FAMILIES)
def test_only_the_last_layers_are_adapted(
    origins: dict[str, Path], tmp_path: Path, family: str
) -> None:
    learn(origins[family], tmp_path, trainable_layers=1)
    before, after = weights(origins[family]), weights(tmp_path)
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == maps(family, layers=(1,))


@pytest.mark.parametrize("family", FAMILIES)
def test_held_out_perplexity_falls(origins: dict[str, Path], tmp_path: Path, family: str) -> None:
    measures = learn(origins[family], tmp_path, max_steps=40)
    origin = measures["perplexity_head"] or measures["perplexity_before"]  # the body as it was
    assert measures["perplexity_after"] < 0.4 * origin


def test_the_meaning_is_held_by_the_origin(origins: dict[str, Path], tmp_path: Path) -> None:
    """A strong second term leaves the weights nearer the origin than none does."""
    moved = {}
    before = weights(origins["llama"])
    for weight in (0.0, 1e4):
        learn(origins["llama"], tmp_path / str(weight), max_steps=20, meaning_weight=weight)
        after = weights(tmp_path / str(weight))
        moved[weight] = sum(float((after[name] - before[name]).norm()) for name in maps("llama"))
    assert 0.0 < moved[1e4] < 0.7 * moved[0.0]


def test_the_same_seed_gives_the_same_weights(origins: dict[str, Path], tmp_path: Path) -> None:
    learn(origins["llama"], tmp_path / "a", seed=5)
    torch.manual_seed(99)  # what the process drew before does not matter
    learn(origins["llama"], tmp_path / "b", seed=5)
    first, again = weights(tmp_path / "a"), weights(tmp_path / "b")
    assert all(first[name].equal(again[name]) for name in first)
    state = torch.get_rng_state()
    drawn = [adapted_a(origins["llama"], seed) for seed in (5, 5, 6)]
    assert torch.get_rng_state().equal(state)
    assert drawn[0].equal(drawn[1])
    assert not drawn[0].equal(drawn[2])


def adapted_a(origin: Path, seed: int) -> torch.Tensor:
    network, _ = open_with_head(origin, "causal", seed=0)
    add_low_rank(network, rank=2, trainable_layers=None, seed=seed)
    return network.base_model.layers[0].mlp.up_proj.lora_A["default"].weight


@settings(max_examples=8, deadline=None)
@given(rank=st.integers(1, 40), layers=st.integers(1, 2))
def test_any_rank_can_be_merged(origins: dict[str, Path], rank: int, layers: int) -> None:
    network = adapted(origins["gpt2"], rank, layers)
    before = weights(origins["gpt2"])
    merge_low_rank(network.base_model)
    after = network.base_model.state_dict()
    changed = {name for name in before if not before[name].equal(after[name])}
    assert changed == maps("gpt2", (0, 1)[2 - layers :])
    for name in changed:
        rank_found = torch.linalg.matrix_rank((after[name] - before[name]).double(), rtol=1e-5)
        assert rank_found <= rank


def test_the_maps_of_gpt2_are_no_linear_layers(origins: dict[str, Path]) -> None:
    network, _ = open_with_head(origins["gpt2"], "causal", seed=0)
    layers = last_layers(network, 2).values()
    kinds = {type(m) for layer in layers for m in layer.modules() if hasattr(m, "weight")}
    assert Conv1D in kinds
    assert torch.nn.Linear not in kinds


def test_values_that_cannot_be(origins: dict[str, Path], tmp_path: Path) -> None:
    for wrong in (0, -1, 1.5, "eight", True):
        with pytest.raises(UserError, match=r"pretraining.lora_rank must be a whole number >= 1"):
            check_values({"pretraining": {"lora_rank": wrong}})
    for right in (None, 1, 64):
        check_values({"pretraining": {"lora_rank": right}})
    with pytest.raises(UserError, match=r"pretraining.trainable_layers=3: .* has 2 layers"):
        learn(origins["llama"], tmp_path, trainable_layers=3)
    with pytest.raises(UserError, match=r"pretraining.lora_rank=2: there is no linear map"):
        learn(origins["llama"], tmp_path, trainable_layers=0)
