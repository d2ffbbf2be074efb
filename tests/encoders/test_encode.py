import itertools
import logging
from pathlib import Path

import numpy as np
import pytest
import torch

from crossrec.encoders.batching import equal_lengths, length_buckets, pad, pool, tokenize
from crossrec.encoders.encode import encode, longest_text
from crossrec.encoders.language_model import open_body, open_tokenizer
from crossrec.errors import UserError

WORDS = ["red", "green", "blue", "steel", "oak", "glass", "knife"]
TEXTS = ["red oak chair", "lamp", "blue glass lamp blue glass lamp", "steel pan", "knife red pan"]


@pytest.fixture(params=["tiny_bert", "tiny_llama"])
def folder(request: pytest.FixtureRequest) -> Path:
    return request.getfixturevalue(request.param)


def test_items_without_text_are_zero_and_unmasked(folder: Path) -> None:
    vectors, mask = encode([None, "red lamp", None, ""], folder)
    assert vectors.shape == (4, 32)
    assert vectors.dtype == np.float32
    assert mask.tolist() == [False, True, False, True]
    np.testing.assert_array_equal(vectors[[0, 2]], 0.0)
    np.testing.assert_allclose(np.linalg.norm(vectors[[1, 3]], axis=1), 1.0, rtol=1e-5)


def test_no_text_at_all(folder: Path) -> None:
    vectors, mask = encode([None, None], folder)
    assert not vectors.any()
    assert not mask.any()
    assert encode([], folder)[0].shape == (0, 32)


@pytest.mark.parametrize("pooling", ["mean", "cls", "last", "weighted"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "int8"])
def test_a_vector_depends_on_its_text_alone(folder: Path, pooling: str, dtype: str) -> None:
    """Bit for bit on processors known to us: what a cache holds is what would be computed."""
    expected = np.concatenate([encode([t], folder, pooling, dtype=dtype)[0] for t in TEXTS])
    order = [3, 0, 4, 2, 1, 0]
    for batch_tokens in (1, 16, 1000):
        shuffled = [TEXTS[place] for place in order]
        vectors, _ = encode(shuffled, folder, pooling, batch_tokens=batch_tokens, dtype=dtype)
        np.testing.assert_array_equal(vectors, expected[order])
    first_token_tells_nothing = pooling == "cls" and folder.name.startswith("tiny_llama")
    if not first_token_tells_nothing:
        assert np.abs(expected[0] - expected[3]).max() > 0.01


def test_equal_texts_are_encoded_once(tiny_bert: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "crossrec")
    vectors, _ = encode(["red pan", "lamp", "red pan", None, "red pan"], tiny_bert)
    assert "encoded 2 new of 2 texts (0 from cache)" in caplog.text
    np.testing.assert_array_equal(vectors[0], vectors[4])


def test_texts_beyond_the_limit_are_cut(tiny_bert: Path) -> None:
    vectors, _ = encode(["red pan lamp", "red pan oak", "red lamp"], tiny_bert, max_length=4)
    np.testing.assert_allclose(vectors[0], vectors[1], atol=1e-6)  # [CLS] red pan [SEP]
    assert np.abs(vectors[0] - vectors[2]).max() > 0.01
    long = encode(["red " * 100], tiny_bert, max_length=1000)[0]  # the model itself ends at 32
    np.testing.assert_allclose(long, encode(["red " * 30], tiny_bert)[0], atol=1e-6)


def test_length_is_kept_where_it_is_asked_for(tiny_bert: Path) -> None:
    raw = encode(TEXTS, tiny_bert, normalize=False)[0]
    lengths = np.linalg.norm(raw, axis=1, keepdims=True)
    assert lengths.max() > 1.5
    np.testing.assert_allclose(raw / lengths, encode(TEXTS, tiny_bert)[0], atol=1e-5)


def test_bfloat16_points_the_same_way(folder: Path) -> None:
    exact, half = encode(TEXTS, folder)[0], encode(TEXTS, folder, dtype="bfloat16")[0]
    assert 0.99 < (exact * half).sum(axis=1).min() < 1 - 1e-7


def test_bad_arguments_are_named(tiny_bert: Path) -> None:
    with pytest.raises(UserError, match=r"encoder.pooling=max: expected one of mean, cls, last"):
        encode(TEXTS, tiny_bert, pooling="max")
    with pytest.raises(UserError, match=r"encoder.dtype=load: expected one of float32"):
        encode(TEXTS, tiny_bert, dtype="load")
    with pytest.raises(UserError, match=r"encoder.dtype=int8: for processors alone.*cuda"):
        encode(TEXTS, tiny_bert, dtype="int8", device="cuda")
    with pytest.raises(UserError, match=r"encoder.layers=\[3\]: .* has 2 layers"):
        encode(TEXTS, tiny_bert, layers=[3])


def test_layers_by_hand(folder: Path) -> None:
    body, tokens = open_body(folder), tokenize(open_tokenizer(folder), ["red oak chair"], 32)
    with torch.inference_mode():
        states = body(torch.tensor(tokens), output_hidden_states=True).hidden_states
    last, first = states[2][0].mean(dim=0), states[1][0].mean(dim=0)

    def vector(*layers: int) -> np.ndarray:
        return encode(["red oak chair"], folder, normalize=False, layers=layers)[0][0]

    np.testing.assert_allclose(vector(-1), last, atol=1e-5)
    np.testing.assert_allclose(vector(1), first, atol=1e-5)
    np.testing.assert_allclose(vector(1, 2), (first + last) / 2, atol=1e-5)


def test_a_prefix_stands_before_every_text(folder: Path) -> None:
    vectors = encode(["oak", "lamp", None], folder, prefix="red ")[0]
    np.testing.assert_array_equal(vectors[:2], encode(["red oak", "red lamp"], folder)[0])
    assert not vectors[2].any()


def test_the_longest_text_comes_from_the_texts(tiny_bert: Path) -> None:
    texts = ["red oak"] * 99 + ["red " * 20]  # 4 tokens, 22 tokens
    assert longest_text(texts, tiny_bert) == 8
    assert longest_text(texts[-2:], tiny_bert) == 24
    assert longest_text(texts[:9], tiny_bert, prefix="red red lamp oak pan ") == 16
    assert longest_text(["red " * 100], tiny_bert) == 32  # where the model ends


def test_processes_give_what_one_gives_bit_for_bit(tiny_bert: Path) -> None:
    texts = [*TEXTS, None, *(" ".join(words) for words in itertools.permutations(WORDS, 2))]
    alone, together = (encode(texts, tiny_bert, workers=n)[0] for n in (1, 2))
    np.testing.assert_array_equal(alone, together)


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [9.0]], [[2.0], [9.0], [9.0]]])
    attention = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert pool(hidden, attention, "mean").tolist() == [[2.0], [2.0]]
    weighted = pool(hidden, attention, "weighted")[:, 0].tolist()
    assert weighted == pytest.approx([(1 * 1 + 2 * 3) / (1 + 2), 2.0])
    assert pool(hidden, attention, "cls").tolist() == [[1.0], [2.0]]
    assert pool(hidden, attention, "last").tolist() == [[3.0], [2.0]]


def test_padding_by_hand() -> None:
    ids, attention = pad([[7, 8], [9]])
    assert ids.tolist() == [[7, 8], [9, 0]]
    assert attention.tolist() == [[1, 1], [1, 0]]


def test_equal_lengths_by_hand() -> None:
    assert equal_lengths([2, 5, 2, 9, 2], batch_tokens=8) == [[3], [1], [0, 2, 4]]
    assert equal_lengths([2, 2, 2], batch_tokens=5) == [[0, 1], [2]]
    assert equal_lengths([], batch_tokens=8) == []


def test_buckets_by_hand() -> None:
    assert length_buckets([2, 5, 2, 9, 4], batch_tokens=8) == [[3], [1], [4, 0], [2]]
    assert length_buckets([], batch_tokens=8) == []
