"""No canary is found in what training sees, for any split and cleaning; each is, once it leaks.

What may be known is worked out here by hand, event by event, from which target events are held out
and when. A k-core counts held-out events on purpose: it says which population is studied. So which
users and items there are is taken from the prepared tables; all else of what is held out is sought.
"""

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import torch

from crossrec.data import histories, pair, preparing, train_histories
from crossrec.data.columns import ITEM, PAD, REVIEW, SPLIT, TIMESTAMP, USER
from crossrec.data.datamodule import DomainDataModule
from crossrec.data.domain import KEY, Domain
from crossrec.data.prepared import load_pair
from crossrec.data.sequences import HeldOut, Sequences
from crossrec.data.storage import DOMAINS, read_interactions, read_items, read_reviews
from crossrec.models.item_knn import ItemKNN
from crossrec.models.popularity import Popularity
from crossrec.stages import pretraining
from crossrec.stages.collecting import collect
from crossrec.stages.pretraining import pretrain_encoder
from crossrec.stages.scoring import of_baseline, train_matrix
from crossrec.stages.settings import Part, Settings
from crossrec.stages.staging import Staging
from crossrec.training.material import Material
from crossrec.training.objectives import BPR, Rating, Softmax

SPLITS = ("leave_one_out", "few_shot", "ratio", "temporal", "cold_users", "cold_items", "shared")
CLEANINGS = ("keep_all", "default", "five_core")
NEVER = float("inf")
Found = dict[str, set[str]]
"""Place -> the canaries that were found there; every place that was searched is named."""


class Past:
    """What may be known, by hand, and the names of what may not.

    Attributes:
        rows: of both domains.
        names: number -> what an event is.
        train: numbers of the train events of both domains.
    """

    def __init__(self, world: Any) -> None:
        self.first, self.cut = world.first, world.cut
        self.rows = [
            {**row, "domain": domain}
            for domain in DOMAINS
            for row in world.events[domain].iter_rows(named=True)
        ]
        self.names = {
            row["number"]: f"{row['domain']} {row[SPLIT] or 'left out'} event {row['number']}"
            for row in self.rows
        }
        self.train = self.of("train")

    def of(self, part: str) -> set[int]:
        """Events of a part; in the source only those before the target's test."""
        return {row["number"] for row in self.rows if row[SPLIT] == part and self._before_cut(row)}

    def _before_cut(self, row: dict[str, Any]) -> bool:
        return row["domain"] == "target" or row[TIMESTAMP] < self.cut.get(row[USER], NEVER)

    def source(self, *parts: str) -> set[int]:
        """Source events before the target's test and before each user's own events of the parts."""
        return {
            row["number"]
            for row in self.rows
            if row["domain"] == "source" and row[SPLIT] and self._before_cut(row)
            if all(row[TIMESTAMP] < self.first[part].get(row[USER], NEVER) for part in parts)
        }

    def histories(self, name: str) -> dict[str, set[int]]:
        """What sequences of "source", "target" and "target_only" may hold, by what they are for."""
        own = name.removesuffix("_only")
        train, valid = (
            {row["number"] for row in self.rows if row["domain"] == own} & self.of(part)
            for part in ("train", "valid")
        )
        past = self.source if name == "target" else lambda *parts: set()
        return {
            "train": train | past("valid", "test"),
            "valid": train | past("valid"),
            "test": train | valid | past("test"),
        }

    def pairs(self, domain: str, *parts: str) -> list[tuple[str, str]]:
        """(user, item) of a domain's events in the parts."""
        known = set().union(*(self.of(part) for part in parts))
        return [
            (row[USER], row[ITEM])
            for row in self.rows
            if row["domain"] == domain and row["number"] in known
        ]

    def unknown(self, numbers: Iterable[int], known: set[int]) -> set[str]:
        """The names of events that are not among the known ones."""
        return {self.names[number] for number in set(numbers) - known}


def numbers(ratings: torch.Tensor) -> list[int]:
    """The events that ratings are of."""
    return ((ratings.double() - 1) % 2 * 1024).round().int().tolist()


def in_texts(texts: Iterable[str], past: Past) -> set[str]:
    """Canaries in texts: words of events that are not train, and of items that no train has."""
    joined = "\n".join(texts)
    events = past.unknown(map(int, re.findall(r"event(\d+)", joined)), past.train)
    learned = {(domain, item) for domain in DOMAINS for _, item in past.pairs(domain, "train")}
    words = set(re.findall(r"\b(source|target)_(\w+)_([a-z]+)\b", joined))
    return events | {" ".join(word) for word in words if word[:2] not in learned}


def in_sequences(domain: Domain, name: str, past: Past) -> Found:
    """Canaries in what training, validation and test read of a domain."""
    known = past.histories(name)
    found: Found = {"train batches": set(), "valid batches": set()}
    for kind, sequences in (
        ("train", domain.train),
        ("valid", domain.valid.history),
        ("test", domain.test.history),
    ):
        held = set(numbers(sequences.ratings))
        assert held or (kind != "train" and name == "target_only")  # cold users have no past
        found[f"{kind} sequences"] = past.unknown(held, known[kind])
    for max_history in (1, 50):
        data = DomainDataModule(domain, max_history, 64, seed=0)
        trained = torch.cat(
            [batch.ratings[batch.items != PAD] for batch in data.train_dataloader()]
        )
        asked = [batch.ratings[batch.items != PAD] for batch, _ in data.val_dataloader()]
        found["train batches"] |= past.unknown(numbers(trained), known["train"])
        found["valid batches"] |= past.unknown(numbers(torch.cat(asked)), known["valid"])
    return found


def in_masks(domain: Domain, own: str, past: Past) -> set[str]:
    """Canaries among the items that are no candidates."""
    found = set()
    for held_out, parts in ((domain.valid, ("train",)), (domain.test, ("train", "valid"))):
        users = held_out.users.repeat_interleave(held_out.seen_offsets.diff())
        pairs = zip(
            domain.user_ids[users.numpy()],
            domain.items[ITEM][held_out.seen_items.numpy()],
            strict=True,
        )
        found |= {f"{user} had {item}" for user, item in set(pairs) - set(past.pairs(own, *parts))}
    return found


def in_statistics(domain: Domain, own: str, past: Past) -> Found:
    """Canaries in what baselines and objectives count."""
    ids, pairs = domain.items[ITEM].to_list(), past.pairs(own, "train")
    counts = np.array([[item for _, item in pairs].count(item) for item in ids])
    by_user: dict[str, set[str]] = {}
    for user, item in pairs:
        by_user.setdefault(user, set()).add(item)
    together = {pair for had in by_user.values() for pair in combinations(sorted(had), 2)}
    # Histories of one item each: an item's score for another one is their similarity.
    place = torch.arange(len(ids))
    alone = Sequences(place, torch.arange(len(ids) + 1), place, place.float(), place >= 0)
    matrix = train_matrix(domain)
    popularity, neighbors = (
        of_baseline(model.fit(matrix).score, len(ids))(alone)(slice(None)).numpy()
        for model in (Popularity(), ItemKNN())
    )
    similar = {tuple(sorted((ids[i], ids[j]))) for i, j in zip(*neighbors.nonzero(), strict=True)}
    softmax, bpr, rating = Softmax(), BPR(), Rating()
    for objective in (softmax, bpr, rating):
        objective.prepare(domain)
    weight = (counts + 1.0) ** 0.75
    drawn = np.diff(softmax._cumulative.numpy(), prepend=0)
    log_q = np.log(weight / weight.sum())
    differs = (abs(drawn - weight) > 1e-9) | (abs(softmax._of_item.numpy() - log_q) > 1e-5)
    below = bpr._below  # a had item's key, less how many of the user's come before it
    keys = below + torch.arange(len(below)) - bpr._start[below // len(ids)]
    had = {(domain.user_ids[key // len(ids)], ids[key % len(ids)]) for key in keys.tolist()}
    assert had
    expected = np.mean(
        [
            1 + row["number"] / 1024
            for row in past.rows
            if row["domain"] == own and row["number"] in past.train
        ]
    )
    return {
        "popularity": {ids[i] for i in np.flatnonzero(popularity[0] != counts)},
        "neighbors": {" with ".join(pair) for pair in similar - together},
        "log-q": {ids[i] for i in np.flatnonzero(differs)},
        "negatives": {" had ".join(pair) for pair in had - set(pairs)},
        "mean rating": {f"{rating.mean}"} if abs(rating.mean - expected) > 1e-5 else set(),
    }


def in_histories(events: pl.DataFrame, past: Past) -> set[str]:
    """Canaries in the histories that a language model learns from: events that are not train, or
    that come after what is held out of their user."""
    learned = (past.histories("target")["train"] | past.histories("source")["train"]) & past.train
    known = {(row[USER], row["domain"], row[ITEM]) for row in past.rows if row["number"] in learned}
    late = past.source() - past.source("valid", "test")
    told = {(row[USER], row["domain"], row[ITEM]) for row in past.rows if row["number"] in late}
    return {" ".join(event) for event in events.rows() if event not in known or event in told}


def look(world: Any, settings: Settings, patch: pytest.MonkeyPatch) -> Found:
    """Run the stages up to pretraining, and look for canaries in all that they made."""
    past = Past(world)

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

    patch.setattr(pretraining, "pretrain", record)
    staging = Staging(settings.artifacts)
    data = collect(settings, staging)
    model = pretrain_encoder(settings, staging, data)
    assert model is not None
    read = json.loads((model.folder / "read.json").read_text())
    texts = [*read["corpus"], *read["histories"]["texts"]]
    told_of = pretraining.train_histories(data)
    assert 0 < len(read["histories"]["codes"]) <= len(told_of)
    reviews = [text for name in DOMAINS for text in read_reviews(data, name)[REVIEW]]
    assert reviews
    loaded = load_pair(data)
    times = {row[TIMESTAMP]: row["number"] for row in past.rows if row["domain"] == "source"}
    left_of_source = [times[time] for time in read_interactions(data, "source")[TIMESTAMP]]
    left = past.source()
    both = {row[USER] for row in past.rows if row["number"] in left}
    found: Found = {
        "reviews": in_texts(reviews, past),
        "corpus": in_texts(texts, past),
        "histories": in_histories(told_of, past),
        "source events": past.unknown(left_of_source, left),
        "overlap": set(loaded.source.user_ids[loaded.shared_users.numpy()]) - both,
        "masks": set(),
    }
    for name in ("source", "target", "target_only"):
        domain, own = getattr(loaded, name), name.removesuffix("_only")
        found["masks"] |= in_masks(domain, own, past)
        for places in (in_sequences(domain, name, past), in_statistics(domain, own, past)):
            for at, canaries in places.items():
                found[at] = found.get(at, set()) | {f"{name}: {canary}" for canary in canaries}
    return found


@pytest.mark.parametrize("cleaning", CLEANINGS)
@pytest.mark.parametrize("split", SPLITS)
def test_no_canary_is_found(
    plant: Callable[[str, str], Any], split: str, cleaning: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = plant(split, cleaning)
    found = look(world, world.settings, monkeypatch)
    assert found == {place: set() for place in found}


def test_no_canary_is_found_in_several_sources(
    plant: Callable[[str, str], Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world = plant("leave_one_out", "keep_all")
    folder = Path(world.settings.reader.config["folder"])
    names = {
        "source_a": pl.col(ITEM).str.contains("0"),
        "source_b": ~pl.col(ITEM).str.contains("0"),
    }
    for name, wanted in names.items():
        (folder / name).mkdir()
        for table in ("interactions.parquet", "items.parquet"):
            pl.read_parquet(folder / "source" / table).filter(wanted).write_parquet(
                folder / name / table
            )
    data = {**world.settings.data, "source": list(names)}
    found = look(world, replace(world.settings, artifacts=tmp_path, data=data), monkeypatch)
    assert found == {place: set() for place in found}


Leak = Callable[[Settings, pytest.MonkeyPatch], Settings]


def reviews_of_all_events(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Every review is written down, whoever asks for those of train."""
    rows = preparing.reviews_of

    def leaky(raw: Any, wanted: pl.Series) -> pl.LazyFrame:
        return rows(raw, raw.interactions.select(preparing.ROW).collect().to_series())

    patch.setattr(preparing, "reviews_of", leaky)
    return settings


def texts_of_all_items(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Items that no train event has are learned, too."""
    patch.setattr(pretraining, "train_items", lambda data, name: read_items(data, name)[ITEM])
    return settings


def a_test_event_in_train(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """The splitter gives the test event of one user in five to train."""

    def leaky(events: pl.DataFrame, seed: int) -> pl.DataFrame:
        moved = pl.col(USER).str.ends_with("1") & (pl.col(SPLIT) == "test")
        split = pl.when(moved).then(pl.lit("train")).otherwise(pl.col(SPLIT)).alias(SPLIT)
        return settings.split.make(events, seed=seed).with_columns(split)

    claimed = {**settings.protocol, "cut_at": "user"}  # a global cut would be refused
    return replace(settings, protocol=claimed, split=Part(settings.split.config, leaky))


def counts_of_held_out_events(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """What a domain calls its train events includes the test events."""
    train_events = Domain.train_events

    def leaky(domain: Domain) -> tuple[torch.Tensor, ...]:
        query, items, ratings = domain.test.truths()
        more = domain.test.users[query], items, ratings
        return tuple(torch.cat(both) for both in zip(train_events(domain), more, strict=True))

    patch.setattr(Domain, "train_events", leaky)
    return settings


def a_source_that_goes_on(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """What users did in the source after their test event is kept."""
    claimed = {**settings.protocol, "cut_at": "user"}  # a global cut would be refused
    return replace(settings, protocol={**claimed, "source_after_test": "keep"})


def a_cut_that_lets_ties_pass(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Source events at the very instant of the test event count as past."""
    cut = preparing.in_future

    def leaky(source: pl.DataFrame, target: pl.DataFrame, time: str, cut_at: str) -> pl.Series:
        return cut(source.with_columns(pl.col(time) - 1), target, time, cut_at)

    patch.setattr(preparing, "in_future", leaky)
    return settings


def histories_of_all_events(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """The language model is told what came with what in the held-out events, too."""

    def leaky(folder: Path, domain: str) -> pl.DataFrame:
        events = read_interactions(folder, domain)
        return events.with_columns(pl.lit("train").alias(SPLIT))

    patch.setattr(train_histories, "read_interactions", leaky)
    return settings


def histories_up_to_the_test_event(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """The language model is told what users did in the source after their validation event."""

    def leaky(folder: Path, domain: str) -> pl.DataFrame:
        events = read_interactions(folder, domain)
        return events.filter(pl.col(SPLIT) == "train") if domain == "target" else events

    patch.setattr(train_histories, "read_interactions", leaky)
    return settings


def of_domains(patch: pytest.MonkeyPatch, change: Callable[..., Domain]) -> None:
    """Build domains by `change(build, name, ..., context_first)`."""
    build = pair.build_domain
    patch.setattr(pair, "build_domain", lambda *given: change(build, *given))


def histories_in_no_order(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """All that is left of the source stands before all of the target."""
    of_domains(patch, lambda build, *given: build(*given[:-1], True))
    return settings


def histories_that_let_ties_pass(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Source events at the very instant of a held-out event stand before it."""

    def leaky(build: Callable[..., Domain], *given: Any) -> Domain:
        *first, context, n_context, context_first = given
        return build(*first, context.with_columns(pl.col(KEY) - 1), n_context, context_first)

    of_domains(patch, leaky)
    return settings


def histories_with_the_answer(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """The history of a query holds all that its user did, what is asked for included."""
    held_out = histories._held_out

    def leaky(events: Any, known: np.ndarray, *given: Any) -> HeldOut:
        return held_out(events, known | events.own, *given)

    patch.setattr(histories, "_held_out", leaky)
    return settings


def masks_that_know_the_rest(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Everything is seen but what is asked for."""

    def leaky(build: Callable[..., Domain], *given: Any) -> Domain:
        domain = build(*given)
        n_queries, n_items = len(domain.valid), domain.n_items
        told = replace(
            domain.valid,
            seen_offsets=torch.arange(n_queries + 1) * n_items,
            seen_items=torch.arange(n_items).repeat(n_queries),
        )
        return replace(domain, valid=told)

    of_domains(patch, leaky)
    return settings


def batches_of_all_that_is_known(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Training windows are cut from what recommending may read, not from train."""
    load = DomainDataModule.train_dataloader

    def leaky(data: DomainDataModule) -> Any:
        told = replace(data.domain, train=data.domain.known)
        return load(DomainDataModule(told, data.max_history, data.events_per_batch, data.seed))

    patch.setattr(DomainDataModule, "train_dataloader", leaky)
    return settings


def validation_on_test_histories(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    """Validation asks those who are known up to their test event."""
    load = DomainDataModule.val_dataloader

    def leaky(data: DomainDataModule) -> Any:
        told = replace(data.domain, valid=data.domain.test)
        return load(DomainDataModule(told, data.max_history, data.events_per_batch, data.seed))

    patch.setattr(DomainDataModule, "val_dataloader", leaky)
    return settings


COUNTED = {"popularity", "neighbors", "log-q", "negatives", "mean rating"}
HISTORIES = {"train sequences", "train batches", "valid sequences", "valid batches"}
LEAKS: dict[Leak, set[str]] = {
    reviews_of_all_events: {"reviews", "corpus"},
    texts_of_all_items: {"corpus"},
    histories_of_all_events: {"histories"},
    histories_up_to_the_test_event: {"histories"},
    a_test_event_in_train: {"reviews", "corpus", "histories", *COUNTED, *HISTORIES},
    counts_of_held_out_events: COUNTED,
    a_source_that_goes_on: {"reviews", "source events", "histories", "overlap"},
    a_cut_that_lets_ties_pass: {"source events"},
    histories_in_no_order: HISTORIES,
    histories_that_let_ties_pass: HISTORIES,
    histories_with_the_answer: {"valid sequences", "valid batches", "test sequences"},
    masks_that_know_the_rest: {"masks"},
    batches_of_all_that_is_known: {"train batches"},
    validation_on_test_histories: {"valid batches"},
}

# Users who are cold have no training history, and were known before. A source that is split by
# time has no train event after the target's validation begins.
ABSENT: dict[str, dict[Leak, set[str]]] = {
    "cold_users": {
        histories_in_no_order: {"train sequences", "train batches"},
        histories_that_let_ties_pass: {"train sequences", "train batches"},
        a_source_that_goes_on: {"overlap"},
    },
    "temporal": {histories_up_to_the_test_event: {"histories"}},
}


@pytest.mark.parametrize("leak", LEAKS, ids=lambda leak: leak.__name__)
@pytest.mark.parametrize("split", ["leave_one_out", "ratio", "temporal", "cold_users"])
def test_canaries_are_found_where_it_leaks(
    plant: Callable[[str, str], Any],
    leak: Leak,
    split: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = plant(split, "default")
    settings = leak(replace(world.settings, artifacts=tmp_path), monkeypatch)
    found = look(world, settings, monkeypatch)
    expected = LEAKS[leak] - ABSENT.get(split, {}).get(leak, set())
    assert expected <= {place for place, canaries in found.items() if canaries}
    assert set(found) == set().union(*LEAKS.values())  # no place is searched in vain
