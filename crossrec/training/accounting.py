"""How much noise a privacy budget asks for, and what a training has spent; the sums are Opacus's.

Opacus takes seconds to import: only who asks for privacy waits for it.
"""

import warnings
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class Budget:
    """What a training with DP-SGD spends, by Renyi accounting (Mironov, Talwar and Zhang, 2019).

    Neighbors are data sets of which one has one user more, with all that they did.

    Attributes:
        epsilon, delta: the guarantee.
        noise_multiplier: standard deviation of the noise on the sum of a step, in units of `clip`.
        clip: L2 norm of one user's gradient at most.
        sample_rate: with which probability each user takes part in a step.
        steps: how many there are.
    """

    epsilon: float
    delta: float
    noise_multiplier: float
    clip: float
    sample_rate: float
    steps: int

    def to_dict(self) -> dict[str, Any]:
        """For training.json."""
        return {**asdict(self), "unit": "user", "accountant": "rdp"}


def plan(epsilon: float, delta: float, clip: float, sample_rate: float, steps: int) -> Budget:
    """The budget with the least noise that stays within (epsilon, delta).

    Args:
        epsilon: at most; what it comes to is at most 0.01 less.
        delta, clip, sample_rate, steps: see `Budget`.
    """
    from opacus.accountants.utils import get_noise_multiplier

    with warnings.catch_warnings():  # that more orders than its own might be a little tighter
        warnings.filterwarnings("ignore", "Optimal order", UserWarning)
        noise = get_noise_multiplier(
            target_epsilon=epsilon,
            target_delta=delta,
            sample_rate=sample_rate,
            steps=steps,
            accountant="rdp",
        )
        return Budget(
            spent(noise, delta, sample_rate, steps), delta, noise, clip, sample_rate, steps
        )


def spent(noise_multiplier: float, delta: float, sample_rate: float, steps: int) -> float:
    """epsilon of so many steps of the subsampled Gaussian mechanism."""
    from opacus.accountants import RDPAccountant

    accountant = RDPAccountant()
    accountant.history = [(noise_multiplier, sample_rate, steps)]
    return float(accountant.get_epsilon(delta=delta))
