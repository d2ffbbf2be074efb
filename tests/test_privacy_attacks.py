"""Membership inference, by hand, and the losses that it goes by."""

import importlib
from pathlib import Path
from types import ModuleType

import hydra
import numpy as np
import polars as pl
import pytest
import torch
from hydra.core.global_hydra import GlobalHydra

from crossrec.configuration.composing import CONF
from crossrec.data.pair import DomainPair
from crossrec.models.two_tower import TwoTower
from crossrec.training.private import Users, user_gradients

FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "privacy"


@pytest.fixture
def inference(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(FOLDER))
    return importlib.import_module("inference")


@pytest.fixture
def attacks(inference: ModuleType) -> ModuleType:
    return importlib.import_module("attacks")


def test_auc_counts_pairs(inference: ModuleType) -> None:
    # Of the four pairs three are in order and one is a tie.
    scores, members = np.array([3.0, 1, 2, 2]), np.array([True, False, True, False])
    assert inference.auc(scores, members) == 3.5 / 4
    assert inference.auc(inference.threshold_scores(scores), members) == 0.5 / 4


def test_found_members_at_one_false_alarm_in_a_hundred(inference: ModuleType) -> None:
    scores = np.array([*range(100), 97.5, 98, 98.5, 99.5])  # 99 alone is a false alarm
    assert inference.found_at(scores, np.arange(104) >= 100) == 2 / 4


# Two users, a in the first two models and b in the last two. Means in and out: a 2 and 7, b -7 and
# -2; variance in (1 + 1 + 4 + 4) / 2 = 5, and out the same.
SHADOW = np.array([[1.0, -1], [3, -3], [5, -5], [9, -9]])
MEMBERS = np.array([[True, False], [True, False], [False, True], [False, True]])


def test_likelihood_ratio(inference: ModuleType) -> None:
    ratios = inference.likelihood_ratios(np.array([2.0, -2]), SHADOW, MEMBERS)
    assert ratios == pytest.approx([25 / 10, -25 / 10])
    moved = SHADOW + np.array([[7.0], [0], [-3], [100]])  # whole models say nothing of a user
    assert inference.likelihood_ratios(np.array([5.0, 1]), moved, MEMBERS) == pytest.approx(ratios)


def test_one_model_has_no_variance(inference: ModuleType) -> None:
    with pytest.raises(ValueError, match="in two shadow models and out of two"):
        inference.likelihood_ratios(np.array([2.0, -2]), SHADOW[:3], MEMBERS[:3])


def test_a_users_loss_is_that_of_training(attacks: ModuleType, small_pair: DomainPair) -> None:
    torch.manual_seed(0)
    domain = small_pair.source
    sizes = {"n_users": domain.n_users, "n_items": domain.n_items, "n_context": 0}
    content = torch.randn(domain.n_items, 3)
    # Three events a window: most users have several windows, and not all as many.
    model = TwoTower(**sizes, content=content, dim=4, hidden=6, dropout=0.0, max_history=3)
    found = attacks.user_losses(model, domain)
    learned = dict(model.named_parameters())
    for part in Users(domain, 3)[torch.arange(len(domain.train.users))]:
        rows = torch.searchsorted(domain.train.users, part.users[:, 0].contiguous())
        assert found[rows] == pytest.approx(user_gradients(model, learned, part)[1].numpy())


def test_weights_of_ids_that_did_not_cross_tell_nothing(
    attacks: ModuleType, tmp_path: Path
) -> None:
    rng = np.random.default_rng(0)
    events = pl.DataFrame(
        {"user_id": f"u{user}", "item_id": f"i{item}", "rating": 5.0, "timestamp": time}
        for user in range(24)
        for time, item in enumerate(rng.permutation(12)[:5])
    )
    halves = {"all": range(24)}
    for draw in range(3):
        mixed = rng.permutation(24)
        halves |= {f"{draw}a": mixed[:12], f"{draw}b": mixed[12:]}
    folders = {}
    for name, users in halves.items():
        folders[name] = tmp_path / "halves" / name / "home"
        folders[name].mkdir(parents=True)
        own = events.filter(pl.col("user_id").is_in([f"u{user}" for user in users]))
        own.write_parquet(folders[name] / "interactions.parquet")
    GlobalHydra.instance().clear()
    given, file = ("encoder=none", "model.dim=8", "trainer.max_epochs=1"), tmp_path / "attacks.csv"
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        attacks.measure(folders, tmp_path, ["inf"], given, file)
    table = pl.read_csv(file)
    assert table.group_by("attack", maintain_order=True).len().rows() == [
        ("threshold", 6),
        ("shadow", 6),
    ]
    assert set(table["members"]) == set(table["others"]) == {12}
    # Without texts an item is its row of a table, which stays with the owner: every loss is log 12.
    assert table["loss_members"].to_list() == [2.4849] * 12
    assert set(table["auc"]) == {0.5}
