"""EASE against ridge regressions item by item, and what follows from its closed form."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.sparse import csr_array

from crossrec.models.ease import EASE, Gram

TRAIN = np.array(
    [[1, 1, 0, 0], [1, 1, 1, 0], [0, 1, 1, 0], [1, 0, 0, 1], [0, 1, 0, 1]], dtype=np.float32
)


def ridge_by_ridge(train: np.ndarray, l2: float) -> np.ndarray:
    """(items, items) B: column j regresses item j on all others, which may not name itself."""
    n_items = train.shape[1]
    weights = np.zeros((n_items, n_items))
    for j in range(n_items):
        others = np.flatnonzero(np.arange(n_items) != j)
        x, y = train[:, others].astype(np.float64), train[:, j].astype(np.float64)
        weights[others, j] = np.linalg.solve(x.T @ x + l2 * np.eye(len(others)), x.T @ y)
    return weights


def weights_of(train: np.ndarray, l2: float) -> np.ndarray:
    """(items, items) B, as the scores of users who have one item each."""
    alone = csr_array(np.eye(train.shape[1], dtype=np.float32))
    return EASE(l2).fit(csr_array(train)).score(alone).numpy()


def random_train(seed: int, n_users: int, n_items: int) -> np.ndarray:
    return (np.random.default_rng(seed).random((n_users, n_items)) < 0.4).astype(np.float32)


def test_two_items_by_hand() -> None:
    # Three users have item 0, two of them item 1 as well: B_01 = 2 / (3 + 1), B_10 = 2 / (2 + 1).
    train = np.array([[1, 1], [1, 1], [1, 0]], dtype=np.float32)
    assert weights_of(train, 1.0).tolist() == [
        pytest.approx([0, 2 / 4], abs=1e-6),
        pytest.approx([2 / 3, 0], abs=1e-6),
    ]


@pytest.mark.parametrize("l2", [0.5, 10.0])
def test_equals_one_ridge_regression_for_each_item(l2: float) -> None:
    assert not Gram(csr_array(TRAIN)).by_users
    assert np.allclose(weights_of(TRAIN, l2), ridge_by_ridge(TRAIN, l2), atol=1e-6)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 9), st.integers(1, 9), st.sampled_from([0.1, 3, 300]))
def test_from_either_side_for_any_matrix(seed: int, n_users: int, n_items: int, l2: float) -> None:
    train = random_train(seed, n_users, n_items)
    model = EASE(l2).fit(csr_array(train))
    expected = train @ ridge_by_ridge(train, l2)
    assert np.allclose(model.score(csr_array(train)).numpy(), expected, atol=1e-4)


def test_many_items_are_solved_from_the_users_side_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("crossrec.models.ease.BLOCK_ITEMS", 2)
    train = random_train(1, 4, 9)
    assert Gram(csr_array(train)).by_users
    assert Gram.side(csr_array(train)) == len(Gram(csr_array(train)).products) == 4
    assert np.allclose(weights_of(train, 2.0), ridge_by_ridge(train, 2.0), atol=1e-6)


def test_a_strong_penalty_leaves_co_occurrences() -> None:
    """B -> X'X / l2 off the diagonal, as l2 grows."""
    together = TRAIN.T @ TRAIN
    np.fill_diagonal(together, 0)
    assert np.allclose(1e6 * weights_of(TRAIN, 1e6), together, atol=1e-4)


def test_scores_add_up_over_a_history_that_train_did_not_see() -> None:
    model = EASE(2.0).fit(csr_array(TRAIN))
    longer = csr_array(np.array([[1, 0, 1, 1]], dtype=np.float32))
    expected = weights_of(TRAIN, 2.0)[[0, 2, 3]].sum(axis=0)
    assert np.allclose(model.score(longer)[0].numpy(), expected, atol=1e-6)


def test_an_item_that_nobody_has_scores_0_and_changes_no_bit_of_the_others() -> None:
    wider = np.insert(TRAIN, 2, 0, axis=1)
    one = EASE(2.0).fit(csr_array(TRAIN)).score(csr_array(TRAIN))
    two = EASE(2.0).fit(csr_array(wider)).score(csr_array(wider))
    assert torch.equal(two[:, 2], torch.zeros(5))
    assert torch.equal(two[:, [0, 1, 3, 4]], one)


def test_scores_in_bands_are_the_product() -> None:
    """More items than a band holds, one of them that nobody has, and weighted histories."""
    train = random_train(0, 320, 300)
    train[:, 270] = 0
    model = EASE(5.0).fit(csr_array(train))
    assert not model.gram.by_users
    assert [band.shape[1] for band in model.bands] == [256, 43]
    histories = random_train(1, 7, 300) * np.linspace(0.5, 1.0, 300, dtype=np.float32)
    expected = histories @ weights_of(train, 5.0)
    found = model.score(csr_array(histories)).numpy()
    assert np.allclose(found, expected, atol=1e-5)
    assert not found[:, 270].any()


def test_empty_training_scores_zero() -> None:
    scores = EASE().fit(csr_array((3, 4), dtype=np.float32)).score(csr_array((2, 4)))
    assert scores.dtype == torch.float32
    assert scores.tolist() == [[0.0] * 4] * 2


def test_no_penalty_is_refused() -> None:
    with pytest.raises(ValueError, match="l2 must be > 0, got 0"):
        EASE(l2=0)
