"""A pair on disk: the same tensors come back, mapped and not copied."""

from dataclasses import fields
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch

from crossrec.data.pair import DomainPair
from crossrec.data.storage import read_items, read_pair, write_pair, write_tables


def tensors(part: Any, path: str = "") -> dict[str, torch.Tensor]:
    found = {}
    for field in fields(part):
        value = getattr(part, field.name)
        if isinstance(value, torch.Tensor):
            found[f"{path}{field.name}"] = value
        elif hasattr(value, "__dataclass_fields__"):
            found |= tensors(value, f"{path}{field.name}.")
    return found


@pytest.fixture
def stored(tmp_path: Path, small_pair: DomainPair) -> DomainPair:
    for name in ("source", "target"):
        write_tables(tmp_path / name, pl.DataFrame(), getattr(small_pair, name).items)
    write_pair(small_pair, tmp_path)
    return read_pair(tmp_path, "home", "tech")


def test_everything_comes_back(stored: DomainPair, small_pair: DomainPair) -> None:
    before, after = tensors(small_pair), tensors(stored)
    assert before.keys() == after.keys()
    assert len(before) > 80
    for name, tensor in before.items():
        assert torch.equal(tensor.nan_to_num(-1), after[name].nan_to_num(-1)), name
        assert tensor.dtype == after[name].dtype, name
    for name in ("source", "target", "target_only"):
        one, other = getattr(small_pair, name), getattr(stored, name)
        assert (one.name, one.n_context) == (other.name, other.n_context)
        assert one.user_ids.to_list() == other.user_ids.to_list()
        assert one.items["item_id"].to_list() == other.items["item_id"].to_list()


def test_a_table_in_parts_keeps_its_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("crossrec.data.storage.PART_ROWS", 7)
    table = pl.DataFrame({"item_id": [f"i{number * 37 % 100:02}" for number in range(100)]})
    write_tables(tmp_path / "source", pl.DataFrame(), table)
    assert len(list((tmp_path / "source" / "items").iterdir())) == 15
    assert read_items(tmp_path, "source").equals(table)


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of mapped files here")
def test_tensors_are_mapped(stored: DomainPair) -> None:
    address = stored.target.known.items.data_ptr()
    for line in Path("/proc/self/maps").read_text().splitlines():
        start, end = (int(place, 16) for place in line.split()[0].split("-"))
        if start <= address < end:
            assert line.endswith("/target.safetensors")
            return
    pytest.fail("the tensor lies nowhere")
