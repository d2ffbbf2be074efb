"""Random choices by a hash of ids: the same in every process, on every machine, in every version.

polars' and Python's own hashes are none of that.
"""

from hashlib import blake2b

import numpy as np
import polars as pl

from crossrec.data.cleaning import number

WORD = 8  # bytes


def grouped(ids: pl.Series) -> tuple[np.ndarray, pl.Series]:
    """Integer codes of ids: (rows,) int64, and the sorted unique ids that they count.

    A column that is sorted, as the users of cleaned interactions are, needs no search.
    """
    if not ids.is_sorted():
        codes, names = number(ids)
        return codes.to_numpy(), names
    runs = ids.rle_id().to_numpy().astype(np.int64)
    return runs, ids.gather(np.flatnonzero(np.diff(runs, prepend=-1)))


def draw(names: pl.Series, seed: int) -> np.ndarray:
    """(names,) uint64, a random number that depends on (seed, id) alone."""
    start = int.from_bytes(blake2b(str(seed).encode(), digest_size=WORD).digest(), "little")
    return mix(hashes(names) ^ np.uint64(start))


def draw_pairs(users: pl.Series, items: pl.Series, seed: int) -> np.ndarray:
    """(rows,) uint64, a random number that depends on (seed, user id, item id) alone."""
    user_codes, user_names = grouped(users)
    item_codes, item_names = grouped(items)
    return mix(draw(user_names, seed)[user_codes] + hashes(item_names)[item_codes])


def hashes(names: pl.Series) -> np.ndarray:
    """(names,) uint64 hash of each string's length and bytes, eight bytes at a time."""
    length = names.str.len_bytes().to_numpy().astype(np.uint64)
    hashed = mix(length)
    raw, rows, start = names.cast(pl.Binary), np.arange(len(names)), 0
    while len(rows):
        left = length[rows] > start
        raw, rows = raw.filter(pl.Series(left)), rows[left]
        hashed[rows] = mix(hashed[rows] ^ _words(raw, start))
        start += WORD
    return hashed


def _words(raw: pl.Series, start: int) -> np.ndarray:
    """(strings,) uint64, eight bytes from `start` on, with zeros behind the end."""
    word = (pl.col("raw").bin.slice(start, WORD) + pl.lit(bytes(WORD))).bin.slice(0, WORD)
    as_integer = word.bin.reinterpret(dtype=pl.UInt64, endianness="little")
    return raw.to_frame("raw").select(as_integer).to_series().to_numpy()


def mix(values: np.ndarray) -> np.ndarray:
    """splitmix64's finalizer (Steele, Lea and Flood, OOPSLA 2014), wrapping modulo 2**64."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))
