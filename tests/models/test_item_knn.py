"""Similarities by hand, against a dense computation, and independence of blocks and of order."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from crossrec.models.item_knn import ItemKNN

TRAIN = np.array([[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0]], dtype=np.float32)


def dense_scores(train: np.ndarray, n_neighbors: int, shrinkage: float) -> np.ndarray:
    """The definition, item by item."""
    n_items = train.shape[1]
    norms = np.sqrt((train**2).sum(axis=0))
    neighbors = np.zeros((n_items, n_items))
    for i in range(n_items):
        similarity = np.zeros(n_items)
        for j in range(n_items):
            common = float(train[:, i] @ train[:, j])
            if i != j and common > 0:
                similarity[j] = common / (norms[i] * norms[j] + shrinkage)
        best = np.argsort(-similarity, kind="stable")[:n_neighbors]
        neighbors[i, best] = similarity[best]
    return train @ neighbors


def test_cosine_by_hand() -> None:
    # Users per item: 2, 3, 2, 0. Common: (0,1) 2, (0,2) 1, (1,2) 2.
    scores = ItemKNN(n_neighbors=3, shrinkage=0.0).fit(csr_array(TRAIN)).score(csr_array(TRAIN[:1]))
    a, b = 2 / math.sqrt(6), 1 / 2
    assert scores[0].tolist() == pytest.approx([a, a, b + a, 0.0])


def test_shrinkage_by_hand() -> None:
    user = csr_array(np.array([[1, 0, 0, 0]], dtype=np.float32))
    scores = ItemKNN(n_neighbors=3, shrinkage=2.0).fit(csr_array(TRAIN)).score(user)
    assert scores[0].tolist() == pytest.approx([0.0, 2 / (math.sqrt(6) + 2), 1 / 4, 0.0])


def test_one_neighbor_keeps_the_nearest() -> None:
    user = csr_array(np.array([[1, 0, 0, 0]], dtype=np.float32))
    scores = ItemKNN(n_neighbors=1, shrinkage=0.0).fit(csr_array(TRAIN)).score(user)
    assert torch.count_nonzero(scores[0]).item() == 1
    assert scores[0].argmax().item() == 1


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 6), st.sampled_from([0.0, 1.0, 10.0]))
def test_equals_the_dense_definition_for_any_block(
    seed: int, n_neighbors: int, shrinkage: float
) -> None:
    train = (np.random.default_rng(seed).random((9, 7)) < 0.4).astype(np.float32)
    expected = dense_scores(train, n_neighbors, shrinkage)
    for block_scores in (1, 20, 2**24):
        model = ItemKNN(n_neighbors, shrinkage, block_scores).fit(csr_array(train))
        assert np.allclose(model.score(csr_array(train)).numpy(), expected, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10**6))
def test_order_of_users_changes_nothing(seed: int) -> None:
    generator = np.random.default_rng(seed)
    train = (generator.random((12, 8)) < 0.4).astype(np.float32)
    shuffled = train[generator.permutation(12)]
    one = ItemKNN(2, 1.0).fit(csr_array(train)).score(csr_array(train))
    two = ItemKNN(2, 1.0).fit(csr_array(shuffled)).score(csr_array(train))
    assert torch.equal(one, two)


def test_empty_training_scores_zero() -> None:
    scores = ItemKNN().fit(csr_array((3, 4), dtype=np.float32)).score(csr_array((2, 4)))
    assert scores.dtype == torch.float32
    assert scores.tolist() == [[0.0] * 4] * 2


def test_arguments_out_of_range_fail() -> None:
    with pytest.raises(ValueError, match="n_neighbors must be >= 1"):
        ItemKNN(n_neighbors=0)
