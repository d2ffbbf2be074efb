"""Steam: reviews of computer games, and the games."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    FEATURES,
    ITEM,
    KEYWORDS,
    REVIEW,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import json_lines, timed
from crossrec.data.sources.lab_files import LAB, lab_file
from crossrec.data.sources.lines import check_share, read_lines
from crossrec.data.sources.tidy import clean_text, joined, null_if_empty, raw_domain
from crossrec.errors import UserError

DOMAIN = "steam_reviews"
URLS = (
    f"{LAB}/data/steam/steam_reviews.json.gz",
    f"{LAB}/data/steam/steam_games.json.gz",
)
_TEXT, _TEXTS = pl.String(), pl.List(pl.String())
_EVENT = ("username", "product_id", "date")
_GAME = pl.Schema(
    dict.fromkeys(("id", "title", "app_name", "developer", "publisher"), _TEXT)
    | dict.fromkeys(("genres", "tags", "specs"), _TEXTS)
)


class Steam:
    """Reads the reviews that sequential recommendation uses, the lab's "version 2".

    A review says what was played and on which day, not how it was liked: ratings are null. Users
    are known by the name that they show, as in the papers, so that two who show the same name are
    one. (The lab's "version 1", files `australian_*`, has playing times without dates.) Genres
    become categories, tags keywords, specs features; "steam_reviews:RPG" is a part of it.

    Sources: W.-C. Kang and J. McAuley, "Self-attentive sequential recommendation", ICDM 2018;
    https://cseweb.ucsd.edu/~jmcauley/datasets.html#steam_data.

    Args:
        folder: the files are looked for in `folder/steam`, where downloads go, and in `folder`.
        download: fetch missing files.
        max_malformed: share of malformed lines in a file above which reading fails.
        reviews: read the text of reviews, which takes most of the memory.
    """

    def __init__(
        self,
        folder: str | Path,
        download: bool = True,
        max_malformed: float = 0.01,
        reviews: bool = True,
    ) -> None:
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)
        self.reviews = reviews

    def files(self, domain: str) -> tuple[Path, ...]:
        """The file of reviews and the file of games, fetched if need be.

        Raises:
            UserError: there is no such domain, or a file is missing.
        """
        if domain != DOMAIN:
            raise UserError(f"Steam has one domain, {DOMAIN}, got {domain!r}")
        return tuple(lab_file(url, self.folder, "steam", self.download) for url in URLS)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of the domain, which is "steam_reviews".

        Args:
            scratch: a folder for reviews that are too many for memory.

        Raises:
            UserError: a file is missing or cannot be read.
        """
        files = self.files(domain)
        names = (*_EVENT, "text") if self.reviews else _EVENT
        form = json_lines(pl.Schema(dict.fromkeys(names, _TEXT)), _EVENT, literals=True)
        form = timed(form, "date", "%Y-%m-%d")
        lines = read_lines(files[0], form, self.max_malformed, _events, scratch)
        form = json_lines(_GAME, ("id",), literals=True)
        games = read_lines(files[1], form, self.max_malformed, _games).frame
        return raw_domain(domain, lines.table, games, files, lines.n_lines, lines.n_malformed)


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    columns = [
        pl.concat_str(pl.lit("steam_"), "username").alias(USER),
        pl.concat_str(pl.lit("steam_"), "product_id").alias(ITEM),
        pl.col("date").alias(TIMESTAMP),
    ]
    if "text" in rows.columns:
        columns.append(null_if_empty(pl.col("text")).alias(REVIEW))
    return rows.select(columns)


def _games(rows: pl.DataFrame) -> pl.DataFrame:
    makers = (null_if_empty(pl.col(maker)) for maker in ("developer", "publisher"))
    items = rows.select(
        pl.concat_str(pl.lit("steam_"), "id").alias(ITEM),
        pl.coalesce(null_if_empty(pl.col("title")), "app_name").alias(TITLE),
        joined(pl.col("genres"), " > ").alias(CATEGORIES),
        pl.coalesce(makers).alias(BRAND),
        joined(pl.col("tags"), ", ").alias(KEYWORDS),
        joined(pl.col("specs"), ", ").alias(FEATURES),
    )
    return clean_text(items, (TITLE, CATEGORIES, BRAND, KEYWORDS, FEATURES))
