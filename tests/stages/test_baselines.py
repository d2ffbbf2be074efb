"""Baselines on the target alone: validation tunes them, once for all runs on the same data."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from crossrec.data.pair import DomainPair
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.models.ease import EASE, Gram
from crossrec.models.item_knn import ItemKNN
from crossrec.stages import baselines as module
from crossrec.stages.baselines import METRIC, baselines, tune, tune_baselines
from crossrec.stages.scoring import Ranker, Single, of_baseline, train_matrix
from crossrec.stages.staging import Staging


def validated(ranker: Ranker) -> float:
    """NDCG@10 in validation."""
    queries = ranker.domain.valid.queries()
    ranking = rank(ranker.block("valid"), queries, ranker.domain.n_items, 10)
    return float(ndcg(ranking.truth_ranks, queries.truth_offsets, 10).mean())


def test_validation_alone_chooses_the_settings(
    small_pair: DomainPair, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = small_pair.target_only
    monkeypatch.setattr(module, "L2", (300.0, 3.0, 0.1))  # few data: more is all the same
    # What is asked in test are other users' items: nobody may notice.
    n_truths = len(target.test.truth_items)
    shuffled = target.test.truth_items[torch.arange(n_truths).roll(1)]
    other = replace(target, test=replace(target.test, truth_items=shuffled))
    tuned = tune(target)
    assert tune(other) == tuned
    rows = {contestant.name: contestant for contestant in baselines(target, None, tuned)}
    matrix = train_matrix(target)
    possible = {
        "ease": [({"l2": x}, EASE(x).fit(matrix).score) for x in module.L2],
        "item-knn": [
            ({"n_neighbors": k, "shrinkage": s}, ItemKNN(k, s).fit(matrix).score)
            for s in module.SHRINKAGE
            for k in module.N_NEIGHBORS
        ],
    }
    for name, settings in possible.items():
        values = [
            validated(Single(target, of_baseline(score, target.n_items))) for _, score in settings
        ]
        best = values.index(max(values))  # the first of equals
        assert min(values) < values[best]
        assert tuned[name] == {**settings[best][0], METRIC: values[best]}
        assert validated(rows[name].ranker) == values[best]
    assert tuned["popularity"] == {METRIC: validated(rows["popularity"].ranker)}


def test_too_many_items_and_users_leave_ease_out(
    small_pair: DomainPair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    target = small_pair.target_only
    side = Gram.side(train_matrix(target))
    monkeypatch.setattr(module, "MAX_SIDE", side)
    assert list(tune(target)) == ["popularity", "item-knn", "ease"]
    monkeypatch.setattr(module, "MAX_SIDE", side - 1)
    tuned = tune(target)
    assert list(tuned) == ["popularity", "item-knn"]
    names = [contestant.name for contestant in baselines(target, None, tuned)]
    assert names == ["popularity", "item-knn"]
    caplog.set_level(logging.INFO, logger="crossrec.stages.baselines")
    tune_baselines(Staging(tmp_path), tmp_path / "collect-1", target)
    assert f"no ease: its matrix has over {side - 1} rows" in caplog.text


def test_they_are_tuned_once_for_all_runs_on_the_same_data(
    small_pair: DomainPair,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, logger="crossrec.stages.baselines")
    data = tmp_path / "collect-1"
    first = tune_baselines(Staging(tmp_path), data, small_pair.target_only)
    settings = first["ease"]
    said = f"ease: l2={settings['l2']:g}, ndcg@10 {settings[METRIC]:.4f} in validation"
    assert said in caplog.text
    monkeypatch.setattr(module, "tune", None)  # would fail if it were called
    again = Staging(tmp_path)
    assert tune_baselines(again, data, small_pair.target_only) == first
    kept = tmp_path / again.used["baselines"] / "settings.json"
    assert json.loads(kept.read_text()) == first
