"""Small data sets in the published format of every reader, to be damaged."""

import io
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Protocol

import polars as pl

from crossrec.data.raw import RawDomain
from crossrec.data.sources.amazon import Amazon
from crossrec.data.sources.book_crossing import BookCrossing
from crossrec.data.sources.douban import Douban
from crossrec.data.sources.goodreads import Goodreads
from crossrec.data.sources.kuairec import KuaiRec
from crossrec.data.sources.lastfm import LastFM
from crossrec.data.sources.library_thing import LibraryThing
from crossrec.data.sources.mind import MIND
from crossrec.data.sources.movielens import MovieLens
from crossrec.data.sources.recbole import RecBole
from crossrec.data.sources.steam import Steam
from crossrec.data.sources.tables import Tables
from crossrec.data.sources.yelp import Yelp

N_EVENTS, N_USERS, N_ITEMS = 40, 12, 9
START = 1_500_000_000
WORDS = (
    "Café",
    "olé & co",
    "a, b",
    'the "best"',
    "plain",
    "it's",
    "Ünï",
    "x | y",
    "3 < 4",
    "so-so",
)


class Reader(Protocol):
    def read(self, domain: str, scratch: Path | None = None) -> RawDomain: ...


@dataclass(frozen=True)
class Sample:
    """A data set of one reader.

    Attributes:
        domain: what is asked for.
        files: path below the folder -> content; the file of interactions comes first.
        make: the reader of a folder, given `max_malformed`.
        has_header: files whose first line names columns.
        one_row: a line of interactions gives one row, so that rows and lines can be counted.
        filtered: a line may say that it is no interaction, and gives no row then.
        fan_out: files of which a line may change the text of more than one item.
        links: files that say what the ids of interactions stand for.
        slack: lines beside a damaged one that may be lost with it, where records have many lines.
        plain: files that are never published as gzip.
        unread: files that only have to be there.
        optional: files without which there is less text; a folder of that name is none.
    """

    domain: str
    files: dict[str, bytes]
    make: Callable[[Path, float], Reader]
    has_header: tuple[str, ...] = ()
    one_row: bool = True
    filtered: bool = False
    fan_out: tuple[str, ...] = ()
    links: tuple[str, ...] = ()
    slack: int = 0
    plain: tuple[str, ...] = ()
    unread: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    @property
    def events(self) -> str:
        return next(iter(self.files))

    def is_text(self, name: str) -> bool:
        return not name.endswith(".parquet")


@dataclass(frozen=True)
class _Event:
    user: int
    item: int
    stars: int
    time: int
    words: str


def _content(seed: int) -> tuple[list[_Event], list[list[str]]]:
    """Interactions, and some words for each item."""
    random = Random(seed)
    events = [
        _Event(
            random.randrange(N_USERS),
            random.randrange(N_ITEMS),
            random.randint(1, 5),
            START + 86_400 * number + random.randrange(86_400),
            " ".join(random.sample(WORDS, 2)),
        )
        for number in range(N_EVENTS)
    ]
    return events, [random.sample(WORDS, 4) for _ in range(N_ITEMS)]


def _json(rows: list[dict[str, object]], dump: Callable[[object], str] = json.dumps) -> bytes:
    return "".join(f"{dump(row)}\n" for row in rows).encode()


def _unicode(row: object) -> str:
    return json.dumps(row, ensure_ascii=False)


def _split(rows: list[tuple[object, ...]], separator: str, encoding: str = "utf-8") -> bytes:
    return "".join(separator.join(map(str, row)) + "\n" for row in rows).encode(encoding)


def _quoted(rows: list[tuple[object, ...]], separator: str = ",", always: bool = False) -> bytes:
    def field(value: object) -> str:
        text = str(value)
        if always or any(mark in text for mark in f'"\n{separator}'):
            return '"' + text.replace('"', '""') + '"'
        return text

    return _split([tuple(map(field, row)) for row in rows], separator)


def _date(time: int, form: str) -> str:
    stamp = pl.Series([time * 1_000_000]).cast(pl.Datetime("us"))
    return str(stamp.dt.strftime(form).item())


def _amazon(release: str) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        reviews: list[dict[str, object]] = []
        for event in events:
            user, asin = f"A{event.user:013}", f"B0{event.item:08}"
            if release == "2023":
                reviews.append(
                    {"rating": float(event.stars), "title": "So", "text": event.words}
                    | {"asin": "X", "parent_asin": asin, "user_id": f"{user}BCDEFGHIJKLMN"}
                    | {"timestamp": event.time * 1000, "verified_purchase": True}
                )
            else:
                extra = {"helpful": [0, 1]} if release == "2014" else {"verified": True}
                reviews.append(
                    {"reviewerID": user, "asin": asin, **extra, "reviewText": event.words}
                    | {"overall": float(event.stars), "summary": "So"}
                    | {"unixReviewTime": event.time, "reviewTime": "07 14, 2017"}
                )
        asin, path, brand = {
            "2014": ("asin", "categories", "brand"),
            "2018": ("asin", "category", "brand"),
            "2023": ("parent_asin", "categories", "store"),
        }[release]
        catalog = [
            {asin: f"B0{number:08}", "title": words[0], brand: words[1]}
            | {path: [["Toys", words[2]]] if release == "2014" else ["Toys", words[2]]}
            | {"description": words[3] if release == "2014" else [words[3]], "price": 1.5}
            for number, words in enumerate(items)
        ]
        names = {
            "2014": ("reviews_Toys.json", "meta_Toys.json"),
            "2018": ("Toys.json", "meta_Toys.json"),
            "2023": ("Toys.jsonl", "meta_Toys.jsonl"),
        }[release]
        catalog_bytes = _json(catalog, repr if release == "2014" else json.dumps)
        return Sample(
            "Toys",
            {names[0]: _json(reviews, _unicode), names[1]: catalog_bytes},
            lambda folder, share: Amazon(release, folder, False, share),
        )

    return build


def _movielens(ending: str) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        rows: list[tuple[object, ...]] = [
            (event.user + 1, event.item + 1, event.stars, event.time) for event in events
        ]
        titles = [f"{' '.join(words[:2])} {n} (1995)" for n, words in enumerate(items)]
        films = [(n + 1, title, "Action|Drama") for n, title in enumerate(titles)]
        release, header = "ml-1m", False
        if ending == "data":
            release = "ml-100k"
            flags = ["0"] * 19
            flags[3] = flags[8] = "1"
            marked = [
                (n + 1, title.replace("|", "/"), "01-Jan-1995", "", "http://x", *flags)
                for n, title in enumerate(titles)
            ]
            files = {"u.data": _split(rows, "\t"), "u.item": _split(marked, "|", "latin-1")}
        elif ending == "dat":
            files = {
                "ratings.dat": _split(rows, "::"),
                "movies.dat": _split(films, "::", "latin-1"),
            }
        else:
            release, header = "ml-latest-small", True
            files = {
                "ratings.csv": _split([("userId", "movieId", "rating", "timestamp"), *rows], ","),
                "movies.csv": _quoted([("movieId", "title", "genres"), *films]),
            }
        files = {f"{release}/{name}": content for name, content in files.items()}
        return Sample(
            release,
            files,
            lambda folder, share: MovieLens(folder, False, share),
            has_header=tuple(files) if header else (),
            links=(list(files)[1],),
        )

    return build


def _recbole(seed: int) -> Sample:
    events, items = _content(seed)
    names = ("user_id:token", "item_id:token", "rating:float", "timestamp:float")
    rows = [(f"u{e.user}", f"i{e.item}", float(e.stars), e.time) for e in events]
    fields = ("item_id:token", "title:token_seq", "brand:token")
    catalog = [(f"i{n}", words[0], words[1]) for n, words in enumerate(items)]
    files = {
        "toys/toys.inter": _split([names, *rows], "\t"),
        "toys/toys.item": _split([fields, *catalog], "\t"),
    }
    return Sample(
        "toys",
        files,
        lambda folder, share: RecBole(folder, max_malformed=share),
        has_header=tuple(files),
        optional=(list(files)[1],),
    )


def _tables(ending: str) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        tables = {
            "interactions": pl.DataFrame(
                [(f"u{e.user}", f"i{e.item}", float(e.stars), e.time, e.words) for e in events],
                schema=["user_id", "item_id", "rating", "timestamp", "review"],
                orient="row",
            ),
            "items": pl.DataFrame(
                [(f"i{n}", words[0], words[1]) for n, words in enumerate(items)],
                schema=["item_id", "title", "brand"],
                orient="row",
            ),
        }
        files = {}
        for name, table in tables.items():
            file = io.BytesIO()
            if ending == "parquet":
                table.write_parquet(file)
            else:
                table.write_csv(file, separator="," if ending == "csv" else "\t")
            files[f"shop/{name}.{ending}"] = file.getvalue()
        return Sample(
            "shop",
            files,
            lambda folder, share: Tables(folder, max_malformed=share),
            has_header=() if ending == "parquet" else tuple(files),
            plain=tuple(files),
            optional=(list(files)[1],),
        )

    return build


def _mind(seed: int) -> Sample:
    events, items = _content(seed)
    rows = [
        (
            number + 1,
            f"U{e.user}",
            _date(e.time, "%m/%d/%Y %I:%M:%S %p"),
            " ".join(f"N{(e.item + k) % N_ITEMS}" for k in range(number % 4)),
            f"N{e.item}-1 N{(e.item + 1) % N_ITEMS}-0 N{(e.item + 2) % N_ITEMS}-0",
        )
        for number, e in enumerate(events)
    ]
    entity = json.dumps([{"Label": "A label", "Type": "O", "WikidataId": "Q1"}])
    news = [
        (f"N{n}", "news", "newsworld", words[0], words[1], "https://x", entity, "[]")
        for n, words in enumerate(items)
    ]
    place = "MINDsmall_train"
    return Sample(
        place,
        {f"{place}/behaviors.tsv": _split(rows, "\t"), f"{place}/news.tsv": _split(news, "\t")},
        lambda folder, share: MIND(folder, max_malformed=share),
        one_row=False,
    )


def _kuairec(seed: int) -> Sample:
    events, items = _content(seed)
    names = ("user_id", "video_id", "play_duration", "video_duration", "time", "date")
    rows = [
        (e.user, e.item, 9000, 3000, "2020-07-05 00:08:23.438", 20200705, f"{e.time}.438", 3.5)
        for e in events
    ]
    texts = ("video_id", "manual_cover_text", "caption", "topic_tag")
    levels = [
        f"{level}_level_category_{part}"
        for level in ("first", "second", "third")
        for part in ("id", "name")
    ]
    captions = [
        (n, "UNKNOWN", words[0], "[]", 8, "颜值", 673, words[1], -124, "UNKNOWN")
        for n, words in enumerate(items)
    ]
    tags = [(n, "[8]" if n % 2 else "[8, 9]") for n in range(N_ITEMS)]
    files = {
        "big_matrix.csv": _split([(*names, "timestamp", "watch_ratio"), *rows], ","),
        "kuairec_caption_category.csv": _quoted([(*texts, *levels), *captions]),
        "item_categories.csv": _quoted([("video_id", "feat"), *tags]),
    }
    files = {f"KuaiRec/{name}": content for name, content in files.items()}
    return Sample(
        "big_matrix",
        files,
        lambda folder, share: KuaiRec(folder, 2.0, False, share),
        has_header=tuple(files),
        fan_out=(list(files)[1],),
        filtered=True,
        slack=1,
        plain=(list(files)[1],),
        optional=(list(files)[2],),
    )


def _yelp(seed: int) -> Sample:
    events, items = _content(seed)
    reviews = [
        {"review_id": f"r{n}", "user_id": f"u{e.user}", "business_id": f"b{e.item}"}
        | {"stars": float(e.stars), "useful": 0, "text": e.words}
        | {"date": _date(e.time, "%Y-%m-%d %H:%M:%S")}
        for n, e in enumerate(events)
    ]
    businesses = [
        {"business_id": f"b{n}", "name": words[0], "city": words[1], "state": "PA"}
        | {"attributes": {"WiFi": "u'free'", "HasTV": "False"}, "categories": "Food, Pubs"}
        for n, words in enumerate(items)
    ]
    name = "yelp/yelp_academic_dataset_{}.json"
    return Sample(
        "yelp",
        {name.format("review"): _json(reviews), name.format("business"): _json(businesses)},
        lambda folder, share: Yelp(folder, share),
    )


def _goodreads(domain: str) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        form = "%a %b %d %H:%M:%S -0700 %Y"
        books = [
            {"book_id": str(n), "title": words[0], "title_without_series": words[0]}
            | {"description": words[1], "publisher": words[2], "image_url": ""}
            | {"authors": [{"author_id": str(n % 3), "role": ""}]}
            | {"popular_shelves": [{"count": "3", "name": "poetry"}]}
            for n, words in enumerate(items)
        ]
        authors = [{"author_id": str(n), "name": f"{WORDS[n]} {n}"} for n in range(3)]
        genres = [{"book_id": str(n), "genres": {"poetry": 3}} for n in range(N_ITEMS)]
        catalog = "goodreads_books.json" if domain == "complete" else "goodreads_books_poetry.json"
        files = {
            catalog: _json(books),
            "goodreads_book_authors.json": _json(authors),
            "goodreads_book_genres_initial.json": _json(genres),
        }
        if domain == "complete":
            names = ("user_id", "book_id", "is_read", "rating", "is_reviewed")
            shelved = [names, *((e.user, e.item, 1, e.stars, 0) for e in events)]
            users = [("user_id_csv", "user_id"), *((n, f"{n:032x}") for n in range(N_USERS))]
            ids = [("book_id_csv", "book_id"), *((n, n) for n in range(N_ITEMS))]
            files = {
                "goodreads_interactions.csv": _split(shelved, ","),
                **files,
                "book_id_map.csv": _split(ids, ","),
                "user_id_map.csv": _split(users, ","),
            }
        else:
            shelves = [
                {"user_id": f"{e.user:032x}", "book_id": str(e.item), "review_id": "x"}
                | {"is_read": True, "rating": e.stars, "review_text_incomplete": e.words}
                | {"date_added": _date(e.time, form), "date_updated": ""}
                for e in events
            ]
            files = {"goodreads_interactions_poetry.json": _json(shelves), **files}
        files = {f"goodreads/{name}": content for name, content in files.items()}
        return Sample(
            domain,
            files,
            lambda folder, share: Goodreads(folder, False, share),
            has_header=tuple(name for name in files if name.endswith("csv")),
            fan_out=tuple(name for name in files if "authors" in name),
            links=tuple(name for name in files if "map" in name),
        )

    return build


def _steam(seed: int) -> Sample:
    events, items = _content(seed)
    reviews = [
        {"username": f"user{e.user}", "hours": 1.5, "product_id": str(e.item), "page": 1}
        | {"date": _date(e.time, "%Y-%m-%d"), "text": e.words, "early_access": False}
        for e in events
    ]
    games = [
        {"id": str(n), "title": words[0], "genres": ["Action", words[1]], "tags": [words[2]]}
        | {"developer": words[3], "price": 4.99, "early_access": False, "metascore": None}
        for n, words in enumerate(items)
    ]
    return Sample(
        "steam_reviews",
        {
            "steam/steam_reviews.json": _json(reviews, repr),
            "steam/steam_games.json": _json(games, repr),
        },
        lambda folder, share: Steam(folder, False, share),
    )


def _douban(seed: int) -> Sample:
    events, items = _content(seed)
    names = ("user_id", "movie_id", "rating", "comment", "time", "labels", "useful_num", "ID")
    rows = [
        (e.user, e.item, e.stars, e.words.replace(" ", "\n", n % 2), day, "a|b", 0, n)
        for n, (e, day) in enumerate((e, _date(e.time, "%Y-%m-%d")) for e in events)
    ]
    fields = ("movie_id", "name", "director", "summary", "writer", "country", "pubdate")
    movies = [
        (1291546 + n, words[0], words[1], words[2], "", "", "", "汉语", "9.5", words[3], n)
        for n, words in enumerate(items)
    ]
    catalog = [(*fields, "language", "rating", "tag", "UID"), *movies]
    files = {
        "douban/moviereviews_cleaned.txt": _quoted([names, *rows], "\t", always=True),
        "douban/movies_cleaned.txt": _quoted(catalog, "\t", always=True),
    }
    return Sample(
        "movie",
        files,
        lambda folder, share: Douban(folder, share),
        has_header=tuple(files),
        slack=1,
        plain=tuple(files),
    )


def _book_crossing(original: bool) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        separator = ";" if original else ","
        rows = [("User-ID", "ISBN", "Book-Rating")]
        rows += [(f"{e.user}", f"03454510{e.item}X", f"{e.stars}") for e in events]
        names = ("ISBN", "Book-Title", "Book-Author", "Year-Of-Publication", "Publisher")
        images = tuple(f"Image-URL-{size}" for size in "SML")
        books = [(*names, *images)]
        books += [
            (f"03454510{n}X", words[0], words[1], "2002", words[2], "s", "m", "l")
            for n, words in enumerate(items)
        ]
        texts = [_quoted(table, separator, always=original) for table in (rows, books)]
        if original:
            texts = [text[1:-2].replace(b'""', b'\\"').join((b'"', b'"\n')) for text in texts]
            texts = [text.decode().encode("latin-1") for text in texts]
        paths = (
            ("BX-Book-Ratings.csv", "BX-Books.csv") if original else ("Ratings.csv", "Books.csv")
        )
        files = dict(zip((f"book_crossing/{path}" for path in paths), texts, strict=True))
        return Sample(
            "BX",
            files,
            lambda folder, share: BookCrossing(folder, False, share),
            has_header=tuple(files),
        )

    return build


def _library_thing(program: bool) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, _ = _content(seed)
        rows = [
            {"comment": e.words, "nhelpful": 0, "unixtime": e.time, "work": f"{e.item}"}
            | {"flags": [], "user": f"u{e.user}", "stars": float(e.stars), "time": "Nov 9, 2006"}
            for e in events
        ]
        text = _json(rows, repr)
        if program:
            lines = [f"reviews[({r['work']!r}, {r['user']!r})] = {r!r}\n" for r in rows]
            text = ("reviews = {}\n" + "".join(lines)).encode()
        name = f"lthing_data/reviews.{'txt' if program else 'json'}"
        return Sample(
            "lthing_data",
            {name: text},
            lambda folder, share: LibraryThing(folder, False, share),
            has_header=(name,) if program else (),
        )

    return build


def _lastfm(domain: str) -> Callable[[int], Sample]:
    def build(seed: int) -> Sample:
        events, items = _content(seed)
        artists = [("id", "name", "url", "pictureURL")]
        artists += [(f"{n}", words[0], "http://x", words[1]) for n, words in enumerate(items)]
        tags = [("tagID", "tagValue"), *((f"{n}", word) for n, word in enumerate(WORDS))]
        listens = [("userID", "artistID", "weight")]
        listens += [(f"{e.user}", f"{e.item}", f"{e.stars}") for e in events]
        taggings = [("userID", "artistID", "tagID", "timestamp")]
        taggings += [(f"{e.user}", f"{e.item}", f"{e.stars}", f"{e.time}000") for e in events]
        files = {
            "user_artists.dat": _split(listens, "\t"),
            "user_taggedartists-timestamps.dat": _split(taggings, "\t"),
            "artists.dat": _split(artists, "\t"),
            "tags.dat": _split(tags, "\t", "latin-1"),
        }
        if domain == "user_taggedartists":
            files["user_artists.dat"] = files.pop("user_artists.dat")  # events come first
        files = {f"hetrec2011-lastfm-2k/{name}": content for name, content in files.items()}
        tagging = domain == "user_taggedartists"
        return Sample(
            domain,
            files,
            lambda folder, share: LastFM(folder, False, share),
            has_header=tuple(files),
            one_row=not tagging,
            fan_out=tuple(name for name in files if "tag" in name),
            links=tuple(name for name in files if "tags" in name) if tagging else (),
            unread=tuple(name for name in files if "user_artists" in name) if tagging else (),
        )

    return build


SAMPLES: dict[str, Callable[[int], Sample]] = {
    "amazon2014": _amazon("2014"),
    "amazon2018": _amazon("2018"),
    "amazon2023": _amazon("2023"),
    "movielens .data": _movielens("data"),
    "movielens .dat": _movielens("dat"),
    "movielens .csv": _movielens("csv"),
    "recbole": _recbole,
    "tables parquet": _tables("parquet"),
    "tables csv": _tables("csv"),
    "tables tsv": _tables("tsv"),
    "mind": _mind,
    "kuairec": _kuairec,
    "yelp": _yelp,
    "goodreads": _goodreads("poetry"),
    "goodreads csv": _goodreads("complete"),
    "steam": _steam,
    "douban": _douban,
    "book_crossing": _book_crossing(True),
    "book_crossing csv": _book_crossing(False),
    "library_thing": _library_thing(False),
    "library_thing program": _library_thing(True),
    "lastfm listens": _lastfm("user_artists"),
    "lastfm tags": _lastfm("user_taggedartists"),
}
