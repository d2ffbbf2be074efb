"""Two worlds that differ only in what is held out are one world to all that is trained or fitted.

This finds what no word and no number would show: a mean, a direction of the whitening, an order. It
also says what is let in. Which events there are is known, since a k-core counts all of them on
purpose. So is the catalog: a loss compares what was taken with all that was not, as new items are,
but nothing is fitted on the text of an item that no train event has.
"""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch
from omegaconf import OmegaConf
from safetensors.torch import load_file

from crossrec.configuration.composing import CONF, part
from crossrec.data import preparing, storage
from crossrec.data.columns import ITEM, ROW, SPLIT, USER
from crossrec.data.domain import Domain
from crossrec.data.prepared import load_pair
from crossrec.data.storage import DOMAINS, read_items, read_reviews
from crossrec.encoders.language_model import LanguageModel
from crossrec.evaluation.ratings import TrainMeans
from crossrec.stages import pretraining
from crossrec.stages.baselines import baselines, tune
from crossrec.stages.collecting import collect
from crossrec.stages.encoding import encode_items
from crossrec.stages.learning import Learning
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging
from crossrec.training.material import Material

SPLITS = ("leave_one_out", "few_shot", "ratio", "temporal", "cold_users", "cold_items", "shared")
CLEANINGS = ("keep_all", "default", "five_core")
HELD_OUT = ("valid", "test", "none")
Plant = Callable[[str, str], Any]


def learned(world: Any, data: Path, name: str) -> np.ndarray:
    """(items,) whether an item of the prepared catalog has a train event."""
    train = [
        item for item, split in world.events[name].select(ITEM, SPLIT).rows() if split == "train"
    ]
    return np.isin(read_items(data, name)[ITEM].to_numpy(), train)


def seen(world: Any, settings: Settings) -> dict[str, Any]:
    """All that models are fitted on, and what the encoder makes of items, by what it is."""

    def record(read: Material, base: Path, folder: Path, *trained: Any) -> Any:
        assert read.histories is not None
        told = {name: np.asarray(value).tolist() for name, value in vars(read.histories).items()}
        (folder / "read.json").write_text(json.dumps({"corpus": read.texts, "histories": told}))
        return {
            "perplexity_before": 1.0,
            "perplexity_after": 1.0,
            "accuracy_before": 0.0,
            "accuracy_after": 0.0,
        }

    staging = Staging(settings.artifacts)
    data = collect(settings, staging)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pretraining, "pretrain", record)
        model = pretrain_encoder(settings, staging, data)
    assert model is not None
    untrained = LanguageModel(Path(settings.encoder["model"]), "mean")
    content = encode_items(settings, staging, data, untrained)
    view: dict[str, Any] = {
        **json.loads((model.folder / "read.json").read_text()),
        "reviews": [sorted(read_reviews(data, name).rows()) for name in DOMAINS],
    }
    for name in DOMAINS:
        known, vectors = learned(world, data, name), getattr(content, name).numpy()
        view["learned vectors"] = [*view.get("learned vectors", []), vectors[known]]
        view["other vectors"] = [*view.get("other vectors", []), vectors[~known]]
    pair = load_pair(data)
    for name in ("source", "target", "target_only"):
        domain = getattr(pair, name)
        train = domain.train
        view[f"{name} sequences"] = [train.users, train.offsets, train.items, train.own]
        view[f"{name} queries"] = [
            table
            for held_out in (domain.valid, domain.test)
            for table in (held_out.history.items, held_out.seen_offsets, held_out.seen_items)
        ]
        view[f"{name} truths"] = domain.test.truth_items
        means = TrainMeans.of(
            *(c.numpy() for c in domain.train_events()), domain.n_users, domain.n_items
        )
        view[f"{name} means"] = [means.users, means.items]
        view[f"{name} ratings"] = domain.train_events()[2]
    return view


def alike(one: Any, other: Any, within: float) -> bool:
    """Whether two views of something are the same, numbers up to a rounding error."""
    if isinstance(one, (np.ndarray, torch.Tensor)):
        return one.shape == other.shape and np.allclose(one, other, rtol=0, atol=within)
    if isinstance(one, dict):
        return one.keys() == other.keys() and alike([*one.values()], [*other.values()], within)
    if isinstance(one, list):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(alike(*pair, within) for pair in pairs)
    return bool(one == other)


def differing(one: dict[str, Any], other: dict[str, Any]) -> set[str]:
    """What is not the same in both views; a vector may feel what is encoded in the same batch."""
    return {what for what in one if not alike(one[what], other[what], 1e-5 * ("vectors" in what))}


def settings_of(world: Any, folder: Path) -> list[Settings]:
    """Runs on the world, and on one in which all is changed that is said of what is held out."""
    return [
        replace(world.settings, artifacts=folder / "one"),
        world.varied(folder, (*HELD_OUT, "source items", "target items")),
    ]


@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("split", SPLITS)
def test_what_is_held_out_changes_nothing_that_is_learned(
    plant: Plant, split: str, cleaning: str, tmp_path: Path
) -> None:
    world = plant(split, cleaning)
    views = [seen(world, settings) for settings in settings_of(world, tmp_path)]
    # Items that nobody has in train are encoded, as all are, by what was learned of the others.
    assert differing(*views) == {"other vectors"}


@pytest.mark.parametrize("split", ["leave_one_out", "few_shot", "temporal", "cold_users"])
def test_which_item_is_asked_for_changes_nothing(plant: Plant, split: str, tmp_path: Path) -> None:
    # Not so where the split draws by item, nor where thresholds count the held-out events.
    world = plant(split, "keep_all")
    target = world.events["target"]
    asked = target.filter(pl.col(SPLIT) == "test").unique(USER, keep="first")["number"]
    had = target.filter(pl.col(ITEM) == "onlytest")[USER]
    chosen = pl.col("number").is_in(asked.implode()) & ~pl.col(USER).is_in(had.implode())
    item = pl.when(chosen).then(pl.lit("onlytest")).otherwise(pl.col(ITEM)).alias(ITEM)
    other = replace(world, events={**world.events, "target": target.with_columns(item)})
    runs = world.settings, other.varied(tmp_path, ())
    views = [seen(world, settings) for settings in runs]
    assert differing(*views) == {"target truths", "target_only truths"}


@pytest.mark.parametrize("split", ["leave_one_out", "temporal"])
def test_what_is_said_of_train_events_changes_what_is_learned(
    plant: Plant, split: str, tmp_path: Path
) -> None:
    world = plant(split, "default")
    runs = world.settings, world.varied(tmp_path, ("train",))
    expected = {"reviews", "corpus", "histories", "learned vectors", "other vectors"}
    expected |= {f"{name} means" for name in ("source", "target", "target_only")}
    expected |= {f"{name} ratings" for name in ("source", "target", "target_only")}
    assert differing(*(seen(world, settings) for settings in runs)) == expected


def items_of_all_events(patch: pytest.MonkeyPatch) -> None:
    for stage in (pretraining, storage):
        patch.setattr(stage, "train_items", lambda data, name: read_items(data, name)[ITEM])


def reviews_of_all_events(patch: pytest.MonkeyPatch) -> None:
    of_rows = preparing.reviews_of

    def leaky(raw: Any, rows: pl.Series) -> pl.LazyFrame:
        return of_rows(raw, raw.interactions.select(ROW).collect().to_series())

    patch.setattr(preparing, "reviews_of", leaky)


def ratings_of_test_events(patch: pytest.MonkeyPatch) -> None:
    train_events = Domain.train_events

    def leaky(domain: Domain) -> tuple[torch.Tensor, ...]:
        query, items, ratings = domain.test.truths()
        more = domain.test.users[query], items, ratings
        return tuple(torch.cat(both) for both in zip(train_events(domain), more, strict=True))

    patch.setattr(Domain, "train_events", leaky)


@pytest.mark.parametrize(
    ("leak", "expected"),
    [
        (items_of_all_events, {"corpus", "learned vectors"}),
        (reviews_of_all_events, {"reviews", "corpus", "histories", "learned vectors"}),
        (ratings_of_test_events, {"source means", "target means", "target ratings"}),
    ],
)
@pytest.mark.parametrize("split", ["leave_one_out", "temporal", "cold_users"])
def test_a_leak_is_found_in_what_is_learned(
    plant: Plant,
    leak: Callable[[pytest.MonkeyPatch], None],
    expected: set[str],
    split: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = plant(split, "default")
    leak(monkeypatch)
    world = replace(world, settings=replace(world.settings, artifacts=tmp_path / "one"))
    views = [seen(world, settings) for settings in settings_of(world, tmp_path)]
    assert expected <= differing(*views)


def trained(settings: Settings) -> dict[str, Any]:
    """All weights of a run, from the language model to the transferred recommender, and what the
    baselines make of validation."""
    staging = Staging(settings.artifacts)
    data = collect(settings, staging)
    pair = load_pair(data)
    language_model = pretrain_encoder(settings, staging, data)
    assert language_model is not None
    content = encode_items(settings, staging, data, language_model)
    learning = Learning(settings, staging, data, pair, content)
    source = learning.train_source()
    folders = {
        name: learning.train(name, method, source)
        for name, method in (("scratch", settings.scratch), ("transfer", settings.transfer))
    }
    folders |= {"language model": language_model.folder, "source": source}
    found: dict[str, Any] = {
        name: [load_file(file) for file in sorted(folder.glob("*.safetensors"))]
        for name, folder in folders.items()
    }
    tuned = tune(pair.target_only)
    for contestant in baselines(pair.target_only, settings.rating_scale, tuned):
        assert contestant.ratings is not None
        valid = pair.target_only.valid
        found[contestant.name] = contestant.ratings(valid, torch.zeros(len(valid.truth_items)))
    return found


TASTE = {"objective": "cooccurrence", "language_weight": 1.0}
RATES = part("objective", OmegaConf.load(CONF / "objective" / "rating.yaml"))


@pytest.mark.parametrize("split", ["leave_one_out", "temporal", "cold_users"])
def test_no_weight_depends_on_what_is_said_of_test_events(
    plant: Plant, split: str, tmp_path: Path
) -> None:
    world = plant(split, "default")
    one, other, control = (
        trained(replace(settings, objective=RATES, pretraining=settings.pretraining | TASTE))
        for settings in (
            replace(world.settings, artifacts=tmp_path / "one"),
            world.varied(tmp_path / "other", ("test", "none")),
            world.varied(tmp_path / "control", ("train", "valid")),
        )
    )
    assert differing(one, other) == set()
    assert differing(one, control) == set(one)


def test_a_new_item_is_to_the_weights_what_nobody_took(plant: Plant, tmp_path: Path) -> None:
    world = plant("leave_one_out", "default")
    softmax = world.settings.objective
    runs = (
        replace(world.settings, artifacts=tmp_path / "one"),
        world.varied(tmp_path, ("target items",)),
    )
    for objective, expected in ((RATES, set()), (softmax, {"scratch", "transfer"})):
        one, other = (trained(replace(settings, objective=objective)) for settings in runs)
        assert differing(one, other) == expected


def test_a_leak_is_found_in_the_weights(
    plant: Plant, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = plant("leave_one_out", "default")
    ratings_of_test_events(monkeypatch)
    one, other = (
        trained(replace(settings, objective=RATES, artifacts=tmp_path / str(place)))
        for place, settings in enumerate((world.settings, world.varied(tmp_path, ("test",))))
    )
    models, rows = {"source", "scratch", "transfer"}, {"popularity", "item-knn", "ease"}
    assert differing(one, other) == models | rows
