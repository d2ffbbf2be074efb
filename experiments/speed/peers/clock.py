"""What every driver shares, whichever library it drives: standard library and numpy alone.

A driver is a process of its own. It prints one line, RESULT and a JSON object; BENCHMARK_START is
the moment at which its command was given.
"""

import json
import os
import resource
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

THREADS = int(os.environ.get("THREADS", "1"))
K = 10
# One thread has a core of its own: processor time is what the clock would show if nothing else ran.
now = time.process_time if THREADS == 1 else time.perf_counter
REPEATS = 5  # of a ranking: it is short


class FirstStep:
    """Seconds from the command to the end of the first step of any torch optimizer."""

    def __init__(self) -> None:
        from torch.optim.optimizer import register_optimizer_step_post_hook

        self.seconds: float | None = None
        self.times: list[float] = []
        register_optimizer_step_post_hook(self._see)

    def _see(self, *_: Any) -> None:
        self.times.append(now())
        if self.seconds is None:
            self.seconds = since_command()


def since_command() -> float:
    """Seconds since the command was given."""
    return time.time() - float(os.environ["BENCHMARK_START"])


def timed(call: Callable[[], Any], repeats: int = REPEATS) -> tuple[float, Any]:
    """Seconds of the median call, and what the last one gave."""
    seconds = []
    for _ in range(repeats):
        start = now()
        result = call()
        seconds.append(now() - start)
    return float(np.median(seconds)), result


def rate(epochs: list[tuple[int, float]]) -> float | None:
    """Interactions/s of the median epoch; None where nothing was trained.

    Of a method that trains on several sets in turn, of the median epochs of each set together.

    Args:
        epochs: interactions and seconds of each.
    """
    seconds: dict[int, list[float]] = {}
    for interactions, taken in epochs:
        if interactions:
            seconds.setdefault(interactions, []).append(taken)
    if not seconds:
        return None
    return sum(seconds) / sum(float(np.median(taken)) for taken in seconds.values())


def report(**values: float | None) -> None:
    """Print what was measured, with the peak memory of this process and its whole time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KiB on Linux
    values = {"peak_mb": peak, "whole_s": since_command(), **values}
    print("RESULT", json.dumps({k: v for k, v in values.items() if v is not None}), flush=True)


def read_arrays(data: Path, name: str) -> dict[str, np.ndarray]:
    """What prepare.py wrote: train and validation events by integer codes."""
    with np.load(data / f"{name}.npz") as arrays:
        return dict(arrays)


def train_matrix(arrays: dict[str, np.ndarray]) -> Any:
    """(users, items) float32 CSR of train."""
    from scipy.sparse import csr_matrix

    at = arrays["train_users"], arrays["train_items"]
    shape = int(arrays["n_users"]), int(arrays["n_items"])
    return csr_matrix((np.ones(len(at[0]), dtype=np.float32), at), shape)


def ndcg_of_lists(lists: np.ndarray, users: np.ndarray, arrays: dict[str, np.ndarray]) -> float:
    """Mean NDCG@10 of (U, 10) lists of item codes for the given users, in validation.

    Gain 1 / log2(rank + 1), over that of min(10, relevant) hits at the top, as in RecBole.
    """
    keys = arrays["valid_users"] * arrays["n_items"] + arrays["valid_items"]
    hit = np.isin(users[:, None] * arrays["n_items"] + lists[:, :K], keys)
    discount = 1 / np.log2(np.arange(2, K + 2))
    relevant = np.bincount(arrays["valid_users"], minlength=int(arrays["n_users"]))[users]
    ideal = np.cumsum(discount)[np.minimum(relevant, K) - 1]
    return float(((hit * discount).sum(1) / ideal).mean())
