"""Last.fm 2K of HetRec 2011: who listened to which artist, and who tagged which artist how."""

from pathlib import Path

import polars as pl

from crossrec.data.columns import IMAGE, ITEM, KEYWORDS, REVIEW, TIMESTAMP, TITLE, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.lines import Lines, check_share, read_lines
from crossrec.data.sources.published import Published, changed, headed
from crossrec.data.sources.tidy import clean_text, null_if_empty, raw_domain, unix_seconds
from crossrec.errors import UserError

RELEASE = Published(
    title="Last.fm 2K",
    folders=("hetrec2011-lastfm-2k",),
    archives=("hetrec2011-lastfm-2k.zip",),
    page="https://grouplens.org/datasets/hetrec-2011/",
    url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
    md5="296d61afe4e8632b173fc2dd3be20ce2",
)
LISTENED, TAGGED = DOMAINS = ("user_artists", "user_taggedartists")
_FILES = ("user_artists.dat", "user_taggedartists-timestamps.dat", "artists.dat", "tags.dat")
_TEXT = pl.String()
_LISTENS = pl.Schema({"userID": _TEXT, "artistID": _TEXT, "weight": pl.Float64()})
_TAGGINGS = pl.Schema({"userID": _TEXT, "artistID": _TEXT, "tagID": _TEXT, "timestamp": pl.Int64()})
_ARTISTS = pl.Schema({"id": _TEXT, "name": _TEXT, "pictureURL": _TEXT})
_TAGS = pl.Schema({"tagID": _TEXT, "tagValue": _TEXT})
_FIRST_TAGS = 1_104_537_600_000  # 2005, the year Last.fm got tags; a few are dated to 1956 or 1979
_PAIR = ["userID", "artistID"]


class LastFM:
    """Reads a domain of the data set from `folder/hetrec2011-lastfm-2k` or `folder`: its files, its
    zip, or what GroupLens has.

    "user_artists": a user listened to an artist; neither time nor rating (how often is not read:
    a count of plays is on no scale). The artist's keywords are the tags that at least `min_taggers`
    users gave it, most frequent first.

    "user_taggedartists": a user tagged an artist, at the time of the first tag. The tags are the
    text of the event, as a review is, and so no keywords: they would tell what held-out events
    say. (For the same reason read no keywords where "user_artists" is the source of it.) A tag
    dated before there were tags is a malformed line.

    Users and artists are the same in both; an artist's name becomes the title.

    Source: I. Cantador, P. Brusilovsky and T. Kuflik, "2nd workshop on information heterogeneity
    and fusion in recommender systems (HetRec 2011)", RecSys 2011.

    Args:
        folder: where the files are looked for.
        download: fetch what is missing.
        max_malformed: share of malformed lines in a file above which reading fails.
        min_taggers: users who must agree on a tag; None: no keywords.
    """

    def __init__(
        self,
        folder: str | Path,
        download: bool = True,
        max_malformed: float = 0.01,
        min_taggers: int | None = 2,
    ) -> None:
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)
        self.min_taggers = min_taggers
        if min_taggers is not None and min_taggers < 1:
            raise UserError(f"data.reader.min_taggers must be at least 1, got {min_taggers}")

    def files(self, domain: str) -> tuple[Path, ...]:
        """All files of the data set that are read, that of the domain's events first.

        Raises:
            UserError: there is no such domain, or its files are missing and cannot be fetched.
        """
        if domain not in DOMAINS:
            raise UserError(f"Last.fm 2K has the domains {' and '.join(DOMAINS)}, got {domain!r}")
        listens, taggings, *rest = RELEASE.provide(self.folder, (_FILES,), self.download)
        events = (listens, taggings) if domain == LISTENED else (taggings,)
        return (*events, *rest)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and artists of a domain.

        Raises:
            UserError: as `files`, or a file cannot be read.
        """
        files = self.files(domain)
        artists = _artists(self._read(files[-2], _ARTISTS, ("id",)).frame)
        tags = clean_text(
            self._read(files[-1], _TAGS, ("tagID",), encoding="latin-1").frame, ("tagValue",)
        )
        taggings = self._taggings(files[-3])
        tagged = taggings.frame.join(tags.drop_nulls().unique("tagID"), on="tagID", how="left")
        if domain == LISTENED:
            lines = self._read(files[0], _LISTENS, tuple(_LISTENS))
            events = lines.frame
            if self.min_taggers is not None:
                keywords = _keywords(tagged, self.min_taggers)
                artists = artists.join(
                    keywords, on=ITEM, how="full", coalesce=True, maintain_order="left_right"
                )
        else:
            lines = taggings
            events = _first_tags(tagged)
        events = events.with_columns(_named("userID").alias(USER), _named("artistID").alias(ITEM))
        return raw_domain(domain, events, artists, files, lines.n_lines, lines.n_malformed)

    def _read(
        self, path: Path, types: pl.Schema, required: tuple[str, ...], encoding: str = "utf-8"
    ) -> Lines:
        return read_lines(path, headed(path, types, required, "\t", encoding), self.max_malformed)

    def _taggings(self, path: Path) -> Lines:
        form = headed(path, _TAGGINGS, tuple(_TAGGINGS), "\t")
        time = pl.col("timestamp")
        dated = pl.when(time >= _FIRST_TAGS).then(time)
        form = changed(form, after=lambda rows: rows.with_columns(dated.alias("timestamp")))
        return read_lines(path, form, self.max_malformed)


def _keywords(tagged: pl.DataFrame, min_taggers: int) -> pl.DataFrame:
    """ITEM and KEYWORDS of the artists that enough users agree about."""
    return (
        tagged.drop_nulls("tagValue")
        .group_by("artistID", "tagValue")
        .agg(pl.col("userID").n_unique().alias("n"))
        .filter(pl.col("n") >= min_taggers)
        .sort("artistID", "n", "tagValue", descending=[False, True, False])
        .group_by("artistID", maintain_order=True)
        .agg(pl.col("tagValue").str.join(", ").alias(KEYWORDS))
        .select(_named("artistID").alias(ITEM), KEYWORDS)
    )


def _artists(rows: pl.DataFrame) -> pl.DataFrame:
    artists = rows.select(
        _named("id").alias(ITEM),
        pl.col("name").alias(TITLE),
        null_if_empty(pl.col("pictureURL").str.strip_chars()).alias(IMAGE),
    )
    return clean_text(artists, (TITLE,))


def _first_tags(tagged: pl.DataFrame) -> pl.DataFrame:
    """One row a user and artist: when the first tag was given, and all tags in order of time."""
    return (
        tagged.sort(*_PAIR, "timestamp", "tagValue")
        .group_by(_PAIR, maintain_order=True)
        .agg(
            unix_seconds(pl.col("timestamp").min()).alias(TIMESTAMP),
            null_if_empty(_in_order(pl.col("tagValue"))).alias(REVIEW),
        )
    )


def _named(column: str) -> pl.Expr:
    return pl.concat_str(pl.lit("lastfm_"), column)


def _in_order(tags: pl.Expr) -> pl.Expr:
    return tags.drop_nulls().unique(maintain_order=True).str.join(", ")
