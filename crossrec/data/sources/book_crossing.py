"""Book-Crossing: books by their ISBN, rated from 1 to 10 or only mentioned."""

import re
from pathlib import Path

import polars as pl

from crossrec.data.columns import BRAND, FEATURES, IMAGE, ITEM, RATING, TITLE, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.lines import LineFormat, check_share, read_lines
from crossrec.data.sources.published import Published, changed, headed, header
from crossrec.data.sources.tidy import clean_text, null_if_empty, raw_domain
from crossrec.errors import UserError

DOMAIN = "BX"
RELEASE = Published(
    title="Book-Crossing",
    folders=("book_crossing",),
    archives=("BX-CSV-Dump.zip", "book-recommendation-dataset.zip", "archive.zip"),
    page="https://grouplens.org/datasets/book-crossing/",
    url="http://www2.informatik.uni-freiburg.de/~cziegler/BX/BX-CSV-Dump.zip",
)
_LAYOUTS = (("BX-Book-Ratings.csv", "BX-Books.csv"), ("Ratings.csv", "Books.csv"))
_BOOK, _TITLE, _AUTHOR, _YEAR = "ISBN", "Book-Title", "Book-Author", "Year-Of-Publication"
_IMAGES = ("Image-URL-L", "Image-URL-M", "Image-URL-S")
_RATINGS = pl.Schema({"User-ID": pl.String(), _BOOK: pl.String(), "Book-Rating": pl.Float64()})
_BOOKS = pl.Schema(dict.fromkeys((_BOOK, _TITLE, _AUTHOR, _YEAR, "Publisher"), pl.String()))
_ESCAPED = re.compile(rb'\\(["\\])')


class BookCrossing:
    """Reads the one domain of the data set, "BX", from `folder/book_crossing` or `folder`.

    Either the original dump (`BX-Book-Ratings.csv` and `BX-Books.csv`: semicolons, Latin-1, quotes
    escaped by backslashes) or the mirror on Kaggle (`Ratings.csv` and `Books.csv`: commas, UTF-8).
    A rating of 0 is no rating but says that the user has the book. There are no times. Item ids
    are ISBNs in capitals, which match those of other data sets; authors become brands, publisher
    and year features, and of the three sizes of a cover the largest is kept.

    Source: C.-N. Ziegler, S. M. McNee, J. A. Konstan and G. Lausen, "Improving recommendation lists
    through topic diversification", WWW 2005.

    Args:
        folder: where the files are looked for.
        download: fetch what is missing.
        max_malformed: share of malformed lines in a file above which reading fails.
        implicit: keep events without a rating.
    """

    def __init__(
        self,
        folder: str | Path,
        download: bool = True,
        max_malformed: float = 0.01,
        implicit: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)
        self.implicit = implicit

    def files(self, domain: str) -> tuple[Path, ...]:
        """The ratings and the books, fetched if need be.

        Raises:
            UserError: there is no such domain, or its files are missing and cannot be fetched.
        """
        if domain != DOMAIN:
            raise UserError(f"Book-Crossing has one domain, {DOMAIN}, got {domain!r}")
        return RELEASE.provide(self.folder, _LAYOUTS, self.download)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of "BX".

        Raises:
            UserError: as `files`, or a file cannot be read.
        """
        files = self.files(domain)
        ratings = _form(files[0], _RATINGS, tuple(_RATINGS))
        lines = read_lines(files[0], ratings, self.max_malformed, self._events, scratch)
        books = _form(files[1], _BOOKS, (_BOOK,))
        items = read_lines(files[1], books, self.max_malformed, _items).frame
        return raw_domain(domain, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def _events(self, rows: pl.DataFrame) -> pl.DataFrame:
        rating = pl.col("Book-Rating").cast(pl.Float32)
        events = rows.select(
            pl.concat_str(pl.lit("book_crossing_"), "User-ID").alias(USER),
            _isbn().alias(ITEM),
            pl.when(rating != 0).then(rating).alias(RATING),
        )
        return events if self.implicit else events.filter(pl.col(RATING).is_not_null())


def _form(path: Path, types: pl.Schema, required: tuple[str, ...]) -> LineFormat:
    """The original's or the mirror's format, told by the separator in the header."""
    if len(header(path, ";", "latin-1")) > 1:
        form = headed(path, types, required, ";", "latin-1", quote='"')
        return changed(form, before=_double_quotes)
    return headed(path, types, required, ",", quote='"')


def _double_quotes(block: bytes) -> bytes:
    r"""Quotes inside of fields written as CSV has it: `\"` -> `""`, and `\\` -> `\`."""
    return _ESCAPED.sub(lambda match: b'""' if match[1] == b'"' else b"\\", block)


def _items(rows: pl.DataFrame) -> pl.DataFrame:
    year = pl.when(pl.col(_YEAR) != "0").then(pl.col(_YEAR))
    covers = [pl.col(name) for name in _IMAGES if name in rows.columns]
    items = rows.select(
        _isbn().alias(ITEM),
        pl.col(_TITLE).alias(TITLE),
        pl.col(_AUTHOR).alias(BRAND),
        pl.concat_str(null_if_empty(pl.col("Publisher")), year, separator=", ", ignore_nulls=True)
        .pipe(null_if_empty)
        .alias(FEATURES),
        pl.coalesce([null_if_empty(cover) for cover in covers] or [pl.lit(None)]).alias(IMAGE),
    )
    return clean_text(items, (TITLE, BRAND, FEATURES))


def _isbn() -> pl.Expr:
    return pl.col(_BOOK).str.strip_chars().str.to_uppercase()
