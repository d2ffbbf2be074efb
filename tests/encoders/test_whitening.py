"""The map of content vectors: what whitening, PCA and none change, and what they keep."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from crossrec.encoders.whitening import WHITENINGS, fit_map
from crossrec.errors import UserError

EVERY = np.ones(400, dtype=bool)


@pytest.fixture
def vectors() -> np.ndarray:
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(6, 6)) * np.array([5.0, 3.0, 2.0, 1.0, 0.5, 0.3])
    return rng.normal(size=(400, 6)) @ mixing.T + 7.0


def test_whitened_vectors_have_zero_mean_and_unit_covariance(vectors: np.ndarray) -> None:
    white = fit_map(vectors, "whiten", 4, eps=0.0)(vectors, EVERY)
    assert white.shape == (400, 4)
    np.testing.assert_allclose(white.mean(axis=0), 0.0, atol=1e-5)
    np.testing.assert_allclose(white.T @ white / 400, np.eye(4), atol=1e-4)


def test_whitening_by_hand() -> None:
    vectors = np.array([[3.0, 1.0], [-3.0, 1.0], [3.0, -1.0], [-3.0, -1.0]])
    every = np.ones(4, dtype=bool)
    white = fit_map(vectors, "whiten", 1, eps=0.0)(vectors, every)
    np.testing.assert_allclose(white[:, 0], [1, -1, 1, -1], atol=1e-6)
    # Variances 9 and 1: with eps = 7 / 9 they count as 16 and 8.
    white = fit_map(vectors, "whiten", eps=7 / 9)(vectors, every)
    np.testing.assert_allclose(np.abs(white), [[3 / 4, 1 / 8**0.5]] * 4, atol=1e-6)
    turned = fit_map(vectors, "pca")(vectors, every)
    np.testing.assert_allclose(turned, vectors, atol=1e-6)


@settings(max_examples=30, deadline=None)
@given(
    arrays(np.float64, st.tuples(st.integers(1, 8), st.just(4)), elements=st.floats(-10, 10)),
)
def test_pca_of_all_dimensions_keeps_inner_products(rows: np.ndarray) -> None:
    turned = fit_map(rows, "pca")(rows, np.ones(len(rows), dtype=bool)).astype(np.float64)
    centered = rows - rows.mean(axis=0)
    np.testing.assert_allclose(turned @ turned.T, centered @ centered.T, atol=1e-3)
    variances = turned.var(axis=0)
    assert (np.diff(variances) <= 1e-4).all()  # the strongest direction comes first


def test_none_changes_nothing(vectors: np.ndarray) -> None:
    np.testing.assert_array_equal(
        fit_map(vectors, "none", 2)(vectors, EVERY), vectors.astype(np.float32)
    )


@pytest.mark.parametrize("kind", WHITENINGS)
def test_the_length_is_one_on_average(vectors: np.ndarray, kind: str) -> None:
    scaled = fit_map(vectors, kind, 3).of_mean_length_one(vectors)(vectors, EVERY)
    assert np.linalg.norm(scaled, axis=1).mean() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("kind", WHITENINGS)
def test_rows_without_content_are_zero(vectors: np.ndarray, kind: str) -> None:
    mask = np.arange(400) % 4 > 0
    mapped = fit_map(vectors[mask], kind)(vectors, mask)
    np.testing.assert_array_equal(mapped[~mask], 0.0)
    assert np.abs(mapped[mask]).sum(axis=1).min() > 0


@pytest.mark.parametrize("kind", WHITENINGS)
def test_the_order_of_rows_does_not_turn_directions(vectors: np.ndarray, kind: str) -> None:
    shuffled = vectors[np.random.default_rng(1).permutation(400)]
    one, other = (fit_map(rows, kind)(vectors, EVERY) for rows in (vectors, shuffled))
    np.testing.assert_allclose(one, other, atol=1e-4)


def test_directions_without_variance_stay_at_zero(vectors: np.ndarray) -> None:
    flat = np.concatenate([vectors, np.ones((400, 2))], axis=1)
    assert np.abs(fit_map(flat)(flat, EVERY)[:, 6:]).max() < 1e-3
    alike = np.ones((5, 3))
    mapped = fit_map(alike).of_mean_length_one(alike)(alike, np.ones(5, dtype=bool))
    np.testing.assert_array_equal(mapped, 0.0)


@pytest.mark.parametrize("dim", [0, 7])
@pytest.mark.parametrize("kind", ["whiten", "pca"])
def test_an_impossible_size_is_refused(vectors: np.ndarray, kind: str, dim: int) -> None:
    with pytest.raises(UserError, match="expected 1 to 6"):
        fit_map(vectors, kind, dim)


def test_an_unknown_kind_is_refused(vectors: np.ndarray) -> None:
    with pytest.raises(UserError, match="expected one of whiten, pca, none"):
        fit_map(vectors, "zca")


def test_fitted_on_some_rows_and_applied_to_all() -> None:
    vectors = np.array([[0.0], [2.0], [10.0]])
    # Mean 1 and standard deviation 1, whatever the third row is.
    mapped = fit_map(vectors[:2], eps=0.0)(vectors, np.ones(3, dtype=bool))
    np.testing.assert_allclose(mapped[:, 0], [-1, 1, 9], atol=1e-6)
