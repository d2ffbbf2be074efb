"""MIND: who clicked which article of Microsoft News, and what the articles are about."""

import os
import re
from pathlib import Path
from tempfile import mkstemp

import polars as pl

from crossrec.data.columns import (
    CATEGORIES,
    DESCRIPTION,
    ITEM,
    KEYWORDS,
    POSITION,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.data.sources import mind_files as files
from crossrec.data.sources.lines import check_share, read_lines
from crossrec.data.sources.tidy import clean_text, raw_domain

_OFFICIAL = re.compile(r"MIND(demo|small|large)(?=_|$)")
_ROW = "row"


class MIND:
    """Reads a release: "MINDsmall" is train and dev together, "MINDsmall_train" is train alone.

    A release NAME lies in `folder/NAME`, or in `folder/NAME_train` and `folder/NAME_dev`, or in
    the official `folder/NAME_train.zip` and `folder/NAME_dev.zip`. Its license has to be accepted
    at https://msnews.github.io, so nothing is fetched. MINDlarge_test has no labels and is refused.

    An interaction is a click, with the time of its impression (of no stated zone, taken for UTC);
    what was shown and not clicked is none. One user's click on one article at one time counts
    once, also where rows stand in both parts. There are no ratings.

    Before their clicks users have a history: older clicks in order, without a time. A user's
    history is that of their earliest impression, so it never repeats later clicks. Its events have
    no timestamp and positions -n ... -1, and clicks then have their timestamp as position too: so
    positions put all events of a user in order, over the parts of a release and over releases.
    split=temporal needs a time for every event and so `history=False`.

    Users and articles are numbered anew in every official release, so their ids get its name
    ("MINDsmall_N55528"). Releases of one's own are taken for domains of one data set: "mind_" and
    then the same id means the same user, and the same article.

    Source: F. Wu et al., "MIND: A large-scale dataset for news recommendation", ACL 2020.

    Args:
        folder: where releases are looked for, and zips unpacked.
        history: read the histories.
        max_malformed: share of malformed lines in a file above which reading fails.
    """

    def __init__(
        self, folder: str | Path, history: bool = True, max_malformed: float = 0.01
    ) -> None:
        self.folder = Path(folder)
        self.history = history
        self.max_malformed = check_share(max_malformed)

    def read(self, release: str, scratch: Path | None = None) -> RawDomain:
        """Clicks and articles of a release.

        Args:
            scratch: a folder for interactions that are too many for memory.

        Raises:
            UserError: the release is not there, has no labels, or cannot be read.
        """
        paths = self.files(release)
        official = _OFFICIAL.match(release)
        prefix = f"{official[0] if official else 'mind'}_"
        rows = [
            read_lines(path, files.behaviors(), self.max_malformed, _mark_earliest, scratch)
            for path in paths[::2]
        ]
        articles = pl.concat(
            read_lines(path, files.news(), self.max_malformed, _items).frame for path in paths[1::2]
        )
        events = _events(pl.concat(part.table for part in rows), self.history, prefix)
        return raw_domain(
            release,
            _settled(events, scratch),
            articles.with_columns(pl.concat_str(pl.lit(prefix), ITEM).alias(ITEM)),
            paths,
            sum(part.n_lines for part in rows),
            sum(part.n_malformed for part in rows),
        )

    def files(self, release: str) -> tuple[Path, ...]:
        """behaviors.tsv and news.tsv of each part.

        Raises:
            UserError: one of them is not there or is something else.
        """
        places = files.find_parts(self.folder, release)
        return tuple(files.check(place / name) for place in places for name in files.FILES)


def _mark_earliest(rows: pl.DataFrame) -> pl.DataFrame:
    """User, time, clicks and, in a user's earliest row, history; in the others that is null."""
    numbered = rows.select(
        USER, files.TIME, pl.col(files.HISTORY).fill_null(""), files.clicked()
    ).with_row_index(_ROW)
    earliest = pl.col(_ROW).sort_by(*_by_time()).first().over(USER)
    return numbered.with_columns(
        pl.when(pl.col(_ROW) == earliest).then(files.HISTORY).alias(files.HISTORY)
    ).drop(_ROW)


def _by_time() -> tuple[pl.Expr, ...]:
    """What puts a user's rows in order; of two at one time the shorter history is the older."""
    history = pl.col(files.HISTORY)
    return pl.col(files.TIME), history.str.len_bytes(), history


def _events(rows: pl.LazyFrame, history: bool, prefix: str) -> pl.LazyFrame:
    """USER, ITEM, TIMESTAMP and POSITION of all clicks."""
    user = pl.concat_str(pl.lit(prefix), USER).alias(USER)
    clicks = (
        rows.select(user, pl.col(files.TIME).alias(TIMESTAMP), pl.col(files.IMPRESSIONS))
        .explode(files.IMPRESSIONS)
        .drop_nulls(files.IMPRESSIONS)
        .select(
            USER,
            pl.col(files.IMPRESSIONS).alias(ITEM),
            TIMESTAMP,
            (pl.col(TIMESTAMP) if history else pl.lit(None, pl.Int64)).alias(POSITION),
        )
        .unique([USER, ITEM, TIMESTAMP], keep="any", maintain_order=True)
    )
    events = [clicks]
    if history:
        n_past = pl.col(ITEM).list.len().cast(pl.Int64)
        past = (
            rows.drop_nulls(files.HISTORY)
            .group_by(user)
            .agg(pl.col(files.HISTORY).sort_by(*_by_time()).first())
            .sort(USER)
            .select(USER, pl.col(files.HISTORY).str.extract_all(r"\S+").alias(ITEM))
            .with_columns(pl.int_ranges(-n_past, 0).alias(POSITION))
            .explode(ITEM, POSITION)
            .drop_nulls(ITEM)
            .select(USER, ITEM, pl.lit(None, pl.Int64).alias(TIMESTAMP), POSITION)
        )
        events = [past, clicks]
    return pl.concat(events).with_columns(pl.concat_str(pl.lit(prefix), ITEM).alias(ITEM))


def _settled(events: pl.LazyFrame, scratch: Path | None) -> pl.LazyFrame:
    """The events computed once: in memory, or in a file of `scratch`."""
    if scratch is None:
        return events.collect(engine="streaming").lazy()
    handle, name = mkstemp(suffix=".parquet", dir=scratch)
    os.close(handle)
    events.sink_parquet(name, compression="lz4")
    return pl.scan_parquet(name)


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    """Our columns of articles; what the entities are called in Wikidata becomes keywords."""
    labels = pl.concat_str(files.ENTITIES, separator=files.SEPARATOR, ignore_nulls=True)
    items = rows.select(
        pl.col(files.NEWS_ID).alias(ITEM),
        pl.col(files.TITLE).alias(TITLE),
        pl.col(files.ABSTRACT).alias(DESCRIPTION),
        pl.concat_str(files.CATEGORY, files.SUBCATEGORY, separator=" > ", ignore_nulls=True).alias(
            CATEGORIES
        ),
        labels.str.split(files.SEPARATOR)
        .list.unique(maintain_order=True)
        .list.join(files.SEPARATOR)
        .alias(KEYWORDS),
    )
    return clean_text(items, (TITLE, DESCRIPTION, CATEGORIES, KEYWORDS))
