from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn.functional import cosine_similarity, linear
from transformers import GPT2Config, GPT2Model

from crossrec.encoders import encode as encoding
from crossrec.encoders import linear as linears
from crossrec.encoders.encode import admissible_dtype, encode
from crossrec.encoders.linear import (
    Int8Linear,
    PackedLinear,
    can_pack,
    fastest_dtype,
    speed_up,
)

needs_onednn = pytest.mark.skipif(not can_pack(), reason="this torch has no oneDNN")


def test_int8_by_hand() -> None:
    # Largest entries 127: every number is its own 8-bit form, so the product is exact.
    weight = torch.tensor([[127.0, 1.0], [-127.0, 2.0]])
    x = torch.tensor([[[127.0, 3.0]], [[0.0, 0.0]]])
    y = Int8Linear(weight, torch.tensor([0.5, 0.0]))(x)
    assert y.tolist() == [[[127 * 127 + 3 + 0.5, -127 * 127 + 6]], [[0.5, 0.0]]]


def test_int8_of_one_input() -> None:
    weight = torch.tensor([[127.0], [-127.0], [1.0]])
    assert Int8Linear(weight, None)(torch.tensor([[127.0]])).tolist() == [[16129, -16129, 127]]


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 999), st.integers(1, 40), st.integers(1, 70), st.integers(1, 30))
def test_int8_is_near_and_a_row_does_not_know_the_others(
    seed: int, rows: int, inputs: int, outputs: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    weight = torch.randn(outputs, inputs, generator=generator)
    x = torch.randn(rows, inputs, generator=generator) * torch.logspace(-3, 3, rows)[:, None]
    layer = Int8Linear(weight, None)
    y = layer(x)
    # |error| <= sum over inputs of |w| * half a step of x + |x| * half a step of w, and both
    half_x = x.abs().amax(dim=1, keepdim=True) / 254
    half_w = weight.abs().amax(dim=1) / 254
    bound = half_x @ weight.abs().sum(dim=1)[None] + x.abs().sum(dim=1)[:, None] * half_w
    bound += inputs * half_x * half_w
    # A processor without VNNI adds 16-bit sums of 7-bit numbers: twice the step.
    assert ((y - linear(x, weight)).abs() <= 2 * bound * 1.001 + 1e-6).all()
    assert torch.equal(layer(x[rows // 2 :]), y[rows // 2 :])


@needs_onednn
def test_packed_maps_change_nothing_but_the_last_bits() -> None:
    torch.manual_seed(0)
    layer, x = nn.Linear(48, 33), torch.randn(3, 5, 48)
    packed = PackedLinear(layer.weight, layer.bias)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), layer(x))
        torch.testing.assert_close(PackedLinear(layer.weight, None)(x), x @ layer.weight.T)


@pytest.mark.parametrize("dtype", ["int8", pytest.param("float32", marks=needs_onednn)])
def test_gpt2s_own_kind_of_map_is_sped_up_too(dtype: str) -> None:
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=50, n_positions=16, n_embd=32, n_layer=2, n_head=2)
    body, ids = GPT2Model(config).eval(), torch.arange(12)[None]
    with torch.inference_mode():
        exact = body(ids).last_hidden_state
        speed_up(body, dtype)
        fast = body(ids).last_hidden_state
    kinds = {type(module).__name__ for module in body.modules()}
    assert kinds & {"Conv1D", "Linear"} == set()
    assert cosine_similarity(exact, fast, dim=2).min() > (0.99 if dtype == "int8" else 1 - 1e-6)


def test_int8_vectors_point_the_same_way(tiny_bert: Path, tiny_llama: Path) -> None:
    texts = ["red oak chair", "lamp", "blue glass lamp blue glass lamp", "steel pan"]
    for folder in (tiny_bert, tiny_llama):
        exact, rounded = encode(texts, folder)[0], encode(texts, folder, dtype="int8")[0]
        assert 0.99 < (exact * rounded).sum(axis=1).min() < 1 - 1e-7


@pytest.mark.parametrize(
    ("features", "dtype"),
    [
        ({"avx512_bf16": True, "avx2": True}, "bfloat16"),
        ({"amx_bf16": True, "avx2": True}, "bfloat16"),
        ({"avx512_vnni": True, "avx2": True}, "int8"),
        ({"avx512_f": True, "avx2": True}, "float32"),
        ({"avx2": True}, "float32"),
        ({"neon": True}, "float32"),
    ],
)
def test_the_type_is_chosen_by_what_the_processor_has(
    features: dict[str, bool], dtype: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: features, raising=False)
    assert fastest_dtype("cpu") == dtype


@pytest.mark.parametrize("has_units", [True, False])
def test_int8_without_units_for_it_is_said_to_be_slow(
    has_units: bool,
    tiny_bert: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(encoding, "has_int8_units", lambda: has_units)
    encode(["lamp"], tiny_bert, dtype="int8")
    assert ("slower than float32 on this processor" in caplog.text) is not has_units


@pytest.mark.parametrize("fastest", ["int8", "bfloat16"])
def test_auto_is_exact_where_the_model_does_not_stand_the_fast_type(
    tiny_bert: Path, fastest: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoding, "fastest_dtype", lambda _: fastest)
    assert admissible_dtype(tiny_bert, "mean", "cpu") == fastest
    texts = ["red oak chair", "lamp"]
    fast, exact = (encode(texts, tiny_bert, dtype=d)[0] for d in (fastest, "float32"))
    np.testing.assert_array_equal(encode(texts, tiny_bert, dtype="auto")[0], fast)
    monkeypatch.setattr(encoding, "MIN_COSINE", 1.1)
    assert admissible_dtype(tiny_bert, "mean", "cpu") == "float32"
    np.testing.assert_array_equal(encode(texts, tiny_bert, dtype="auto")[0], exact)


def test_a_torch_without_the_operators_computes_as_it_can(
    tiny_bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    exact = encode(["red oak chair"], tiny_bert)[0]
    monkeypatch.setattr(linears.PackedLinear, "__init__", lambda *_: 1 / [].missing)
    assert not can_pack()
    np.testing.assert_allclose(encode(["red oak chair"], tiny_bert)[0], exact, atol=1e-5)
