"""Folders of sentence-transformers are read as the library reads them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from crossrec.encoders.encode import encode
from crossrec.encoders.language_model import MINILM, locate
from crossrec.encoders.sentence_folder import head_of, pooling_of, prefix_of
from crossrec.errors import UserError

TEXTS = ["red oak chair", "lamp", "blue glass lamp blue glass lamp", "steel pan", "knife red pan"]


def write(file: Path, content: object) -> None:
    file.parent.mkdir(exist_ok=True)
    file.write_text(json.dumps(content))


@pytest.fixture
def dense(tiny_bert: Path, tmp_path: Path) -> Path:
    """tiny_bert as sentence-transformers would save it, with a Dense module from 32 to 8."""
    folder = tmp_path / "dense"
    shutil.copytree(tiny_bert, folder)
    kinds = ("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "2_Dense")
    modules = [
        {"idx": n, "name": str(n), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for n, (kind, path) in enumerate(kinds)
    ]
    write(folder / "modules.json", modules)
    write(folder / "sentence_bert_config.json", {"max_seq_length": 6, "do_lower_case": False})
    pooling = {"word_embedding_dimension": 32, "pooling_mode_mean_tokens": True}
    write(folder / "1_Pooling" / "config.json", pooling)
    activation = "torch.nn.modules.activation.Tanh"
    sizes = {"in_features": 32, "out_features": 8, "bias": True, "activation_function": activation}
    write(folder / "2_Dense" / "config.json", sizes)
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(*size, generator=generator) for size in ((8, 32), (8,)))
    weights = {"linear.weight": weight, "linear.bias": bias}
    save_file(weights, folder / "2_Dense" / "model.safetensors")
    return folder


def test_a_dense_module_by_hand(dense: Path, tiny_bert: Path) -> None:
    pooled = torch.from_numpy(encode(TEXTS[:2], tiny_bert, normalize=False)[0])
    generator = torch.Generator().manual_seed(0)
    weight, bias = (torch.randn(*size, generator=generator) for size in ((8, 32), (8,)))
    vectors, _ = encode(TEXTS[:2], dense, normalize=False)
    assert vectors.shape == (2, 8)
    np.testing.assert_allclose(vectors, torch.tanh(pooled @ weight.T + bias), atol=1e-5)
    assert encode([None], dense)[0].shape == (1, 8)


@pytest.mark.parametrize("normalizes", [False, True])
@pytest.mark.parametrize(
    "pooling", ["mean_tokens", "cls_token", "lasttoken", "weightedmean_tokens"]
)
def test_the_library_gives_the_same_vectors(dense: Path, pooling: str, normalizes: bool) -> None:
    library = pytest.importorskip("sentence_transformers")
    write(
        dense / "1_Pooling" / "config.json",
        {
            "word_embedding_dimension": 32,
            "pooling_mode_mean_tokens": False,
            f"pooling_mode_{pooling}": True,
        },
    )
    prompts = {"prompts": {"item": "red knife "}, "default_prompt_name": "item"}
    write(dense / "config_sentence_transformers.json", prompts)
    if normalizes:
        modules = json.loads((dense / "modules.json").read_text())
        kind = "sentence_transformers.models.Normalize"
        modules.append({"idx": 3, "name": "3", "path": "3_Normalize", "type": kind})
        write(dense / "modules.json", modules)
    reference = library.SentenceTransformer(str(dense), device="cpu")
    expected = reference.encode(TEXTS, show_progress_bar=False)
    assert prefix_of(dense) == "red knife "
    vectors, _ = encode(TEXTS, dense, pooling_of(dense), normalize=False)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


def test_minilm_gives_the_librarys_vectors(tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = locate(MINILM, tmp_path)
    texts = ["Cast iron pan, 12 inch", "", "USB-C charger", "A long story. " * 100, "Ünïcode ☂ 鍋"]
    reference = library.SentenceTransformer(str(folder), device="cpu")
    expected = reference.encode(texts, show_progress_bar=False)
    vectors, _ = encode(texts, folder, normalize=False, max_length=1000)
    np.testing.assert_allclose(vectors, expected, atol=1e-5)


@pytest.mark.parametrize(
    ("stated", "pooling"),
    [
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, "cls"),
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_lasttoken": True}, "last"),
        ({"pooling_mode_weightedmean_tokens": True}, "weighted"),
        ({"pooling_mode": "cls"}, "cls"),
        ({"pooling_mode": "lasttoken"}, "last"),
        ({"pooling_mode": ["weightedmean"]}, "weighted"),
    ],
)
def test_the_folder_says_how_to_pool(
    stated: dict[str, object], pooling: str, tmp_path: Path
) -> None:
    assert pooling_of(tmp_path) == "mean"
    write(tmp_path / "1_Pooling" / "config.json", stated)
    assert pooling_of(tmp_path) == pooling


@pytest.mark.parametrize(
    "stated",
    [
        {"pooling_mode_max_tokens": True},
        {"pooling_mode_mean_tokens": True, "pooling_mode_cls_token": True},
        {"pooling_mode": ["mean", "max"]},
    ],
)
def test_poolings_that_we_do_not_have(stated: dict[str, object], tmp_path: Path) -> None:
    write(tmp_path / "1_Pooling" / "config.json", stated)
    with pytest.raises(UserError, match=r"1_Pooling/config.json: no pooling of mean, cls, last"):
        pooling_of(tmp_path)


def test_what_cannot_be_read_is_refused(dense: Path) -> None:
    config = json.loads((dense / "2_Dense" / "config.json").read_text())
    for changed, words in (
        ({"activation_function": "os.system"}, "activation_function=os.system is none of"),
        ({"use_residual": True}, "neither use_residual nor"),
    ):
        write(dense / "2_Dense" / "config.json", {**config, **changed})
        with pytest.raises(UserError, match=words):
            head_of(dense)
    write(dense / "2_Dense" / "config.json", config)
    weights = dense / "2_Dense" / "model.safetensors"
    weights.rename(weights.with_name("pytorch_model.bin"))
    with pytest.raises(UserError, match=r"2_Dense has no model.safetensors.*can run code"):
        head_of(dense)
    write(dense / "modules.json", [{"type": "mine.models.LSTM", "path": "2_LSTM"}])
    with pytest.raises(UserError, match=r"modules.json: LSTM is no module of"):
        head_of(dense)
    write(dense / "modules.json", [])
    write(dense / "1_Pooling" / "config.json", {"include_prompt": False})
    with pytest.raises(UserError, match=r"encoder.prefix='a: '.*leaves its prefix out"):
        encode(TEXTS, dense, prefix="a: ")
