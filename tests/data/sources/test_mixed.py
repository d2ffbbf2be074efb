"""Domains of different data sets: each by its own reader, ratings on one scale."""

from pathlib import Path

import pytest

from crossrec.data.columns import RATING
from crossrec.data.sources.mixed import Mixed
from crossrec.data.sources.tables import Tables
from crossrec.errors import UserError


def table(folder: Path, name: str, rating: str) -> Tables:
    (folder / name).mkdir(parents=True)
    lines = f"user_id,item_id,rating\nu,i,{rating}\nv,i,\n"
    (folder / name / "interactions.csv").write_text(lines)
    return Tables(folder)


def test_each_domain_is_read_by_its_own_reader(tmp_path: Path) -> None:
    ten, five = table(tmp_path / "a", "BX", "9"), table(tmp_path / "b", "lthing_data", "4.5")
    mixed = Mixed({"BX": ten, "lthing_data": five}, {"lthing_data": 2})
    assert mixed.files("BX") == (tmp_path / "a" / "BX" / "interactions.csv",)
    for domain in ("BX", "lthing_data"):
        assert mixed.read(domain).interactions.collect()[RATING].to_list() == [9.0, None]
    with pytest.raises(UserError, match="no reader for 'music', only for BX, lthing_data"):
        mixed.read("music")


def test_readers_and_factors_that_cannot_be(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"data\.reader\.readers is empty"):
        Mixed({})
    with pytest.raises(UserError, match="rating_factors names music, which has no reader"):
        Mixed({"BX": Tables(tmp_path)}, {"music": 2})
