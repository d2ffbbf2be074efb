"""What says in twelve digits on which events, split how, a number was measured."""

from hashlib import sha256

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.splits.draws import grouped, hashes, mix

# A pattern that no integer of the data and no rating has, for what is not known.
_UNKNOWN = np.uint64(0xFFF8_0000_0000_0001)


def split_fingerprint(*tables: pl.DataFrame) -> str:
    """12 hex digits: which events there are, in which part. Row order makes no difference.

    Args:
        tables: interactions with RATING and SPLIT, of one domain each; the order of the tables
            counts.
    """
    digest = sha256()
    for table in tables:
        row = np.zeros(len(table), dtype=np.uint64)
        for column in (USER, ITEM, SPLIT):
            codes, names = grouped(table[column])
            row = mix(row ^ hashes(names)[codes])
        for column in (RATING, TIMESTAMP, POSITION):
            row = mix(row ^ mix(_bits(table[column])))
        # A sum, so that repeated events count as often as they are there, in whatever order.
        total = np.sum(row, dtype=np.uint64)
        digest.update(int(total).to_bytes(8, "little") + len(table).to_bytes(8, "little"))
    return digest.hexdigest()[:12]


def _bits(numbers: pl.Series) -> np.ndarray:
    """(rows,) uint64, the bits of 64-bit integers or floats."""
    wide = numbers.cast(pl.Float64 if numbers.dtype.is_float() else pl.Int64).fill_null(0)
    bits = (wide + 0).to_numpy().view(np.uint64)  # -0.0 + 0 is 0.0
    return np.where(numbers.is_null().to_numpy(), _UNKNOWN, bits)
