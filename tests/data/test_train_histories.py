"""The train events of both domains in one order, by hand."""

from pathlib import Path

import polars as pl
import pytest

from crossrec.data import train_histories as module
from crossrec.data.train_histories import train_histories

# user, item, when, part
SOURCE = [
    ("a", "s1", 1, "train"), ("a", "s2", 6, "train"), ("a", "s3", 9, "train"),
    ("a", "s4", 3, "valid"), ("b", "s1", 5, "train"), ("b", "s5", 8, "train"),
]  # fmt: skip
TARGET = [
    ("a", "t1", 2, "train"), ("a", "t2", 6, "train"), ("a", "t3", 7, "valid"),
    ("a", "t4", 10, "test"), ("c", "t1", 1, "train"), ("b", "t5", 8, "test"),
]  # fmt: skip


def told(monkeypatch: pytest.MonkeyPatch, account: dict[str, str | None]) -> list[str]:
    """ "user item" of each event, from tables instead of a folder."""

    def read(folder: Path, domain: str) -> pl.DataFrame:
        rows = SOURCE if domain == "source" else TARGET
        return pl.DataFrame(rows, schema=["user_id", "item_id", "timestamp", "split"], orient="row")

    monkeypatch.setattr(module, "read_interactions", read)
    monkeypatch.setattr(module, "read_account", lambda folder: account)
    events = train_histories(Path())
    assert events.columns == ["user_id", "domain", "item_id"]
    for _, domain, item in events.rows():
        assert domain == ("source" if item.startswith("s") else "target")
    return [f"{user} {item}" for user, _, item in events.rows()]


def test_a_shared_time_orders_and_cuts(monkeypatch: pytest.MonkeyPatch) -> None:
    """s3 comes after a's validation event, s5 at the instant of b's test event."""
    events = told(monkeypatch, {"order": "cut", "time": "timestamp"})
    assert events == ["a s1", "a t1", "a s2", "a t2", "b s1", "c t1"]


@pytest.mark.parametrize(("order", "time"), [("unknown", None), ("keep", "timestamp")])
def test_without_one_the_source_goes_first(
    monkeypatch: pytest.MonkeyPatch, order: str, time: str | None
) -> None:
    events = told(monkeypatch, {"order": order, "time": time})
    assert events == ["a s1", "a s2", "a s3", "a t1", "a t2", "b s1", "b s5", "c t1"]
