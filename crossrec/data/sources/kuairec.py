"""KuaiRec: who watched which short video for how long, and what the videos are about."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    ITEM,
    KEYWORDS,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.data.sources import kuairec_captions as captions
from crossrec.data.sources import kuairec_files as files
from crossrec.data.sources.kuairec_captions import VIDEO
from crossrec.data.sources.lines import check_share, read_lines
from crossrec.data.sources.published import headed
from crossrec.data.sources.tidy import clean_text, joined, null_if_empty, raw_domain, unix_seconds
from crossrec.errors import UserError

_RATIO = "watch_ratio"
_WATCH: dict[str, pl.DataType] = {
    USER: pl.Int64(),
    VIDEO: pl.Int64(),
    TIMESTAMP: pl.Float64(),
    _RATIO: pl.Float64(),
}
_TAGS = "feat"
_VIDEO_TAGS: dict[str, pl.DataType] = {VIDEO: pl.Int64(), _TAGS: pl.String()}
_UNKNOWN = "UNKNOWN"
_MAIN, _NAME = "main", "name"


class KuaiRec:
    """Reads "big_matrix" (7,176 users, 10,728 videos, sparse) or "small_matrix" (1,411 of the users
    and 3,327 of the videos, 99.6% of all pairs); the two have no watch in common.

    Files lie in `folder/KuaiRec 2.0/data` or `folder/KuaiRec/data`, or in `folder/KuaiRec.zip`;
    what is missing is fetched from Zenodo (record 18164998, 432 MB). A data set of one's own in
    this format lies in `folder/NAME`: NAME is then the domain.

    An interaction is a watch of more than `watch_ratio_above` times the video's length. Its default
    is that of the authors, whose "like" is a watch ratio above 2: nearly every pair of the small
    matrix has a watch, so a watch by itself means that the video was shown. Repeated watches
    stay. There are no ratings: a watch ratio depends on the length of the video, has no upper end,
    and is nothing that users say. Some watches have no time in the files, and so no timestamp.

    Captions become titles, texts on covers descriptions, topic tags keywords, and the three levels
    of categories a path; what item_categories.csv says beyond that (numbers, named by the first
    level) becomes features. Ids get "kuairec_" in front. The texts are Chinese.

    Source: C. Gao et al., "KuaiRec: A fully-observed dataset and insights for evaluating
    recommender systems", CIKM 2022; https://kuairec.com.

    Args:
        folder: where files are looked for and put.
        watch_ratio_above: least part of the video (exclusive) that counts as an interaction, >= 0.
        download: fetch missing files.
        max_malformed: share of malformed lines in a file above which reading fails.
    """

    def __init__(
        self,
        folder: str | Path,
        watch_ratio_above: float = 2.0,
        download: bool = True,
        max_malformed: float = 0.01,
    ) -> None:
        if not 0 <= watch_ratio_above < float("inf"):
            raise UserError(
                f"data.reader.watch_ratio_above must be a number >= 0, got {watch_ratio_above}"
            )
        self.folder = Path(folder)
        self.watch_ratio_above = watch_ratio_above
        self.download = download
        self.max_malformed = check_share(max_malformed)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Watches and videos of a matrix.

        Args:
            scratch: a folder for interactions that are too many for memory.

        Raises:
            UserError: a file is missing and cannot be fetched, or cannot be read.
        """
        paths = self.files(domain)
        form = headed(paths[0], _WATCH, (USER, VIDEO, _RATIO), ",")
        lines = read_lines(paths[0], form, self.max_malformed, self._watches, scratch)
        videos = captions.read_captions(paths[1], self.max_malformed)
        tags = None
        if len(paths) > 2:
            form = headed(paths[2], _VIDEO_TAGS, (VIDEO, _TAGS), ",", quote='"')
            tags = read_lines(paths[2], form, self.max_malformed).frame
        items = _items(videos, tags)
        return raw_domain(domain, lines.table, items, paths, lines.n_lines, lines.n_malformed)

    def files(self, domain: str) -> tuple[Path, ...]:
        """Watches, captions and, if it is there, item_categories.csv; fetched if need be.

        Raises:
            UserError: one of the first two is missing and cannot be fetched.
        """
        return files.find(self.folder, domain, self.download)

    def _watches(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.filter(pl.col(_RATIO) > self.watch_ratio_above).select(
            _id(USER).alias(USER),
            _id(VIDEO).alias(ITEM),
            unix_seconds(pl.col(TIMESTAMP)),
        )


def _id(column: str) -> pl.Expr:
    return pl.concat_str(pl.lit("kuairec_"), column)


def _items(videos: pl.DataFrame, tags: pl.DataFrame | None) -> pl.DataFrame:
    """Our columns of all videos that have a caption line or tags."""
    texts = pl.col(*captions.TEXTS, *captions.LEVELS).str.strip_chars()
    known = videos.with_columns(texts.replace(_UNKNOWN, None))
    topics = pl.col(captions.TAGS).str.strip_chars("[]").str.split(",")
    topics = topics.list.eval(null_if_empty(pl.element().str.strip_chars(" '\"")))
    items = known.unique(VIDEO, keep="first", maintain_order=True).select(
        VIDEO,
        pl.col(captions.CAPTION).alias(TITLE),
        pl.col(captions.COVER).alias(DESCRIPTION),
        pl.concat_str(captions.LEVELS, separator=" > ", ignore_nulls=True).alias(CATEGORIES),
        joined(topics, "; ").alias(KEYWORDS),
        pl.col(captions.LEVELS[0]).alias(_MAIN),
    )
    if tags is not None:
        names = known.select(captions.FIRST_LEVEL, pl.col(captions.LEVELS[0]).alias(_NAME))
        items = _with_tags(items, _named(tags, names.drop_nulls()))
    items = items.with_columns(_id(VIDEO).alias(ITEM))
    return clean_text(items, (TITLE, DESCRIPTION, CATEGORIES, KEYWORDS))


def _named(tags: pl.DataFrame, names: pl.DataFrame) -> pl.DataFrame:
    """VIDEO and _NAME of every tag that has a name, in order."""
    numbers = pl.col(_TAGS).str.extract_all(r"-?\d+").cast(pl.List(pl.Int64), strict=False)
    names = names.unique(captions.FIRST_LEVEL, keep="first", maintain_order=True)
    return (
        tags.unique(VIDEO, keep="first", maintain_order=True)
        .select(VIDEO, numbers.alias(captions.FIRST_LEVEL))
        .explode(captions.FIRST_LEVEL)
        .join(names, on=captions.FIRST_LEVEL, how="inner", maintain_order="left")
        .select(VIDEO, _NAME)
    )


def _with_tags(items: pl.DataFrame, tags: pl.DataFrame) -> pl.DataFrame:
    """The items, with the first tag as the category of those without one, and the other tags."""
    first = tags.unique(VIDEO, keep="first", maintain_order=True)
    items = items.join(first, on=VIDEO, how="full", coalesce=True, maintain_order="left_right")
    items = items.with_columns(
        pl.coalesce(null_if_empty(pl.col(CATEGORIES)), _NAME).alias(CATEGORIES),
        pl.coalesce(_MAIN, _NAME).alias(_MAIN),
    )
    other = (
        tags.join(items.select(VIDEO, _MAIN), on=VIDEO, maintain_order="left")
        .filter(pl.col(_NAME) != pl.col(_MAIN))
        .group_by(VIDEO, maintain_order=True)
        .agg(pl.col(_NAME).unique(maintain_order=True).str.join("; ").alias(FEATURES))
    )
    return items.join(other, on=VIDEO, how="left", maintain_order="left")
