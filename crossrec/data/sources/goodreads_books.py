"""What the UCSD Book Graph says about books: three files that become one table."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    IMAGE,
    ITEM,
    KEYWORDS,
    TITLE,
)
from crossrec.data.sources.formats import json_lines
from crossrec.data.sources.lines import read_lines
from crossrec.data.sources.tidy import clean_text, joined, null_if_empty

N_SHELVES = 20  # of up to 100; the rest have few users and say little
# Shelves that say what a user does with a book instead of what it is.
NO_TOPICS = (
    *("to-read", "currently-reading", "read", "reading", "re-read", "did-not-finish", "dnf"),
    *("owned", "own", "i-own", "books-i-own", "owned-books", "own-it", "to-buy", "wish-list"),
    *("wishlist", "favorites", "favourites", "favorite", "favorite-books", "my-books", "default"),
    *("library", "my-library", "home-library", "kindle", "ebook", "ebooks", "e-book", "e-books"),
    *("audiobook", "audiobooks", "audio", "books", "maybe", "have", "all-time-favorites"),
)
_TEXT = pl.String()
_BOOK = pl.Schema(
    dict.fromkeys(("book_id", "title", "title_without_series", "description"), _TEXT)
    | dict.fromkeys(("publisher", "image_url"), _TEXT)
    | {"authors": pl.List(pl.Struct({"author_id": _TEXT, "role": _TEXT}))}
    | {"popular_shelves": pl.List(pl.Struct({"name": _TEXT}))}
)
_AUTHOR = pl.Schema({"author_id": _TEXT, "name": _TEXT})
_GENRES = pl.Schema({"book_id": _TEXT, "genres": _TEXT})


def read_books(books: Path, authors: Path, genres: Path, max_malformed: float) -> pl.DataFrame:
    """Books with their authors' names and their genres, one row a line of `books`.

    Raises:
        UserError: a file cannot be read, or more than `max_malformed` of its lines are malformed.
    """
    items = read_lines(books, json_lines(_BOOK, ("book_id", "title")), max_malformed, _tidy).frame
    names = read_lines(authors, json_lines(_AUTHOR, ("author_id", "name")), max_malformed).frame
    writers = _per_book(
        items.select(ITEM, pl.col("authors").alias("author_id"))
        .explode("author_id")
        .join(names.unique("author_id", keep="first"), on="author_id", maintain_order="left")
        .select(ITEM, "name"),
        ", ",
        BRAND,
    )
    classes = read_lines(genres, json_lines(_GENRES, ("book_id", "genres")), max_malformed).frame
    named = classes.select(_item(), "genres").join(items, on=ITEM, how="semi")
    return (
        items.drop("authors")
        .join(writers, on=ITEM, how="left", maintain_order="left")
        .join(
            _per_book(_ranked(named), " > ", CATEGORIES),
            on=ITEM,
            how="left",
            maintain_order="left",
        )
        .pipe(clean_text, (CATEGORIES, BRAND))
    )


def _tidy(rows: pl.DataFrame) -> pl.DataFrame:
    role, shelf = pl.element().struct.field("role"), pl.element().struct.field("name")
    everyone = pl.col("authors").list.eval(pl.element().struct.field("author_id"))
    writers = pl.col("authors").list.eval(
        pl.element().struct.field("author_id").filter(role.fill_null("") == "")
    )
    shelves = pl.col("popular_shelves").list.eval(shelf.filter(~shelf.is_in(NO_TOPICS)))
    image = pl.col("image_url")
    items = rows.select(
        _item(),
        pl.coalesce(null_if_empty(pl.col("title_without_series")), "title").alias(TITLE),
        pl.col("description").alias(DESCRIPTION),
        pl.col("publisher").alias(FEATURES),
        joined(shelves.list.head(N_SHELVES), ", ").alias(KEYWORDS),
        null_if_empty(pl.when(~image.str.contains("/nophoto/")).then(image)).alias(IMAGE),
        # Translators and illustrators have a role; without an author they are what is known.
        pl.when(writers.list.len() > 0).then(writers).otherwise(everyone).alias("authors"),
    )
    return clean_text(items, (TITLE, DESCRIPTION, FEATURES, KEYWORDS))


def _item() -> pl.Expr:
    return pl.concat_str(pl.lit("goodreads_"), "book_id").alias(ITEM)


def _ranked(classes: pl.DataFrame) -> pl.DataFrame:
    """One row a book and genre: `{"history, biography": 5, "fiction": 3}` holds three of a book.

    What most users shelve the book under comes first.
    """
    pair = pl.col("genres").str.extract_all(r'"[^"]*":\s*\d+')
    return (
        classes.with_columns(pair)
        .explode("genres")
        .drop_nulls()
        .select(
            ITEM,
            pl.col("genres").str.extract('"([^"]*)"').str.split(", ").alias("name"),
            pl.col("genres").str.extract(r"(\d+)$").cast(pl.Int64).alias("votes"),
        )
        .sort(ITEM, "votes", descending=[False, True], maintain_order=True)
        .explode("name")
    )


def _per_book(names: pl.DataFrame, separator: str, column: str) -> pl.DataFrame:
    """All names of a book, each once, as one string."""
    lists = names.group_by(ITEM, maintain_order=True).agg(
        pl.col("name").unique(maintain_order=True)
    )
    return lists.select(ITEM, joined(pl.col("name"), separator).alias(column))
