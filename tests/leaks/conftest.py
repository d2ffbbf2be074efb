"""A pair of domains whose every event and item can be recognized wherever it turns up.

The splits are made first, on plain data. Then, knowing what is held out, canaries are planted: each
event gets a rating that is its number, and a review that names it; each item is described by words
that name it; and some items and instants are given to held-out events alone.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any
from zlib import crc32

import hydra
import numpy as np
import polars as pl
import pytest
import torch
from omegaconf import OmegaConf
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

from crossrec.configuration.composing import CONF, compose, part, plain
from crossrec.data.columns import ITEM, POSITION, RATING, REVIEW, SPLIT, TIMESTAMP, USER
from crossrec.data.storage import read_interactions
from crossrec.encoders.text import TEXT_FIELDS
from crossrec.stages.collecting import collect
from crossrec.stages.settings import Settings
from crossrec.stages.staging import Staging

# Where the shipped options leave too little to plant anything in.
OPTIONS: dict[str, dict[str, Any]] = {
    "few_shot": {"k": 2},
    "ratio": {"ratios": [0.4, 0.3, 0.3]},
    "temporal": {"valid_share": 0.15, "test_share": 0.15},
    "cold_users": {"beta": 0.3, "valid_share": 0.4},
    "cold_items": {"test_share": 0.15, "valid_share": 0.15},
}
WORDS = ("red", "green", "blue", "steel", "oak", "glass", "knife", "lamp", "pan", "chair")
NUMBER = "number"
CANARIES = 6  # events of an item that is given to held-out events alone: a five-core keeps it
Events = dict[str, pl.DataFrame]
"""By domain: USER, ITEM, TIMESTAMP and NUMBER of all raw events, and SPLIT once it is known."""


@dataclass(frozen=True)
class World:
    """Raw data, how they are split, and what is held out of them.

    Attributes:
        settings: of a run on them, with artifacts of its own.
        events: SPLIT is null where cleaning, the split or the cut in time leaves an event out.
        first: part -> user -> when the user's target events of it begin.
        cut: user -> when the source ends for them, if ever.
    """

    settings: Settings
    events: Events
    first: dict[str, dict[str, int]]
    cut: dict[str, int]

    def varied(self, folder: Path, changed: tuple[str, ...]) -> Settings:
        """Settings of a run on raw tables in which what `write` calls `changed` is changed."""
        write(folder / "raw", self.events, changed)
        return replace(reading(self.settings, folder / "raw"), artifacts=folder / "artifacts")


@pytest.fixture(scope="session")
def language_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of one layer that knows ten words, with random weights."""
    folder = tmp_path_factory.mktemp("language_model")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    vocabulary = {token: number for number, token in enumerate([*special, *WORDS])}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = {f"{token[1:-1].lower()}_token": token for token in special}
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names).save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(vocabulary),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        max_position_embeddings=64,
        initializer_range=0.2,
    )
    BertModel(config).save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def base(tmp_path_factory: pytest.TempPathFactory, language_model: Path) -> Settings:
    """The settings that all runs share."""
    folder = tmp_path_factory.mktemp("base")
    overrides = [
        "+experiment=table_pair",
        "data.source=source",
        "data.target=target",
        f"data.text_fields=[{','.join(TEXT_FIELDS)},reviews]",
        f"paths.data={folder}",
        "encoder=huggingface",
        f"encoder.model={language_model}",
        "encoder.whiten_dim=8",
        "pretraining.max_steps=2",
        "trainer.max_epochs=2",
        "trainer.enable_progress_bar=false",
    ]
    with hydra.initialize_config_dir(str(CONF), version_base="1.3"):
        return compose(hydra.compose("train", overrides), folder)


def configured(group: str, name: str) -> dict[str, Any]:
    """A group's YAML file on top of those that it builds on."""
    node: Any = OmegaConf.load(CONF / group / f"{name}.yaml")
    built: dict[str, Any] = {}
    for other in node.pop("defaults", []):
        built |= configured(group, other) if other != "_self_" else {}
    return built | OmegaConf.to_container(node)


def reading(settings: Settings, raw: Path) -> Settings:
    """The settings with a reader for the tables in a folder."""
    node = OmegaConf.create({**settings.reader.config, "folder": str(raw)})
    return replace(settings, reader=part("data.reader", node))


def with_parts(settings: Settings, raw: Path, split: str, cleaning: str, file: Path) -> Settings:
    """The settings with components for raw tables, a split and cleaning as they are shipped."""
    node = OmegaConf.create({"split": configured("split", split)}).split
    node.function.update(OPTIONS.get(split, {}))
    if split == "shared":
        node.function.file = str(file)
    held = plain(node)
    return replace(
        reading(settings, raw),
        cleaning=part("cleaning", OmegaConf.create(configured("cleaning", cleaning))),
        split=part("split.function", node.function),
        split_source=part("split.source_function", node.source_function),
        protocol={key: held[key] for key in held if not key.endswith("function")},
    )


def plain_events() -> Events:
    """Users like six or seven items of one of three groups, and one of the next group."""
    generator = np.random.default_rng(3)
    tables: Events = {}
    for domain, users in (("source", [*range(40), *range(50, 58)]), ("target", [*range(50)])):
        initial, rows = domain[0], []
        for user in users:
            group = user % 3
            liked = [
                f"{initial if item else 'x'}{group}{item}"  # item 0 stands in both domains
                for item in generator.permutation(8)[: generator.integers(6, 8)]
            ]
            liked.append(f"{initial}{(group + 1) % 3}{generator.integers(1, 8)}")
            liked += liked[:1] * (user % 10 == 5)  # a repeat, which cleaning finds
            rows += [(f"u{user:02}", item) for item in liked]
        few = [("few1", 1), ("few2", 2), ("few4", 4)]
        rows += [(user, f"{initial}{n % 3}{n + 1}") for user, many in few for n in range(many)]
        rows.append(("u01", f"{initial}rare"))
        times = [2000 + 10 * place for place in generator.permutation(len(rows)).tolist()]
        # One user's only overlap is in the future: the target before all, the source after all.
        rows += [("later", f"{initial}0{item}") for item in range(1, 6)]
        times += [(9000 if domain == "source" else 1000) + 10 * place for place in range(5)]
        moved = pl.Series(TIMESTAMP, times) + 5 * (domain == "source")
        table = pl.DataFrame(rows, schema=[USER, ITEM], orient="row").with_columns(moved)
        start = sum(len(other) for other in tables.values())
        tables[domain] = table.with_row_index(NUMBER, offset=start)
    return tables


def write(folder: Path, events: Events, changed: tuple[str, ...] = ()) -> None:
    """Write raw tables, as data=tables reads them; an event's rating and review say its number.

    Args:
        changed: of these parts ("none" for events that are left out) ratings and reviews are
            others; "target items" changes all texts of its items that no train event has.
    """
    for domain, table in events.items():
        (folder / domain).mkdir(parents=True)
        known = pl.col(SPLIT).eq_missing(pl.lit("train"))
        other = pl.col(SPLIT).fill_null("none").is_in(changed)
        rating = 1 + 2 * ~known + other / 4 + pl.col(NUMBER) / 1024
        review = pl.format(
            "event{} {}",
            NUMBER,
            pl.when(other).then(pl.lit("red glass pan")).otherwise(pl.lit("oak")),
        )
        table.select(
            USER, ITEM, TIMESTAMP, rating.cast(pl.Float32).alias(RATING), review.alias(REVIEW)
        ).write_parquet(folder / domain / "interactions.parquet")
        items = table.group_by(ITEM).agg(known.any()).sort(ITEM).rows()
        texts = {
            field: [
                f"{domain}_{item}_{field} {WORDS[(crc32(f'{item}{field}'.encode()) + shift) % 10]}"
                for item, learned in items
                for shift in [int(f"{domain} items" in changed and not learned)]
            ]
            for field in TEXT_FIELDS
        }
        pl.DataFrame({ITEM: [item for item, _ in items], **texts}).write_parquet(
            folder / domain / "items.parquet"
        )


def publish(events: pl.DataFrame, file: Path) -> None:
    """A split that no function makes: each user's middle event is test, the one before it valid."""
    place = pl.int_range(pl.len()).over(USER) - pl.len().over(USER) // 2
    part_of = pl.when(place == 0).then(pl.lit("test")).when(place == -1).then(pl.lit("valid"))
    split = part_of.otherwise(pl.lit("train")).alias(SPLIT)
    events.sort(USER, TIMESTAMP).select(USER, ITEM, TIMESTAMP, split).write_parquet(file)


def with_split(events: Events, data: Path) -> Events:
    """The raw events, with SPLIT as the prepared tables have it: times are unique in a domain."""
    return {
        domain: table.drop(SPLIT, strict=False).join(
            read_interactions(data, domain).select(TIMESTAMP, SPLIT),
            on=TIMESTAMP,
            how="left",
            maintain_order="left",
        )
        for domain, table in events.items()
    }


def starts(target: pl.DataFrame, name: str) -> dict[str, int]:
    """When each user's events of a part begin."""
    of_part = target.filter(pl.col(SPLIT) == name)
    return dict(of_part.group_by(USER).agg(pl.col(TIMESTAMP).min()).rows())


def give(
    table: pl.DataFrame, wanted: pl.Expr, item: str, split: Callable[[pl.DataFrame], pl.Series]
) -> pl.DataFrame:
    """The events, with one and the same new item in one of the wanted events of six users.

    Only items that can spare it give up an event, so that thresholds keep the rest; and only where
    the split, which may draw by item, leaves all events of the user where they are.
    """
    table = table.with_row_index("row")
    once = pl.col(USER).str.starts_with("u") & (pl.len().over(USER, ITEM) == 1)
    spare = once & (pl.len().over(ITEM) > 2 * CANARIES)
    rows = table.filter(wanted & spare).unique(USER, keep="first", maintain_order=True)

    def renamed(rows: pl.DataFrame) -> pl.DataFrame:
        chosen = pl.col("row").is_in(rows["row"].implode())
        named = pl.when(chosen).then(pl.lit(item)).otherwise(pl.col(ITEM))
        return table.with_columns(named.alias(ITEM))

    left = renamed(rows).filter(pl.col(SPLIT).is_not_null())
    moved = left.filter(split(left) != left[SPLIT])[USER].implode()
    return renamed(rows.filter(~pl.col(USER).is_in(moved)).head(CANARIES)).drop("row")


def put_ties(source: pl.DataFrame, wanted: pl.Expr, at: dict[str, int], one: bool) -> pl.DataFrame:
    """The source events, with the earliest of the wanted ones of each user (or of `one` user) moved
    to the instant at which something of theirs is held out."""
    rows = source.filter(wanted).sort(TIMESTAMP).unique(USER, keep="first", maintain_order=True)
    rows = rows.head(1) if one else rows
    chosen = pl.col(NUMBER).is_in(rows[NUMBER].implode())
    moved = pl.when(chosen).then(pl.col(USER).replace_strict(at, default=None))
    return source.with_columns(moved.otherwise(pl.col(TIMESTAMP)).alias(TIMESTAMP))


@pytest.fixture(scope="session")
def plant(tmp_path_factory: pytest.TempPathFactory, base: Settings) -> Callable[[str, str], World]:
    """(split, cleaning) -> the world in which canaries are planted for them."""

    @cache
    def planted(split: str, cleaning: str) -> World:
        folder = tmp_path_factory.mktemp(f"{split}_{cleaning}")
        before, after = folder / "before", folder / "after"
        mine = replace(base, artifacts=folder / "artifacts")
        events = plain_events()
        write(before, {d: t.with_columns(pl.lit("train").alias(SPLIT)) for d, t in events.items()})
        if split == "shared":
            some = with_parts(mine, before, "leave_one_out", cleaning, folder)
            publish(
                read_interactions(collect(some, Staging(some.artifacts)), "target"),
                folder / "before.parquet",
            )
        settings = with_parts(mine, before, split, cleaning, folder / "before.parquet")
        events = with_split(events, collect(settings, Staging(settings.artifacts)))
        expected = {domain: table[SPLIT] for domain, table in events.items()}

        def drawn(left: pl.DataFrame) -> pl.Series:
            if split != "ratio":
                return left[SPLIT]
            unknown = (pl.lit(None).cast(pl.Int64).alias(name) for name in (POSITION, RATING))
            return settings.split.make(left.drop(SPLIT).with_columns(unknown), settings.seed)[SPLIT]

        source, target = events["source"], events["target"]
        first = {name: starts(target, name) for name in ("valid", "test")}
        everyone = pl.concat([source[USER], target[USER]]).unique()
        is_global = settings.protocol["cut_at"] == "global"
        start = min(first["test"].values())
        cut = dict.fromkeys(everyone, start) if is_global else first["test"]
        time, left = pl.col(TIMESTAMP), pl.col(SPLIT).is_not_null()
        late = ~left & (time >= pl.col(USER).replace_strict(cut, default=None))
        asked = pl.col(USER).replace_strict(first["valid"], default=None)
        # Where one order of all users decides, it has to stay in the same part of the source.
        early = left & (time >= asked) & (asked >= time.min().over(SPLIT))
        source = give(source, late, "onlyfuture", drawn)
        for name in ("valid", "test"):
            held_out = pl.col(SPLIT) == name
            source = give(source, held_out, f"sourceonly{name}", drawn)
            if split != "cold_items":  # it has such items, and would draw anew with more
                target = give(target, held_out, f"only{name}", drawn)
        source = put_ties(source, late, cut, is_global)
        source = put_ties(source, early, first["valid"], False)
        events = {"source": source, "target": target}
        write(after, events)
        if split == "shared":
            left = target.drop_nulls(SPLIT)
            publish(left, folder / "after.parquet")
        settings = with_parts(mine, after, split, cleaning, folder / "after.parquet")
        events = with_split(events, collect(settings, Staging(settings.artifacts)))
        for domain, table in events.items():  # what was planted moved nothing
            assert table[SPLIT].equals(expected[domain], null_equal=True), domain
        return World(settings, events, first, cut)

    return planted
