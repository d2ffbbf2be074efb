"""Douban: movies, books and music rated and reviewed by the same users."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    BRAND,
    DESCRIPTION,
    FEATURES,
    ITEM,
    KEYWORDS,
    RATING,
    REVIEW,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.data.sources.douban_records import read_records, records
from crossrec.data.sources.formats import timed
from crossrec.data.sources.lines import check_share
from crossrec.data.sources.published import Published
from crossrec.data.sources.tidy import clean_text, joined, null_if_empty, raw_domain
from crossrec.errors import UserError

RELEASE = Published(
    title="Douban",
    folders=("douban", "douban_dataset(text information)"),
    archives=(
        "douban_dataset(text information).zip",
        "douban-datasetratingreviewside-information.zip",
        "archive.zip",
    ),
    page="https://www.kaggle.com/datasets/fengzhujoey/douban-datasetratingreviewside-information",
)
_FILES = {
    "movie": ("moviereviews_cleaned.txt", "movies_cleaned.txt"),
    "book": ("bookreviews_cleaned.txt",),
    "music": ("musicreviews_cleaned.txt",),
}
_MOVIES = pl.Schema({"UID": pl.String(), "name": pl.String()})
_LISTS = {BRAND: "director", KEYWORDS: "tag"}
_FEATURES = ("writer", "country", "language")


class Douban:
    """Reads "movie", "book" or "music" from `folder/douban`, `folder` or the folder that the zip
    makes, or from that zip. It cannot be fetched without a person.

    Users have one id in all three. A review's text is the user's labels and comment; of books and
    music there is no other text, of movies there is metadata: the director becomes the brand,
    writers, country and language features, the summary the description, tags keywords. A rating
    below 1 is no rating. Times are days.

    Source: F. Zhu, C. Chen, Y. Wang, G. Liu and X. Zheng, "DTCDR: a framework for dual-target
    cross-domain recommendation", CIKM 2019; F. Zhu et al., "A graphical and attentional framework
    for dual-target cross-domain recommendation", IJCAI 2020.

    Args:
        folder: where the files are looked for.
        max_malformed: share of malformed records in a file above which reading fails.
        reviews: read the text of reviews, which takes most of the memory.
    """

    def __init__(
        self, folder: str | Path, max_malformed: float = 0.01, reviews: bool = True
    ) -> None:
        self.folder = Path(folder)
        self.max_malformed = check_share(max_malformed)
        self.reviews = reviews

    def files(self, domain: str) -> tuple[Path, ...]:
        """The reviews and, for movies, their metadata.

        Raises:
            UserError: there is no such domain, or a file is missing.
        """
        if domain not in _FILES:
            raise UserError(f"Douban has the domains {', '.join(_FILES)}, got {domain!r}")
        return RELEASE.provide(self.folder, (_FILES[domain],), download=False)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of a domain.

        Raises:
            UserError: as `files`, or a file cannot be read.
        """
        files = self.files(domain)
        item = f"{domain}_id"
        types = pl.Schema({"user_id": pl.String(), item: pl.String(), "rating": pl.Float64()})
        form = records(files[0], types | {"time": pl.String()}, ("user_id", item))
        form = timed(form, "time", "%Y-%m-%d", "%Y-%m-%d %H:%M:%S")

        def tidy(rows: pl.DataFrame) -> pl.DataFrame:
            return self._events(rows, domain, item)

        lines = read_records(files[0], form, self.max_malformed, tidy, scratch)
        items = self._movies(files[1]) if len(files) > 1 else None
        return raw_domain(domain, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def _events(self, rows: pl.DataFrame, domain: str, item: str) -> pl.DataFrame:
        rating = pl.col("rating").cast(pl.Float32)
        columns = [
            pl.concat_str(pl.lit("douban_"), "user_id").alias(USER),
            pl.concat_str(pl.lit(f"douban_{domain}_"), item).alias(ITEM),
            pl.when(rating >= 1).then(rating).alias(RATING),
            pl.col("time").alias(TIMESTAMP),
        ]
        texts = {"labels": _listed("labels"), "comment": pl.col("comment").str.strip_chars()}
        parts = [null_if_empty(text) for name, text in texts.items() if name in rows.columns]
        if self.reviews and parts:
            text = pl.concat_str(parts, separator="\n", ignore_nulls=True)
            columns.append(null_if_empty(text).alias(REVIEW))
        return rows.select(columns)

    def _movies(self, path: Path) -> pl.DataFrame:
        form = records(path, _MOVIES, ("UID",))
        return read_records(path, form, self.max_malformed, _movies, None).frame


def _movies(rows: pl.DataFrame) -> pl.DataFrame:
    features = [null_if_empty(_listed(name)) for name in _FEATURES if name in rows.columns]
    movies = rows.select(
        pl.concat_str(pl.lit("douban_movie_"), "UID").alias(ITEM),
        pl.col("name").alias(TITLE),
        *(pl.col(name).alias(DESCRIPTION) for name in ("summary",) if name in rows.columns),
        *(_listed(name).alias(ours) for ours, name in _LISTS.items() if name in rows.columns),
        joined(pl.concat_list(features or [pl.lit(None, pl.String)]), "; ").alias(FEATURES),
    )
    return clean_text(movies, tuple(movies.columns[1:]))


def _listed(column: str) -> pl.Expr:
    """`['a', 'b']` and `a|b` as "a, b"; other text as it is."""
    text = pl.col(column).str.strip_chars()
    literal = text.str.strip_chars("[]").str.replace_all(r"""['"]\s*,\s*['"]""", ", ")
    bars = text.str.strip_chars("|").str.replace_all(r"\s*\|\s*", ", ")
    is_literal = text.str.contains(r"""^\[['"].*['"]\]$""")
    return pl.when(is_literal).then(literal.str.strip_chars("'\"")).otherwise(bars)
