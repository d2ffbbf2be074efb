"""The files of the three Amazon review releases, told apart by their fields.

| release | reviews | ratings only | metadata |
|---|---|---|---|
| 2014 | reviewerID, asin, helpful | user,item,rating,timestamp | Python literals, `categories` |
| 2018 | reviewerID, asin, verified | item,user,rating,timestamp | JSON, `category` |
| 2023 | user_id, parent_asin | user_id,parent_asin,rating,timestamp | JSON, `parent_asin` |

The order of user and item differs between the ratings of 2014 and 2018, which have no header.

Sources: R. He and J. McAuley, WWW 2016 (2014); J. Ni, J. Li and J. McAuley, EMNLP-IJCNLP 2019
(2018); Y. Hou et al., "Bridging language and items for retrieval and recommendation", 2024 (2023).
"""

import re
from collections.abc import Callable
from dataclasses import dataclass

import polars as pl

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    IMAGE,
    ITEM,
    RATING,
    REVIEW,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.sources.formats import delimited, json_lines, parse_object
from crossrec.data.sources.lines import LineFormat
from crossrec.data.sources.tidy import clean_text, joined, null_if_empty, unix_seconds

_USER_2014 = re.compile(r"(A[A-Z0-9]{9,}|#oc-\w+)$")
_NO_TITLE = r"getTime|function\s*\("  # scripts of the page instead of a title, in 2018
_TEXT = pl.String()
_TEXTS = pl.List(pl.String())
_NUMBER = pl.Float64()
_RATINGS = (USER, ITEM, RATING, TIMESTAMP)


@dataclass(frozen=True)
class AmazonFile:
    """What one file is: its release, its kind ("reviews", "ratings", "metadata"), how to read it.

    `tidy` takes the rows as the file has them to our columns.
    """

    release: str
    kind: str
    lines: LineFormat
    tidy: Callable[[pl.DataFrame], pl.DataFrame]


def recognize(line: str, with_text: bool = True) -> AmazonFile | None:
    """What kind of file has such a line; None if it is of no Amazon release.

    `with_text` says whether the text of reviews is to be read.
    """
    fields = parse_object(line, literals=True)
    if fields is None:
        return _recognize_ratings([field.strip() for field in line.split(",")])
    if {"user_id", "parent_asin", "rating"} <= fields.keys():
        return _reviews("2023", with_text)
    if {"reviewerID", "asin", "overall"} <= fields.keys():
        return _reviews("2014" if "helpful" in fields else "2018", with_text)
    if "parent_asin" in fields:
        return _metadata("2023")
    if "asin" in fields:
        literal = parse_object(line, literals=False) is None
        old = literal or not fields.keys().isdisjoint({"categories", "imUrl", "salesRank"})
        return _metadata("2014" if old else "2018")
    return None


def _recognize_ratings(fields: list[str]) -> AmazonFile | None:
    if fields == ["user_id", "parent_asin", "rating", "timestamp"]:
        return _ratings("2023", _RATINGS, has_header=True)
    if len(fields) != 4:
        return None
    if _USER_2014.match(fields[0]):
        return _ratings("2014", _RATINGS)
    return (
        _ratings("2018", (ITEM, USER, RATING, TIMESTAMP)) if _USER_2014.match(fields[1]) else None
    )


def _ratings(release: str, columns: tuple[str, ...], has_header: bool = False) -> AmazonFile:
    types = {USER: _TEXT, ITEM: _TEXT, RATING: _NUMBER, TIMESTAMP: _NUMBER}
    schema = pl.Schema({column: types[column] for column in columns})

    def tidy(rows: pl.DataFrame) -> pl.DataFrame:
        return rows.with_columns(unix_seconds(pl.col(TIMESTAMP)))

    return AmazonFile(release, "ratings", delimited(schema, _RATINGS, ",", has_header), tidy)


def _reviews(release: str, with_text: bool) -> AmazonFile:
    names = ("reviewerID", "asin", "overall", "unixReviewTime", "summary", "reviewText")
    if release == "2023":
        names = ("user_id", "parent_asin", "rating", "timestamp", "title", "text")
    types = (_TEXT, _TEXT, _NUMBER, pl.Int64(), _TEXT, _TEXT)
    n_fields = 6 if with_text else 4
    schema = pl.Schema(list(zip(names, types, strict=True))[:n_fields])
    user, item, rating, time, title, text = names

    def tidy(rows: pl.DataFrame) -> pl.DataFrame:
        columns = [
            pl.col(user).alias(USER),
            pl.col(item).alias(ITEM),
            pl.col(rating).cast(pl.Float32).alias(RATING),
            unix_seconds(pl.col(time)).alias(TIMESTAMP),
        ]
        if with_text:
            parts = [null_if_empty(pl.col(part)) for part in (title, text)]
            review = pl.concat_str(parts, separator="\n", ignore_nulls=True)
            columns.append(null_if_empty(review).alias(REVIEW))
        return rows.select(columns)

    return AmazonFile(release, "reviews", json_lines(schema, names[:4]), tidy)


def _metadata(release: str) -> AmazonFile:
    """Titles, category paths, brands (2023: stores), features, descriptions and main images."""
    item, categories, brand, features, images = {
        "2014": ("asin", "categories", "brand", "features", ("imUrl",)),
        "2018": ("asin", "category", "brand", "feature", ("imageURLHighRes", "imageURL", "image")),
        "2023": ("parent_asin", "categories", "store", "features", ("images",)),
    }[release]
    schema = pl.Schema(
        {item: _TEXT, "title": _TEXT, brand: _TEXT, categories: _TEXTS}
        | {features: _TEXTS, "description": _TEXTS, "main_category": _TEXT}
        | dict.fromkeys(images, _TEXT)  # lists too: their JSON
    )
    lines = json_lines(schema, (item,), literals=release == "2014")

    def tidy(rows: pl.DataFrame) -> pl.DataFrame:
        path = joined(pl.col(categories), " > ")
        title = pl.col("title")
        items = rows.select(
            pl.col(item).alias(ITEM),
            pl.when(~title.str.contains(_NO_TITLE)).then(title).alias(TITLE),
            joined(pl.col("description"), " ").alias(DESCRIPTION),
            pl.coalesce(path, pl.col("main_category")).alias(CATEGORIES),
            pl.col(brand).str.replace(r"^by\s*\n", "").alias(BRAND),  # so in 2018
            joined(pl.col(features), " ").alias(FEATURES),
            pl.coalesce([_main_image(rows[column]) for column in images]).alias(IMAGE),
        )
        return clean_text(items, (TITLE, DESCRIPTION, CATEGORIES, BRAND, FEATURES))

    return AmazonFile(release, "metadata", lines, tidy)


def _main_image(images: pl.Series) -> pl.Series:
    """The URL of the main image, as large as there is, out of the JSON (or plain text) of all.

    In 2023 an image is an object with a variant and a URL for each size.
    """
    main = images.str.extract(r'(\{[^{}]*"variant": "MAIN"[^{}]*\})')
    image = main.zip_with(main.is_not_null(), images).str
    patterns = ('"hi_res": "([^"]+)"', '"large": "([^"]+)"', r'(https?://[^"\s]+)')
    return pl.select(pl.coalesce([image.extract(pattern) for pattern in patterns])).to_series()
