"""Vectors of items that were made elsewhere, from a file."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl
from safetensors import SafetensorError, safe_open

from crossrec.data.columns import ITEM
from crossrec.errors import UserError

VECTOR = "vector"
ENDINGS = (".parquet", ".safetensors", ".npy")


def read_vectors(file: Path, items: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The vectors of some items; a file may lack items, and hold others.

    Args:
        file: .parquet with the columns item_id and vector (a list of numbers); .safetensors with a
            one-dimensional tensor an item, named by its id; or .npy with one row an item, beside a
            .txt of the same name with an id a line.
        items: ids.

    Returns:
        vectors (items, d) float32, zero where the file has none; and the mask (items,) of those
        that it has.

    Raises:
        UserError: the file cannot be read, vectors differ in length or are not finite, or none of
            the items is in it.
    """
    key = f"content.vectors.file={file}"
    if file.suffix not in ENDINGS:
        raise UserError(f"{key}: expected one of {', '.join(ENDINGS)}")
    rows: dict[str, list[int]] = {}
    for row, item in enumerate(items):
        rows.setdefault(item, []).append(row)
    vectors = np.zeros((0, 0), dtype=np.float32)
    mask = np.zeros(len(items), dtype=bool)
    try:
        for item, vector in _vectors(file, set(rows)):
            if vector.ndim != 1 or len(vector) == 0 or not np.isfinite(vector).all():
                raise UserError(f"{key}: the vector of {item} is not a row of finite numbers")
            if not mask.any():
                vectors = np.zeros((len(items), len(vector)), dtype=np.float32)
            if len(vector) != vectors.shape[1]:
                raise UserError(
                    f"{key}: the vector of {item} has {len(vector)} numbers, that of others "
                    f"{vectors.shape[1]}"
                )
            vectors[rows[item]] = vector
            mask[rows[item]] = True
    except (OSError, ValueError, SafetensorError, pl.exceptions.PolarsError) as error:
        raise UserError(f"{key}: {' '.join(str(error).split())[:300]}") from error
    if not mask.any():
        raise UserError(f"{key}: it has no vector of any of the {len(items):,} items, by their ids")
    return vectors, mask & vectors.any(axis=1)


def _vectors(file: Path, wanted: set[str]) -> Iterator[tuple[str, np.ndarray]]:
    if file.suffix == ".parquet":
        table = pl.scan_parquet(file).select(pl.col(ITEM).cast(pl.String), VECTOR)
        for item, vector in table.filter(pl.col(ITEM).is_in(list(wanted))).collect().iter_rows():
            yield item, np.asarray(vector, dtype=np.float32)
    elif file.suffix == ".safetensors":
        with safe_open(file, framework="np") as tensors:
            for item in sorted(wanted.intersection(tensors.keys())):
                yield item, tensors.get_tensor(item).astype(np.float32)
    else:
        ids = file.with_suffix(".txt").read_text(encoding="utf-8").splitlines()
        table = np.load(file, mmap_mode="r")
        if table.ndim != 2 or len(table) != len(ids):
            raise ValueError(
                f"it has the shape {table.shape}, but {file.with_suffix('.txt').name} has "
                f"{len(ids)} lines: expected one row a line"
            )
        for item, vector in zip(ids, table, strict=True):
            if item in wanted:
                yield item, np.asarray(vector, dtype=np.float32)
