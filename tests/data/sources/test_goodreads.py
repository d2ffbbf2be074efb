"""The Book Graph by genre and as a whole, in the published format; ids that are one everywhere."""

import gzip
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    DESCRIPTION,
    FEATURES,
    IMAGE,
    INTERACTION_COLUMNS,
    ITEM,
    KEYWORDS,
    RATING,
    TITLE,
)
from crossrec.data.sources import goodreads
from crossrec.data.sources.goodreads import Goodreads
from crossrec.errors import UserError

USERS = ("80d52f5e70f023bd0098ab96599a3530", "8842281e1d1347389f2ab93d60773d4d")
INTERACTIONS = [
    {
        "user_id": USERS[0],
        "book_id": "402128",
        "review_id": "fbd6a22a155c87a84fba7537f06cc94b",
        "is_read": True,
        "rating": 4,
        "review_text_incomplete": "",
        "date_added": "Fri Apr 19 08:15:15 -0700 2013",
        "date_updated": "Fri Apr 19 08:15:15 -0700 2013",
        "read_at": "",
        "started_at": "",
    },
    {
        "user_id": USERS[1],
        "book_id": "27036533",
        "review_id": "c6c803a462ea21452ffc35b46093ada8",
        "is_read": False,
        "rating": 0,
        "review_text_incomplete": "Not yet, but",
        "date_added": "Thu Aug 17 15:15:28 -0700 2017",
        "date_updated": "Thu Aug 17 15:15:35 -0700 2017",
        "read_at": "",
        "started_at": "",
    },
]
REVIEW = {
    "user_id": USERS[1],
    "book_id": "402128",
    "review_id": "28423ff309bc896c071a8d9df4a10e8a",
    "rating": 5,
    "review_text": "I have three younger siblings.\nWe watched it.",
    "date_added": "Sun Jul 30 07:44:10 -0700 2017",
    "date_updated": "Wed Aug 30 00:00:26 -0700 2017",
    "read_at": "Sat Aug 26 12:05:52 -0700 2017",
    "started_at": "",
    "n_votes": 28,
    "n_comments": 1,
}
COVER = "https://images.gr-assets.com/books/1327882662m/402128.jpg"
NO_COVER = (
    "https://s.gr-assets.com/assets/nophoto/book/111x148-bcc042a9c91a29c1d680899eff700a03.png"
)
BOOKS = [
    {
        "isbn": "0151686564",
        "text_reviews_count": "4",
        "series": ["189911"],
        "country_code": "US",
        "language_code": "eng",
        "popular_shelves": [
            {"count": "5000", "name": "to-read"},
            {"count": "2100", "name": "poetry"},
            {"count": "36", "name": "currently-reading"},
            {"count": "6", "name": "cat"},
        ],
        "asin": "",
        "is_ebook": "false",
        "average_rating": "4.09",
        "kindle_asin": "",
        "similar_books": ["884306"],
        "description": "T. S. Eliot's playful <i>cat</i> poems &amp; more.",
        "format": "Hardcover",
        "link": "https://www.goodreads.com/book/show/402128.Old_Possum_s_Book_of_Practical_Cats",
        "authors": [
            {"author_id": "18540", "role": ""},
            {"author_id": "21578", "role": "Illustrator"},
            {"author_id": "13195", "role": ""},
        ],
        "publisher": "Harcourt Brace & Company",
        "num_pages": "56",
        "publication_day": "30",
        "isbn13": "9780151686568",
        "publication_month": "8",
        "edition_information": "Illustrated Edition",
        "publication_year": "1982",
        "url": "https://www.goodreads.com/book/show/402128.Old_Possum_s_Book_of_Practical_Cats",
        "image_url": COVER,
        "book_id": "402128",
        "ratings_count": "15716",
        "work_id": "372536",
        "title": "Old Possum's Book of Practical Cats (Cats, #1)",
        "title_without_series": "Old Possum's Book of Practical Cats",
    },
    {
        "series": [],
        "popular_shelves": [],
        "description": "",
        "authors": [{"author_id": "21578", "role": "Photographs"}],
        "publisher": "",
        "image_url": NO_COVER,
        "book_id": "27036533",
        "title": "Jump, Little Wood Ducks",
        "title_without_series": "",
    },
]
AUTHORS = [
    {"average_rating": "3.51", "author_id": "18540", "name": "T.S. Eliot", "ratings_count": "9"},
    {"average_rating": "3.51", "author_id": "21578", "name": "Edward Gorey", "ratings_count": "9"},
    {"average_rating": "3.51", "author_id": "13195", "name": "Valerie Eliot", "ratings_count": "9"},
]
GENRES = [
    {"book_id": "402128", "genres": {"children": 12, "poetry": 2100, "comics, graphic": 1}},
    {"book_id": "27036533", "genres": {}},
    {"book_id": "1", "genres": {"romance": 3}},
]


def put(path: Path, *objects: dict) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(json.dumps(item) + "\n" for item in objects).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def metadata(
    folder: Path, books: str = "goodreads_books_poetry", ending: str = ".gz"
) -> list[Path]:
    return [
        put(folder / f"{books}.json{ending}", *BOOKS),
        put(folder / f"goodreads_book_authors.json{ending}", *AUTHORS),
        put(folder / f"goodreads_book_genres_initial.json{ending}", *GENRES),
    ]


def reader(folder: Path, max_malformed: float = 0.01) -> Goodreads:
    return Goodreads(str(folder), download=False, max_malformed=max_malformed)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", ["", "goodreads"])
def test_a_genre(tmp_path: Path, ending: str, folder: str) -> None:
    place = tmp_path / folder
    events = put(place / f"goodreads_interactions_poetry.json{ending}", *INTERACTIONS)
    files = (events, *metadata(place, ending=ending))
    raw = reader(tmp_path).read("poetry")
    assert (raw.name, raw.files, raw.n_lines, raw.n_malformed) == ("poetry", files, 2, 0)
    table = raw.interactions.collect()
    assert table.columns == list(INTERACTION_COLUMNS)
    assert table.rows() == [
        (USERS[0], "goodreads_402128", 4.0, 1366384515, None, None),
        (USERS[1], "goodreads_27036533", None, 1503008128, None, "Not yet, but"),
    ]
    columns = (ITEM, TITLE, DESCRIPTION, CATEGORIES, BRAND, KEYWORDS, FEATURES, IMAGE)
    assert raw.items.collect().select(columns).rows() == [
        (
            "goodreads_402128",
            "Old Possum's Book of Practical Cats",
            "T. S. Eliot's playful cat poems & more.",
            "poetry > children > comics > graphic",
            "T.S. Eliot, Valerie Eliot",
            "poetry, cat",
            "Harcourt Brace & Company",
            COVER,
        ),
        (
            *("goodreads_27036533", "Jump, Little Wood Ducks", None, None, "Edward Gorey"),
            *(None, None, None),
        ),
    ]


def test_reviews_of_a_genre(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_reviews_poetry.json.gz", REVIEW)
    metadata(tmp_path)
    raw = Goodreads(str(tmp_path), download=False, events="reviews").read("poetry")
    text = "I have three younger siblings.\nWe watched it."
    row = (USERS[1], "goodreads_402128", 5.0, 1501425850, None, text)
    assert raw.interactions.collect().rows() == [row]
    bare = Goodreads(str(tmp_path), download=False, events="reviews", reviews=False).read("poetry")
    assert bare.interactions.collect().rows() == [(*row[:5], None)]


def test_books_that_are_only_meant_to_be_read_may_be_left_out(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    metadata(tmp_path)
    raw = Goodreads(str(tmp_path), download=False, only_read=True).read("poetry")
    assert raw.interactions.collect()[ITEM].to_list() == ["goodreads_402128"]
    assert (raw.n_lines, raw.n_malformed) == (2, 0)
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS, REVIEW)
    with pytest.raises(UserError, match=r"1 of 3 lines.*is_read"):
        Goodreads(str(tmp_path), download=False, only_read=True).read("poetry")


def test_all_genres_with_times(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_interactions_dedup.json.gz", *INTERACTIONS)
    metadata(tmp_path, "goodreads_books")
    (tmp_path / "scratch").mkdir()
    held = reader(tmp_path).read("dedup").interactions.collect()
    down = reader(tmp_path).read("dedup", tmp_path / "scratch").interactions.collect()
    assert held[ITEM].to_list() == ["goodreads_402128", "goodreads_27036533"]
    assert down.equals(held)


def test_the_csv_file_has_the_ids_of_all_other_files(tmp_path: Path) -> None:
    metadata(tmp_path, "goodreads_books")
    (tmp_path / "goodreads_interactions.csv").write_text(
        "user_id,book_id,is_read,rating,is_reviewed\n0,948,1,5,0\n0,947,0,0,1\n1,948,1,3,0\n2,948,1,3,0\n"
    )
    (tmp_path / "user_id_map.csv").write_text(f"user_id_csv,user_id\n0,{USERS[0]}\n1,{USERS[1]}\n")
    (tmp_path / "book_id_map.csv").write_text("book_id_csv,book_id\n947,27036533\n948,402128\n")
    raw = reader(tmp_path).read("complete")
    assert [path.name for path in raw.files[-2:]] == ["book_id_map.csv", "user_id_map.csv"]
    rows = raw.interactions.collect().select("user_id", ITEM, RATING, "timestamp").rows()
    assert sorted(rows, key=str) == [
        (USERS[0], "goodreads_27036533", None, None),
        (USERS[0], "goodreads_402128", 5.0, None),
        (USERS[1], "goodreads_402128", 3.0, None),
        (None, "goodreads_402128", 3.0, None),  # a user that no map names: cleaning drops it
    ]
    read = Goodreads(str(tmp_path), download=False, only_read=True).read("complete")
    assert read.interactions.collect().height == 3


def test_repeated_lines_of_metadata_change_nothing(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    books, authors, genres = metadata(tmp_path)
    once = reader(tmp_path).read("poetry").items.collect()
    put(books, *BOOKS, *BOOKS)
    put(authors, *AUTHORS, *AUTHORS)
    put(genres, *GENRES, *GENRES)
    assert reader(tmp_path).read("poetry").items.collect().equals(once)


def test_shelves_that_say_nothing_about_the_book_and_rare_ones_are_left_out(tmp_path: Path) -> None:
    names = ["to-read", "owned", *(f"topic-{i}" for i in range(30)), "favorites"]
    shelves = [{"count": str(99 - i), "name": name} for i, name in enumerate(names)]
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    metadata(tmp_path)
    put(tmp_path / "goodreads_books_poetry.json.gz", BOOKS[0] | {"popular_shelves": shelves})
    keywords = reader(tmp_path).read("poetry").items.collect()[KEYWORDS][0]
    assert keywords == ", ".join(f"topic-{i}" for i in range(20))


def test_a_book_of_two_genres_is_one_item(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    put(tmp_path / "goodreads_interactions_children.json.gz", INTERACTIONS[0])
    metadata(tmp_path)
    metadata(tmp_path, "goodreads_books_children")
    poetry, children = (
        reader(tmp_path).read(name).interactions.collect().select("user_id", ITEM).row(0)
        for name in ("poetry", "children")
    )
    assert poetry == children


def test_malformed_lines_are_counted_and_named(tmp_path: Path) -> None:
    bad = [
        {**INTERACTIONS[0], "date_added": ""},
        {**INTERACTIONS[0], "rating": "five"},
        {"book_id": "402128"},
    ]
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *bad, *INTERACTIONS)
    metadata(tmp_path)
    raw = reader(tmp_path, max_malformed=0.6).read("poetry")
    assert (raw.n_lines, raw.n_malformed, raw.interactions.collect().height) == (5, 3, 2)
    match = r"goodreads_interactions_poetry\.json\.gz: 3 of 5 .*line 1.*book_id, rating, date_added"
    with pytest.raises(UserError, match=match):
        reader(tmp_path).read("poetry")


def test_the_wrong_file(tmp_path: Path) -> None:
    put(tmp_path / "goodreads_interactions_poetry.json.gz", *BOOKS)
    metadata(tmp_path)
    with pytest.raises(UserError, match=r"2 of 2 .*user_id, book_id"):
        reader(tmp_path).read("poetry")


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"comics_graphic.*dedup.*complete.*got 'Poetry'"):
        reader(tmp_path).files("Poetry")
    with pytest.raises(UserError, match="events must be interactions or reviews, got 'clicks'"):
        Goodreads(tmp_path, events="clicks")
    with pytest.raises(UserError, match="only_read needs"):
        Goodreads(tmp_path, events="reviews", only_read=True)
    with pytest.raises(UserError, match="complete has no reviews; use dedup"):
        Goodreads(tmp_path, events="reviews").files("complete")


@pytest.mark.parametrize(
    ("domain", "missing", "url"),
    [
        ("poetry", "interactions", "byGenre/goodreads_interactions_poetry.json.gz"),
        ("poetry", "books", "byGenre/goodreads_books_poetry.json.gz"),
        ("poetry", "authors", "goodreads/goodreads_book_authors.json.gz"),
        ("dedup", "interactions", "goodreads/goodreads_interactions_dedup.json.gz"),
        ("complete", "interactions", "goodreads/goodreads_interactions.csv"),
    ],
)
def test_missing_files_say_where_to_get_them(
    tmp_path: Path, domain: str, missing: str, url: str
) -> None:
    if missing != "interactions":
        put(tmp_path / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    if missing == "authors":
        put(tmp_path / "goodreads_books_poetry.json.gz", *BOOKS)
    with pytest.raises(UserError) as error:
        reader(tmp_path).files(domain)
    root = "https://mcauleylab.ucsd.edu/public_datasets/gdrive/"
    for part in (root, url, str(tmp_path / "goodreads"), "download=false", "data=marketplace"):
        assert part in str(error.value)


def test_missing_files_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    web = tmp_path / "web"
    put(web / "byGenre" / "goodreads_interactions_poetry.json.gz", *INTERACTIONS)
    metadata(web)
    (web / "goodreads_books_poetry.json.gz").rename(web / "byGenre/goodreads_books_poetry.json.gz")
    handler = partial(SimpleHTTPRequestHandler, directory=str(web))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        monkeypatch.setattr(goodreads, "ROOT", f"http://127.0.0.1:{server.server_address[1]}")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        raw = Goodreads(str(tmp_path / "data")).read("poetry")
        server.shutdown()
        thread.join()
    assert raw.n_lines == 2
    assert {path.parent for path in raw.files} == {tmp_path / "data" / "goodreads"}


ROW = st.tuples(
    st.text("0123456789abcdef", min_size=32, max_size=32),
    st.integers(1, 10**8),
    st.integers(0, 5),
    st.text(st.characters(codec="utf-8"), min_size=1, max_size=9),
)


@settings(max_examples=20, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_random_interactions_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, int, str]]
) -> None:
    folder = tmp_path_factory.mktemp("goodreads")
    written = [
        INTERACTIONS[0]
        | {"user_id": user, "book_id": str(book), "rating": stars, "review_text_incomplete": text}
        for user, book, stars, text in rows
    ]
    put(folder / "goodreads_interactions_poetry.json", *written)
    metadata(folder)
    assert reader(folder).read("poetry").interactions.collect().rows() == [
        (user, f"goodreads_{book}", stars or None, 1366384515, None, text)
        for user, book, stars, text in rows
    ]
