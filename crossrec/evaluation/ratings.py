"""Predicted ratings: how wrong they are, and what a model that only ranks would have predicted."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

RIDGE = 1.0  # in validation events; the features are of the order of a rating


def damped_mean(
    total: np.ndarray, count: np.ndarray, global_mean: float, damping: float = 5.0
) -> np.ndarray:
    """(total + damping * global mean) / (count + damping): few ratings say little (Funk, 2006)."""
    return (total + damping * global_mean) / (count + damping)


@dataclass(frozen=True)
class TrainMeans:
    """Damped mean train rating of each user (n_users,) and item (n_items,)."""

    users: np.ndarray
    items: np.ndarray

    @classmethod
    def of(
        cls, users: np.ndarray, items: np.ndarray, ratings: np.ndarray, n_users: int, n_items: int
    ) -> TrainMeans:
        """From train events: users, items (E,) codes and ratings (E,), NaN where there is none."""
        rated = ~np.isnan(ratings)
        users, items, ratings = users[rated], items[rated], ratings[rated].astype(np.float64)
        overall = float(ratings.mean()) if len(ratings) else 0.0
        return cls(
            *(
                damped_mean(
                    np.bincount(codes, ratings, minlength=n),
                    np.bincount(codes, minlength=n),
                    overall,
                )
                for codes, n in ((users, n_users), (items, n_items))
            )
        )


@dataclass(frozen=True)
class RatingCalibration:
    """The rating that a ranking model's score stands for.

    Popularity, kNN and models with a softmax or BPR loss give scores, not ratings. To let them
    stand in the rating columns, a rating is predicted as a linear function of the user's and the
    item's damped mean train rating and the model's standardized score, fitted by ridge least
    squares on validation events and never on test. So the columns of such a model say what its
    score adds to the two means, which do most of the work; a model trained on ratings predicts
    them itself and is not calibrated.

    Attributes:
        weights: intercept, user mean, item mean, score.
        score_mean, score_std: of the validation scores.
        scale: lowest and highest rating; predictions are cut to it.
    """

    weights: np.ndarray
    score_mean: float
    score_std: float
    scale: tuple[float, float]

    @classmethod
    def fit(
        cls,
        user_means: np.ndarray,
        item_means: np.ndarray,
        scores: np.ndarray,
        ratings: np.ndarray,
        scale: tuple[float, float],
    ) -> RatingCalibration:
        """From validation events: all (E,), one entry an event; unrated events (NaN) do not count.

        The intercept is not penalized. A score that is constant, or not finite, adds nothing.

        Raises:
            ValueError: no validation event has a rating.
        """
        rated = ~np.isnan(ratings)
        if not rated.any():
            raise ValueError("no validation event has a rating to calibrate on")
        usable = scores[rated & np.isfinite(scores)].astype(np.float64)
        mean = float(usable.mean()) if len(usable) else 0.0
        std = float(usable.std()) if len(usable) else 0.0
        standard = _standardize(scores[rated], mean, std)
        x = np.stack([user_means[rated], item_means[rated], standard], axis=1)  # (E, 3)
        y = ratings[rated].astype(np.float64)
        center = x.mean(axis=0)
        gram = (x - center).T @ (x - center) + RIDGE * np.eye(3)
        slopes = np.linalg.solve(gram, (x - center).T @ (y - y.mean()))
        return cls(np.r_[y.mean() - center @ slopes, slopes], mean, std, scale)

    def predict(
        self, user_means: np.ndarray, item_means: np.ndarray, scores: np.ndarray
    ) -> np.ndarray:
        """Predicted ratings (E,) float64 within the scale, one an event."""
        standard = _standardize(scores, self.score_mean, self.score_std)
        intercept, user, item, score = self.weights
        predicted = intercept + user * user_means + item * item_means + score * standard
        return predicted.clip(*self.scale)


def _standardize(scores: np.ndarray, mean: float, std: float) -> np.ndarray:
    if std == 0:
        return np.zeros(len(scores))
    standard = (scores.astype(np.float64) - mean) / std
    return np.where(np.isfinite(standard), standard, 0.0)


@dataclass(frozen=True)
class RatingErrors:
    """Sums over the rated events of each query, all (U,) float64.

    rmse = sqrt(sum of squared / sum of n), mae = sum of absolute / sum of n and like_accuracy =
    sum of right / sum of n: means over events, where a user with more events weighs more.
    """

    n: np.ndarray
    squared: np.ndarray
    absolute: np.ndarray
    right: np.ndarray

    @classmethod
    def of(
        cls,
        predicted: np.ndarray,
        ratings: np.ndarray,
        queries: np.ndarray,
        n_queries: int,
        like_at: float,
    ) -> RatingErrors:
        """From events: predicted and true ratings (E,), NaN where unrated, and query index (E,).

        An event is right where prediction and rating fall on the same side of like_at (like means
        >= like_at): plain accuracy, so where most ratings are likes a constant does well.
        """
        rated = ~np.isnan(ratings)
        predicted, ratings, queries = predicted[rated], ratings[rated], queries[rated]
        error = predicted.astype(np.float64) - ratings
        right = (predicted >= like_at) == (ratings >= like_at)
        sums = (
            np.bincount(queries, weights, minlength=n_queries)
            for weights in (np.ones(len(error)), error**2, abs(error), right.astype(np.float64))
        )
        return cls(*sums)
