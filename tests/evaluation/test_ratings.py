"""Rating errors by hand; calibration finds the line that made the ratings."""

import math

import numpy as np
import pytest

from crossrec.evaluation.ratings import RatingCalibration, RatingErrors, TrainMeans, damped_mean


def test_damped_mean_by_hand():
    # Two ratings of 5 against a mean of 3: (10 + 15) / 7; none at all: the mean itself.
    assert damped_mean(np.array([10.0, 0.0]), np.array([2, 0]), 3.0).tolist() == [25 / 7, 3.0]


def test_train_means_leave_unrated_events_out():
    means = TrainMeans.of(
        np.array([0, 0, 1]), np.array([1, 0, 1]), np.array([5.0, math.nan, 1.0]), 3, 2
    )
    assert means.users.tolist() == pytest.approx([20 / 6, 16 / 6, 3.0])
    assert means.items.tolist() == pytest.approx([3.0, 21 / 7])


def test_calibration_recovers_a_known_line():
    generator = np.random.default_rng(0)
    user, item = generator.normal(3, 1, (2, 4000))
    score = generator.normal(7, 2, 4000)
    rating = 0.5 + 0.3 * user + 0.4 * item + 0.2 * (score - score.mean()) / score.std()
    line = RatingCalibration.fit(user, item, score, rating, (-100.0, 100.0))
    assert line.weights == pytest.approx([0.5, 0.3, 0.4, 0.2], abs=2e-3)
    assert line.predict(user, item, score) == pytest.approx(rating, abs=5e-3)


def test_calibration_ignores_the_unit_of_the_score():
    generator = np.random.default_rng(1)
    user, item, score = generator.normal(3, 1, (3, 50))
    rating = generator.integers(1, 6, 50).astype(float)
    one = RatingCalibration.fit(user, item, score, rating, (1, 5))
    other = RatingCalibration.fit(user, item, 1000 * score - 3, rating, (1, 5))
    assert one.predict(user, item, score) == pytest.approx(
        other.predict(user, item, 1000 * score - 3)
    )


def test_calibration_stays_within_the_scale_and_survives_odd_scores():
    user = item = np.array([1.0, 3.0, 5.0, 4.0])
    rating = np.array([1.0, 3.0, 5.0, math.nan])
    constant = RatingCalibration.fit(user, item, np.zeros(4), rating, (1, 5))
    predicted = constant.predict(np.array([99.0, -99.0]), np.array([99.0, -99.0]), np.zeros(2))
    assert predicted.tolist() == [5.0, 1.0]
    odd = np.array([math.nan, math.inf, 2.0, 0.0])
    fitted = RatingCalibration.fit(user, item, odd, rating, (1, 5))
    assert np.isfinite(fitted.predict(user, item, odd)).all()


def test_calibration_needs_a_rating():
    nothing = np.array([math.nan])
    with pytest.raises(ValueError, match="no validation event has a rating"):
        RatingCalibration.fit(np.ones(1), np.ones(1), np.ones(1), nothing, (1, 5))


def test_rating_errors_by_hand():
    # User 0: errors 1 and -2, of which the first has both sides of 4 right; user 2: exact.
    errors = RatingErrors.of(
        np.array([5.0, 3.0, 2.0, 9.0]),
        np.array([4.0, 5.0, 2.0, math.nan]),
        np.array([0, 0, 2, 1]),
        3,
        like_at=4.0,
    )
    assert errors.n.tolist() == [2, 0, 1]
    assert errors.squared.tolist() == [5, 0, 0]
    assert errors.absolute.tolist() == [3, 0, 0]
    assert errors.right.tolist() == [1, 0, 1]
