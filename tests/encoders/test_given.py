"""Vectors from a file: three formats, items that lack one, and what is refused."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from safetensors.numpy import save_file

from crossrec.encoders.given import read_vectors
from crossrec.errors import UserError

Table = dict[str, list[float]]
VECTORS: Table = {"a": [1.0, 2.0], "b": [3.0, 4.0], "other": [5.0, 6.0]}


def parquet(path: Path, table: Table) -> Path:
    rows = {"item_id": list(table), "vector": list(table.values())}
    pl.DataFrame(rows).write_parquet(path.with_suffix(".parquet"))
    return path.with_suffix(".parquet")


def safetensors(path: Path, table: Table) -> Path:
    tensors = {item: np.array(vector, dtype=np.float32) for item, vector in table.items()}
    save_file(tensors, path.with_suffix(".safetensors"))
    return path.with_suffix(".safetensors")


def npy(path: Path, table: Table) -> Path:
    np.save(path.with_suffix(".npy"), np.array(list(table.values())))
    path.with_suffix(".txt").write_text("\n".join(table) + "\n")
    return path.with_suffix(".npy")


@pytest.mark.parametrize("write", [parquet, safetensors, npy])
def test_items_get_their_vectors(tmp_path: Path, write: Callable[[Path, Table], Path]) -> None:
    vectors, mask = read_vectors(write(tmp_path / "v", VECTORS), ["b", "gone", "a", "b"])
    assert mask.tolist() == [True, False, True, True]
    assert vectors.dtype == np.float32
    np.testing.assert_array_equal(vectors, [[3, 4], [0, 0], [1, 2], [3, 4]])


@pytest.mark.parametrize(
    ("write", "table", "why"),
    [
        (parquet, {"x": [1.0]}, "no vector of any of the 2 items"),
        (parquet, {"a": [1.0], "b": [1.0, 2.0]}, "the vector of b has 2 numbers"),
        (safetensors, {"a": [float("nan")]}, "the vector of a is not a row of finite numbers"),
        (safetensors, {"a": []}, "the vector of a is not a row of finite numbers"),
    ],
)
def test_what_is_wrong_is_said(
    tmp_path: Path, write: Callable[[Path, Table], Path], table: Table, why: str
) -> None:
    file = write(tmp_path / "v", table)
    with pytest.raises(UserError, match=why):
        read_vectors(file, ["a", "b"])


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    file = npy(tmp_path / "v", VECTORS)
    file.with_suffix(".txt").write_text("a\nb\n")
    with pytest.raises(UserError, match=r"the shape \(3, 2\), but v.txt has 2 lines"):
        read_vectors(file, ["a"])
    for name in ("a.parquet", "a.safetensors", "a.npy"):
        (tmp_path / name).write_text("nothing")
        with pytest.raises(UserError, match=rf"content\.vectors\.file=.*{name}"):
            read_vectors(tmp_path / name, ["a"])
    with pytest.raises(UserError, match=r"expected one of \.parquet"):
        read_vectors(tmp_path / "a.csv", ["a"])
