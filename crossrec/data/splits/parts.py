"""The names of the parts, and how a part's share of events becomes a number of events."""

import numpy as np
import polars as pl

from crossrec.data.columns import SPLIT

TRAIN, VALID, TEST = "train", "valid", "test"
PARTS = (TRAIN, VALID, TEST)


def with_parts(interactions: pl.DataFrame, valid: np.ndarray, test: np.ndarray) -> pl.DataFrame:
    """The interactions with a SPLIT column.

    Args:
        valid, test: (rows,) bool, nowhere both true; what is in neither is train.
    """
    part = valid.astype(np.uint32) + 2 * test.astype(np.uint32)
    return interactions.with_columns(pl.Series(SPLIT, PARTS, dtype=pl.String).gather(part))


def share_of(count: np.ndarray | int, share: float) -> np.ndarray:
    """floor(share * count), not fooled by a product that rounds to just below an integer."""
    return np.floor(share * np.asarray(count) + 1e-9).astype(np.int64)
