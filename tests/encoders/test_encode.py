from pathlib import Path

import numpy as np
import pytest
import torch

from crossrec.encoders import encode as encoding
from crossrec.encoders.encode import encode, length_buckets, pad, pool
from crossrec.encoders.language_model import MINILM, locate

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


@pytest.mark.parametrize("pooling", ["mean", "cls", "last"])
def test_a_vector_depends_on_its_text_alone(folder: Path, pooling: str) -> None:
    expected = np.concatenate([encode([text], folder, pooling)[0] for text in TEXTS])
    order = [3, 0, 4, 2, 1, 0]
    for batch_tokens in (1, 16, 1000):
        shuffled = [TEXTS[place] for place in order]
        vectors, _ = encode(shuffled, folder, pooling, batch_tokens=batch_tokens)
        np.testing.assert_allclose(vectors, expected[order], atol=1e-5)
    first_token_tells_nothing = pooling == "cls" and folder.name.startswith("tiny_llama")
    if not first_token_tells_nothing:
        assert np.abs(expected[0] - expected[3]).max() > 0.01


def test_equal_texts_are_encoded_once(tiny_bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(*args: object) -> torch.nn.Module:
        body = open_body(*args)
        body.embeddings.register_forward_hook(lambda _, __, output: seen.append(len(output)))
        return body

    open_body = encoding.open_body
    monkeypatch.setattr(encoding, "open_body", counted)
    vectors, _ = encode(["red pan", "lamp", "red pan", None, "red pan"], tiny_bert)
    assert sum(seen) == 2
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
    with pytest.raises(ValueError, match=r"encoder.pooling=max: expected one of mean, cls, last"):
        encode(TEXTS, tiny_bert, pooling="max")
    for dtype in ("int8", "load", "float99"):
        with pytest.raises(ValueError, match=rf"encoder.dtype={dtype}"):
            encode(TEXTS, tiny_bert, dtype=dtype)


def test_pooling_by_hand() -> None:
    hidden = torch.tensor([[[1.0], [3.0], [9.0]], [[2.0], [9.0], [9.0]]])
    attention = torch.tensor([[1, 1, 0], [1, 0, 0]])
    assert pool(hidden, attention, "mean").tolist() == [[2.0], [2.0]]
    assert pool(hidden, attention, "cls").tolist() == [[1.0], [2.0]]
    assert pool(hidden, attention, "last").tolist() == [[3.0], [2.0]]


def test_padding_by_hand() -> None:
    ids, attention = pad([[7, 8], [9]])
    assert ids.tolist() == [[7, 8], [9, 0]]
    assert attention.tolist() == [[1, 1], [1, 0]]


def test_buckets_by_hand() -> None:
    assert length_buckets([2, 5, 2, 9, 4], batch_tokens=8) == [[3], [1], [4, 0], [2]]
    assert length_buckets([], batch_tokens=8) == []


def test_minilm_gives_sentence_transformers_vectors(tmp_path: Path) -> None:
    library = pytest.importorskip("sentence_transformers")
    folder = locate(MINILM, tmp_path)
    texts = ["Cast iron pan, 12 inch", "", "USB-C charger", "A long story. " * 100, "Ünïcode ☂ 鍋"]
    reference = library.SentenceTransformer(str(folder), device="cpu")
    expected = reference.encode(texts, normalize_embeddings=True, show_progress_bar=False)
    np.testing.assert_allclose(encode(texts, folder)[0], expected, atol=1e-5)
