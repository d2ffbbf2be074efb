"""Yelp Open Dataset: reviews of businesses."""

from pathlib import Path

import polars as pl

from crossrec.data.archives import extract, members
from crossrec.data.columns import ITEM, RATING, REVIEW, TIMESTAMP, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import json_lines, timed
from crossrec.data.sources.lines import check_share, read_lines
from crossrec.data.sources.tidy import null_if_empty, raw_domain
from crossrec.data.sources.yelp_businesses import BUSINESSES, tidy_businesses
from crossrec.errors import UserError

DOMAIN = "yelp"
SITE = "https://business.yelp.com/data/resources/open-dataset/"
NAMES = ("yelp_academic_dataset_review.json", "yelp_academic_dataset_business.json")
# As Yelp gives it (the zip holds the tar), in former years, and as Kaggle gives it.
ARCHIVES = (
    *("yelp_dataset.tar", "Yelp-JSON.zip", "Yelp JSON.zip"),
    *("yelp_dataset.tar.gz", "yelp_dataset.tgz", "yelp-dataset.zip"),
)
_TEXT = pl.String()
_EVENT = pl.Schema({"user_id": _TEXT, "business_id": _TEXT, "stars": pl.Float64(), "date": _TEXT})


class Yelp:
    """Reads the reviews and businesses of any year from JSON files, or from the archive.

    The domain is "yelp"; "yelp:Restaurants" and "yelp:Shopping" are parts of it. Categories of a
    business have no order; they are joined as a path is. City, state and attributes ("Outdoor
    Seating", "Wi Fi free") become features. Times are taken as UTC.

    Yelp asks to accept its terms, so nothing is downloaded. Source: Yelp Open Dataset,
    https://business.yelp.com/data/resources/open-dataset/.

    Args:
        folder: the files are looked for in `folder/yelp`, where the archive is unpacked to, and in
            `folder`.
        max_malformed: share of malformed lines in a file above which reading fails.
        reviews: read the text of reviews, which takes most of the memory.
    """

    def __init__(
        self, folder: str | Path, max_malformed: float = 0.01, reviews: bool = True
    ) -> None:
        self.folder = Path(folder)
        self.max_malformed = check_share(max_malformed)
        self.reviews = reviews

    def files(self, domain: str) -> tuple[Path, ...]:
        """The file of reviews and the file of businesses, unpacked if need be.

        Raises:
            UserError: there is no such domain, or a file is missing, or the archive is damaged.
        """
        if domain != DOMAIN:
            raise UserError(
                f"Yelp has one domain, {DOMAIN} (a part of it: {DOMAIN}:Restaurants), got "
                f"{domain!r}"
            )
        places = (self.folder / "yelp", self.folder)
        missing = [name for name in NAMES if self._find(name) is None]
        for archive in (place / name for name in ARCHIVES for place in places):
            if missing and archive.is_file():
                _unpack(archive, missing, places[0])
                missing = [name for name in missing if self._find(name) is None]
        if missing:
            raise UserError(
                f"{' and '.join(missing)} of the Yelp Open Dataset: not in {places[0]} or "
                f"{places[1]}, nor an archive ({', '.join(ARCHIVES)}) that holds it. Accept the "
                f"terms on {SITE}, download the JSON and put it into {places[0]}, or use simulated "
                f"data: data=marketplace."
            )
        return tuple(path for name in NAMES if (path := self._find(name)))

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of the domain, which is "yelp".

        Args:
            scratch: a folder for reviews that are too many for memory.

        Raises:
            UserError: a file is missing or cannot be read.
        """
        files = self.files(domain)
        schema = pl.Schema({**_EVENT, "text": _TEXT}) if self.reviews else _EVENT
        form = json_lines(schema, tuple(_EVENT))
        form = timed(form, "date", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")  # without a time until 2017
        lines = read_lines(files[0], form, self.max_malformed, _events, scratch)
        form = json_lines(BUSINESSES, ("business_id", "name"))
        items = read_lines(files[1], form, self.max_malformed, tidy_businesses).frame
        return raw_domain(domain, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def _find(self, name: str) -> Path | None:
        for place in (self.folder / "yelp", self.folder):
            for path in (place / name, place / f"{name}.gz"):
                if path.is_file():
                    return path
        return None


def _unpack(archive: Path, names: list[str], place: Path) -> None:
    """Take the named files out of an archive, or out of the tar in it."""
    held = {Path(member).name: member for member in members(archive)}
    for name in names:
        if name in held:
            extract(archive, held[name], place / name)
    inner = "yelp_dataset.tar"
    if inner in held and not held.keys() & set(names):
        extract(archive, held[inner], place / inner)
        _unpack(place / inner, names, place)


def _events(rows: pl.DataFrame) -> pl.DataFrame:
    columns = [
        pl.col("user_id").alias(USER),
        pl.col("business_id").alias(ITEM),
        pl.col("stars").cast(pl.Float32).alias(RATING),
        pl.col("date").alias(TIMESTAMP),
    ]
    if "text" in rows.columns:
        columns.append(null_if_empty(pl.col("text")).alias(REVIEW))
    return rows.select(columns)
