"""Membership inference from the losses of users: scores that are higher for likelier members."""

import numpy as np
from scipy.stats import mannwhitneyu

FALSE_ALARMS = 0.01  # share of non-members, for the rate of found members


def threshold_scores(losses: np.ndarray) -> np.ndarray:
    """(U,) -loss: who is predicted well was trained on (Yeom et al., CSF 2018).

    Args:
        losses: (U,) of the attacked model.
    """
    return -losses


def likelihood_ratios(
    losses: np.ndarray, shadow_losses: np.ndarray, shadow_members: np.ndarray
) -> np.ndarray:
    """(U,) log-likelihood ratio of a user's loss under models with and without this user.

    LiRA (Carlini et al., S&P 2022, algorithm 1) with normal distributions of a mean for each user
    and, as there for few shadow models, one variance for all users on either side. Losses are
    taken relative to the model's mean over all users: noise moves whole models.

    Args:
        losses: (U,) of the attacked model.
        shadow_losses: (S, U) of the shadow models.
        shadow_members: (S, U) bool, whom each was trained on.

    Raises:
        ValueError: a user is in, or out of, fewer than two shadow models, which leaves no variance.
    """
    attacked = losses - losses.mean()
    shadow = shadow_losses - shadow_losses.mean(1, keepdims=True)
    logs = []
    for side in (shadow_members, ~shadow_members):
        number = side.sum(0)
        if number.min() < 2:
            raise ValueError("each user must be in two shadow models and out of two")
        means = np.where(side, shadow, 0).sum(0) / number
        squares = np.where(side, (shadow - means) ** 2, 0).sum()
        variance = squares / (number - 1).sum()
        if variance == 0:  # whoever was in, the models say the same
            return np.zeros_like(losses)
        logs.append(-0.5 * np.log(variance) - (attacked - means) ** 2 / (2 * variance))
    return np.asarray(logs[0] - logs[1])


def auc(scores: np.ndarray, members: np.ndarray) -> float:
    """How often a member scores above a non-member, ties one half (Mann and Whitney, 1947).

    Args:
        scores, members: (U,), the latter bool.
    """
    n_pairs = members.sum() * (~members).sum()
    return float(mannwhitneyu(scores[members], scores[~members]).statistic / n_pairs)


def found_at(scores: np.ndarray, members: np.ndarray, false_alarms: float = FALSE_ALARMS) -> float:
    """Share of the members above all but a share of the non-members."""
    limit = np.quantile(scores[~members], 1 - false_alarms, method="lower")
    return float((scores[members] > limit).mean())
