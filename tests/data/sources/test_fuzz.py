"""Damaged files of every reader: refused by name, or read but for the lines that are damaged.

The samples, the damage and the judgement are those of experiments/reader_fuzz, which runs many
thousand cases; here each kind of damage is done once to each reader, and some more at random.
"""

import importlib
import sys
from pathlib import Path
from random import Random
from types import ModuleType

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

HERE = Path(__file__).resolve().parents[3] / "experiments" / "reader_fuzz"


@pytest.fixture(scope="module")
def fuzz() -> ModuleType:
    """The module fuzz.py of the experiment."""
    sys.path.insert(0, str(HERE))
    try:
        return importlib.import_module("fuzz")
    finally:
        sys.path.remove(str(HERE))


KINDS = (
    *("amazon2014", "amazon2018", "amazon2023"),
    *("movielens .data", "movielens .dat", "movielens .csv", "recbole"),
    *("tables parquet", "tables csv", "tables tsv", "mind", "kuairec", "yelp"),
    *("goodreads", "goodreads csv", "steam", "douban", "book_crossing", "book_crossing csv"),
    *("library_thing", "library_thing program", "lastfm listens", "lastfm tags"),
)


def test_every_reader_has_samples(fuzz: ModuleType) -> None:
    assert tuple(fuzz.SAMPLES) == KINDS
    readers = {type(fuzz.SAMPLES[kind](0).make(Path(), 0.0)).__name__ for kind in KINDS}
    assert len(readers) == 13


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_damage(fuzz: ModuleType, kind: str) -> None:
    outcomes = [fuzz.case(kind, damage, Random(f"{kind} {damage}")) for damage in fuzz.TEXT]
    assert {"whole", "refused"} <= set(outcomes) or kind == "tables parquet"


@settings(
    max_examples=120,
    derandomize=True,
    deadline=None,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(kind=st.sampled_from(KINDS), seed=st.integers(0, 2**32), data=st.data())
def test_damage_at_random(fuzz: ModuleType, kind: str, seed: int, data: st.DataObject) -> None:
    fuzz.case(kind, data.draw(st.sampled_from(list(fuzz.TEXT))), Random(seed))


def test_the_judgement_finds_a_wrong_table(fuzz: ModuleType) -> None:
    """A reader that loses, changes or repeats rows of good lines would be found."""
    sample = fuzz.SAMPLES["recbole"](0)
    good = fuzz.undamaged("recbole", 0)
    content = sample.files[sample.events]
    damaged = fuzz.Damaged(content.replace(b"u1\t", b"u1x\t", 1))
    row, count = next(iter(good.events.items()))
    assert count == 1
    lost = good.events - fuzz.Counter([row])
    wrong = {
        "rows, 0 of 40": (lost, 40, 0),
        "1 lines gone": (good.events - fuzz.Counter(list(good.events)[:2]), 40, 2),
        "rows, 1 of 40": (good.events, 40, 1),
        "41 of 40 malformed": (good.events, 40, 41),
    }
    for reason, (events, n_lines, n_malformed) in wrong.items():
        found = fuzz.Read(events, good.items, n_lines, n_malformed)
        with pytest.raises(fuzz.Wrong, match=reason):
            fuzz._judge(sample, sample.events, damaged, good, found)
    fuzz._judge(sample, sample.events, damaged, good, fuzz.Read(lost, good.items, 40, 1))
    with pytest.raises(fuzz.Wrong, match="not refused"):
        fuzz._judge(sample, sample.events, fuzz.Damaged(b"", refused=True), good, good)
    with pytest.raises(fuzz.Wrong, match="refused what is right"):
        fuzz._judge_refusal("toys.inter", sample, Path("x"), fuzz.Damaged(b"", equal=True))
