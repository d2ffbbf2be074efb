import numpy as np
import pytest

from crossrec.encoders.whitening import whiten


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) * np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.3])
    return rng.normal(size=(400, 6)) @ mixing.T + 7.0


def test_whitened_vectors_have_zero_mean_and_unit_covariance(vectors: np.ndarray) -> None:
    white = whiten(vectors, dim=4, eps=0.0)
    assert white.shape == (400, 4)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(white.T @ white / 400, np.eye(4), atol=1e-4)


def test_the_first_direction_varies_most() -> None:
    vectors = np.array([[3.0, 1.0], [-3.0, 1.0], [3.0, -1.0], [-3.0, -1.0]])
    np.testing.assert_allclose(whiten(vectors, dim=1, eps=0.0)[:, 0], [1, -1, 1, -1], atol=1e-6)


def test_rows_without_content_are_zero_and_do_not_count(vectors: np.ndarray) -> None:
    mask = np.arange(400) % 4 > 0
    spoiled = np.where(mask[:, None], vectors, 1e6)
    white = whiten(spoiled, mask=mask)
    np.testing.assert_array_equal(white[~mask], 0.0)
    np.testing.assert_allclose(white[mask], whiten(vectors[mask]), atol=1e-5)


def test_the_order_of_rows_does_not_turn_directions(vectors: np.ndarray) -> None:
    order = np.random.default_rng(1).permutation(400)
    np.testing.assert_allclose(whiten(vectors[order]), whiten(vectors)[order], atol=1e-4)


def test_directions_without_variance_stay_at_zero(vectors: np.ndarray) -> None:
    flat = np.concatenate([vectors, np.ones((400, 2))], axis=1)
    assert np.abs(whiten(flat)[:, 6:]).max() < 1e-3
    np.testing.assert_array_equal(whiten(np.ones((5, 3))), 0.0)


def test_nothing_to_fit_gives_zeros() -> None:
    white = whiten(np.ones((3, 4)), dim=2, mask=np.zeros(3, dtype=bool))
    np.testing.assert_array_equal(white, np.zeros((3, 2)))


@pytest.mark.parametrize("dim", [0, 7])
def test_an_impossible_size_is_refused(vectors: np.ndarray, dim: int) -> None:
    with pytest.raises(ValueError, match="expected 1 to 6"):
        whiten(vectors, dim=dim)


def test_fitted_on_some_rows_and_applied_to_all() -> None:
    vectors = np.array([[0.0], [2.0], [10.0]])
    fitted = np.array([True, True, False])
    # Mean 1 and standard deviation 1, whatever the third row is.
    np.testing.assert_allclose(whiten(vectors, fitted=fitted, eps=0.0)[:, 0], [-1, 1, 9], atol=1e-6)
