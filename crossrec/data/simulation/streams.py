"""Named streams of random numbers: each thing that is drawn has its own, so none moves another."""

from zlib import crc32

import numpy as np


def stream(seed: int, *names: str) -> np.random.Generator:
    """A generator that depends on the seed and the names alone (not on PYTHONHASHSEED)."""
    return np.random.default_rng([seed, crc32("/".join(names).encode())])
