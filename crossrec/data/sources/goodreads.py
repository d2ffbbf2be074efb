"""Goodreads (UCSD Book Graph): shelves, ratings and reviews of books, by genre or all of them."""

from pathlib import Path
from typing import Literal

import polars as pl

from crossrec.data.columns import ITEM, RATING, REVIEW, TIMESTAMP, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import json_lines, timed
from crossrec.data.sources.goodreads_books import read_books
from crossrec.data.sources.lab_files import LAB, lab_file
from crossrec.data.sources.lines import LineFormat, check_share, read_lines
from crossrec.data.sources.published import headed
from crossrec.data.sources.tidy import null_if_empty, raw_domain
from crossrec.errors import UserError

ROOT = f"{LAB}/gdrive/goodreads"
GENRES = (
    *("children", "comics_graphic", "fantasy_paranormal", "history_biography"),
    *("mystery_thriller_crime", "poetry", "romance", "young_adult"),
)
DEDUP, COMPLETE = "dedup", "complete"
_DATE = "%a %b %d %H:%M:%S %z %Y"  # Fri Sep 08 10:44:24 -0700 2017
_TEXT: pl.DataType = pl.String()
_NUMBER: pl.DataType = pl.Int64()
_CSV = ("user_id", "book_id", "is_read", "rating", "is_reviewed")
_MAPS = (("book_id_map.csv", "book_id_csv", "book_id"), ("user_id_map.csv", "user_id_csv", USER))

Events = Literal["interactions", "reviews"]


class Goodreads:
    """Reads a genre ("poetry"), all genres with times ("dedup") or without ("complete").

    An interaction is a book on a user's shelf since `date_added`; it need not be read or rated
    (rating 0: none). Users and books have one id in all domains, and a book may be in several.
    Authors are the brand, the publisher is a feature, genres are categories, the most used shelves
    that say something about the book are keywords; shelves are of late 2017, so a little later than
    the interactions.

    | domain | interactions | reviews | books |
    |---|---|---|---|
    | a genre | goodreads_interactions_GENRE | goodreads_reviews_GENRE | goodreads_books_GENRE |
    | dedup | goodreads_interactions_dedup | goodreads_reviews_dedup | goodreads_books |
    | complete | goodreads_interactions.csv, book_id_map.csv, user_id_map.csv | | goodreads_books |

    Names end in `.json.gz`; names of authors and genres are in goodreads_book_authors and
    goodreads_book_genres_initial.

    Sources: M. Wan and J. McAuley, "Item recommendation on monotonic behavior chains", RecSys 2018;
    M. Wan, R. Misra, N. Nakashole and J. McAuley, "Fine-grained spoiler detection from large-scale
    review corpora", ACL 2019; https://cseweb.ucsd.edu/~jmcauley/datasets/goodreads.html.

    Args:
        folder: files are looked for in `folder/goodreads`, where downloads go, and in `folder`.
        download: fetch missing files.
        max_malformed: share of malformed lines in a file above which reading fails.
        events: "interactions" (everything on a shelf; reviews are cut short by the publisher) or
            "reviews" (reviewed books only, with the whole text).
        only_read: leave out books that the user has not read; reviews do not say so.
        reviews: read the text of reviews, which takes most of the memory.
    """

    def __init__(
        self,
        folder: str | Path,
        download: bool = True,
        max_malformed: float = 0.01,
        events: Events = "interactions",
        only_read: bool = False,
        reviews: bool = True,
    ) -> None:
        if events not in ("interactions", "reviews"):
            raise UserError(f"data.reader.events must be interactions or reviews, got {events!r}")
        if only_read and events == "reviews":
            raise UserError("data.reader.only_read needs data.reader.events=interactions")
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)
        self.events = events
        self.only_read = only_read
        self.reviews = reviews

    def files(self, domain: str) -> tuple[Path, ...]:
        """Events, books, authors and genres of a domain (and two maps of ids if it is "complete").

        Raises:
            UserError: there is no such domain, or a file is missing and cannot be fetched.
        """
        if domain not in (*GENRES, DEDUP, COMPLETE):
            raise UserError(
                f"Goodreads has the domains {', '.join(GENRES)}, {DEDUP} (all, with times) and "
                f"{COMPLETE} (all, without times), got {domain!r}"
            )
        if domain == COMPLETE and self.events == "reviews":
            raise UserError(f"Goodreads {COMPLETE} has no reviews; use {DEDUP} or a genre")
        by_genre = "byGenre/" if domain in GENRES else ""
        urls = [
            f"{by_genre}goodreads_{self.events}_{domain}.json.gz",
            f"{by_genre}goodreads_books{f'_{domain}' if by_genre else ''}.json.gz",
            "goodreads_book_authors.json.gz",
            "goodreads_book_genres_initial.json.gz",
        ]
        if domain == COMPLETE:
            urls = ["goodreads_interactions.csv", *urls[1:], *(name for name, _, _ in _MAPS)]
        return tuple(
            lab_file(f"{ROOT}/{url}", self.folder, "goodreads", self.download) for url in urls
        )

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and books of a domain.

        Args:
            scratch: a folder for interactions that are too many for memory.

        Raises:
            UserError: a file is missing, or cannot be read.
        """
        files = self.files(domain)
        form = self._csv(files[0]) if domain == COMPLETE else self._json()
        lines = read_lines(files[0], form, self.max_malformed, self._tidy, scratch)
        events = lines.table
        if domain == COMPLETE:
            for path, (_, number, name) in zip(files[4:], _MAPS, strict=True):
                ids = self._map(path, number, name)
                events = events.join(ids, on=number, how="left", maintain_order="left")
        book = pl.concat_str(pl.lit("goodreads_"), "book_id").alias(ITEM)
        books = read_books(files[1], files[2], files[3], self.max_malformed)
        return raw_domain(
            domain, events.with_columns(book), books, files, lines.n_lines, lines.n_malformed
        )

    def _json(self) -> LineFormat:
        fields = {"user_id": _TEXT, "book_id": _TEXT, "rating": _NUMBER, "date_added": _TEXT}
        if self.only_read:
            fields |= {"is_read": pl.Boolean()}
        required = tuple(fields)
        if self.reviews:
            text = "review_text" if self.events == "reviews" else "review_text_incomplete"
            fields |= {text: _TEXT}
        return timed(json_lines(pl.Schema(fields), required), "date_added", _DATE)

    def _csv(self, path: Path) -> LineFormat:
        return headed(path, dict.fromkeys(_CSV, _NUMBER), _CSV, ",")

    def _map(self, path: Path, number: str, name: str) -> pl.LazyFrame:
        form = headed(path, {number: _NUMBER, name: _TEXT}, (number, name), ",")
        lines = read_lines(path, form, self.max_malformed)
        return lines.frame.unique(number, keep="first").lazy()

    def _tidy(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self.only_read:
            rows = rows.filter(pl.col("is_read").cast(pl.Boolean))
        stars = pl.col("rating")
        columns = [pl.when(stars != 0).then(stars).cast(pl.Float32).alias(RATING)]
        if "is_reviewed" in rows.columns:  # the CSV file, with numbers that the maps explain
            ids = [pl.col("user_id").alias("user_id_csv"), pl.col("book_id").alias("book_id_csv")]
            return rows.select(*ids, *columns)
        columns += [pl.col(USER), pl.col("book_id"), pl.col("date_added").alias(TIMESTAMP)]
        columns += [
            null_if_empty(pl.col(text)).alias(REVIEW)
            for text in ("review_text", "review_text_incomplete")
            if text in rows.columns
        ]
        return rows.select(columns)
