"""What a run keeps for its report, from one command on a tiny marketplace."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from crossrec.cost import peak_memory
from crossrec.data.pair import DomainPair
from crossrec.report import main
from crossrec.reporting.content_map import mixing, plane
from crossrec.reporting.reading import curves_of
from crossrec.stages.exhibits import EVENTS_A_DOMAIN, USERS_A_KIND, examples


def test_a_run_and_the_run_that_reuses_it(
    command: Callable[..., Any], tiny: list[str], tmp_path: Path
) -> None:
    settings = [*tiny, f"paths.artifacts={tmp_path / 'artifacts'}"]
    first, second = tmp_path / "first", tmp_path / "second"
    for run in (first, second):
        ran = command(*settings, f"hydra.run.dir={run}")
        assert ran.code == 0, ran.err
    made, reused = (
        json.loads((run / "record.json").read_text())["costs"] for run in (first, second)
    )
    stages = {"collect", "source", "scratch", "transfer", "baselines"}
    assert made.keys() == reused.keys() == stages | {"recommend", "evaluate"}
    for stage in stages:
        assert not made[stage]["reused"]
        assert reused[stage]["reused"]
        assert 0 < made[stage]["seconds"] == reused[stage]["seconds"]
    assert 0 < made["scratch"]["parameters"] < made["transfer"]["parameters"]
    assert made["collect"]["parameters"] is None
    assert made["evaluate"]["peak_memory"] <= peak_memory()
    curves = curves_of(first)
    assert curves.keys() == curves_of(second).keys() == {"source", "scratch", "transfer"}
    for stage, curve in curves.items():
        assert curve.equals(curves_of(second)[stage])
        record = json.loads(
            next((tmp_path / "artifacts").glob(f"{stage}-*/training.json")).read_text()
        )
        best = curve.filter("best")
        assert best["at"].item() == record["best_epoch"] + 1
        assert best["value"].item() == pytest.approx(record["best"])

    per_user = pl.read_parquet(first / "per_user.parquet")
    catalog = pl.read_parquet(first / "catalog.parquet")
    assert per_user["truth_items"].list.max().max() < len(catalog)
    asked = per_user.filter(model="transferred")
    ranks = asked["truth_ranks"].list.first().to_numpy()
    gain = np.where(ranks <= 10, 1 / np.log2(ranks + 1), 0)
    np.testing.assert_allclose(asked["ndcg@10"].to_numpy(), gain)  # one held-out item a user

    assert main([str(second)]) == 0
    page = (second / "report" / "report.html").read_text()
    title = pl.read_parquet(second / "examples.parquet")["title"][0]
    assert title.split(",")[0] in page
    assert "No language model read the items" in page
    assert main([str(first), str(second), "--output", str(tmp_path / "both")]) == 0


def test_examples_are_drawn_by_lot_from_each_kind(small_pair: DomainPair) -> None:
    table = examples(small_pair, seed=0)
    users = table.select("user_id", "shared").unique()
    assert len(users) <= 4 * USERS_A_KIND
    assert users["shared"].all()  # all sixty are in both domains
    assert table.equals(examples(small_pair, seed=0))
    assert not table.equals(examples(small_pair, seed=1))
    test = small_pair.target.test
    codes = {name: code for code, name in enumerate(small_pair.target.user_ids)}
    for (user, n_train), own in table.group_by("user_id", "n_train"):
        row = test.users.tolist().index(codes[str(user)])
        assert n_train == int(test.n_train[row])
        held_out = small_pair.target.items["item_id"][int(test.truth_items[row])]
        assert own.filter(part="held out")["item_id"].to_list() == [held_out]
        history = own.filter(part="target")["item_id"].to_list()
        assert held_out not in history
        assert len(history) <= EVENTS_A_DOMAIN
        assert all(item.startswith("home") for item in own.filter(part="source")["item_id"])


def test_the_plane_has_the_directions_of_the_largest_variance() -> None:
    draw = np.random.default_rng(0)
    scale = np.array([0.1, 5.0, 1.0, 20.0])
    points = plane(draw.normal(size=(500, 4)) * scale + 7)
    assert points.std(axis=0) == pytest.approx([20, 5], rel=0.1)
    assert points.mean(axis=0) == pytest.approx([0, 0], abs=1e-9)
    assert np.corrcoef(points.T)[0, 1] == pytest.approx(0, abs=1e-9)
    assert plane(np.eye(3), whitened=True).tolist() == [[1, 0], [0, 1], [0, 0]]
    assert plane(np.ones((2, 1))).shape == (2, 2)


def test_domains_that_mix_and_domains_that_do_not() -> None:
    draw = np.random.default_rng(0)
    a, b = draw.normal(size=(2, 300, 5))
    mixed, chance = mixing(a, b)
    assert mixed == pytest.approx(chance, abs=0.03)
    assert chance == pytest.approx(300 / 599)
    apart = np.eye(5)[0] * 50
    assert mixing(a + apart, b - apart)[0] == 0
