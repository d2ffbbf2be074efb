"""What a run refuses, and what it warns of, where training looks ahead of the test; by hand."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from crossrec.data.columns import ITEM, ITEM_COLUMNS, POSITION, RATING, SPLIT, TIMESTAMP, USER
from crossrec.data.pair import align
from crossrec.data.prepared import describe, load_pair, read_account
from crossrec.data.sequences import HeldOut
from crossrec.data.splits import leave_one_out
from crossrec.errors import UserError
from crossrec.stages.collecting import collect
from crossrec.stages.staging import Staging

SPLITS = ("leave_one_out", "few_shot", "ratio", "temporal", "cold_users", "cold_items", "shared")
Plant = Callable[[str, str], Any]


def collected(world: Any, folder: Path, **protocol: str) -> Path:
    """The prepared pair of a world, with another protocol."""
    settings = world.settings
    asked = {**settings.protocol, **protocol}
    return collect(replace(settings, artifacts=folder, protocol=asked), Staging(folder))


@pytest.mark.parametrize("split", [split for split in SPLITS if split != "temporal"])
def test_a_split_that_trains_after_its_test_is_refused_where_it_claims_not_to(
    plant: Plant, split: str, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"cut_at=global claims one cut.*train events are at or af"):
        collected(plant(split, "default"), tmp_path, cut_at="global")


def test_a_source_that_goes_on_after_a_global_cut_is_refused(plant: Plant, tmp_path: Path) -> None:
    world = plant("temporal", "keep_all")
    start = min(world.cut.values())
    once = world.events["source"].sort(TIMESTAMP).unique([USER, ITEM], keep="first")
    late = once.filter(pl.col(TIMESTAMP) >= start)
    told = f"keeps {len(late)} source events .* of {late[USER].n_unique()} users"
    with pytest.raises(UserError, match=told):
        collected(world, tmp_path, source_after_test="keep")


@pytest.mark.parametrize("split", SPLITS)
def test_how_much_of_train_is_later_is_measured_and_told(
    plant: Plant, split: str, tmp_path: Path
) -> None:
    world = plant(split, "default")
    train, test = (
        world.events["target"].filter(pl.col(SPLIT) == part)[TIMESTAMP].to_list()
        for part in ("train", "test")
    )
    share = sum(known > asked for asked in test for known in train) / (len(train) * len(test))
    account = read_account(collected(world, tmp_path))
    assert account["later_share"] == pytest.approx(share)
    told = f"{share:.0%} of train"
    warnings = [line for line in describe(account) if line.startswith("warning")]
    assert [told in line for line in warnings] == [True] * (share > 0)
    assert (told in world.settings.caption(account)) == (share > 0)
    assert (split == "temporal") == (share == 0)


def test_how_much_of_the_source_is_cut_is_told(plant: Plant, tmp_path: Path) -> None:
    world = plant("leave_one_out", "keep_all")
    once = world.events["source"].sort(TIMESTAMP).unique([USER, ITEM], keep="first")
    n_future = once[SPLIT].null_count()
    cut = read_account(collected(world, tmp_path))
    assert n_future == cut["n_future"] > 0
    assert f"{n_future} source events after the target's test events were cut" in describe(cut)
    kept = read_account(collected(world, tmp_path, source_after_test="keep"))
    assert "source events after the target's test events are kept" in describe(kept)
    assert "source events after the test event are kept" in world.settings.caption(kept)


def test_cold_users_are_those_who_are_known_by_then(plant: Plant, tmp_path: Path) -> None:
    world = plant("cold_users", "keep_all")
    cold = set(world.first["test"]) | set(world.first["valid"])
    begins = dict(world.events["target"].group_by(USER).agg(pl.col(TIMESTAMP).min()).rows())
    source = world.events["source"].select(USER, TIMESTAMP).rows()
    known = {user for user, time in source if time < begins.get(user, 0)}
    assert cold <= known
    test = load_pair(collected(world, tmp_path)).target.test
    assert test.history.lengths.min() > 0  # whoever is asked has a past to be known by
    # Where all of the source counts as past, all of it makes a user known.
    kept = load_pair(collected(world, tmp_path, source_after_test="keep")).target
    assert "later" in kept.user_ids[kept.test.users.numpy()]


def of_ann(answer: str) -> tuple[HeldOut, HeldOut]:
    """Validation and test of ann, who had a, b and c and is asked for one more; bob repeats c."""
    rows = [("ann", item, time) for time, item in enumerate(("a", "b", "c", answer))]
    rows += [("bob", item, time) for time, item in enumerate(("c", "c", "a", "b"))]
    unknown = (pl.lit(None).alias(name) for name in (RATING, POSITION))
    events = pl.DataFrame(rows, schema=[USER, ITEM, TIMESTAMP], orient="row").with_columns(unknown)
    events = leave_one_out(events.cast({RATING: pl.Float32, POSITION: pl.Int64}), seed=0)
    items = pl.DataFrame({name: list("abcd") for name in ITEM_COLUMNS})
    target = align(("home", events, items), ("tech", events, items), "cut", TIMESTAMP).target_only
    return target.valid, target.test


@pytest.mark.parametrize("part", [0, 1])
def test_what_is_a_candidate_does_not_tell_the_answer(part: int) -> None:
    new, again = of_ann("d")[part], of_ann("a")[part]
    assert new.users.tolist() == again.users.tolist() == [0, 1]
    assert new.seen_offsets.tolist() == again.seen_offsets.tolist()
    assert new.seen_items.tolist() == again.seen_items.tolist()
