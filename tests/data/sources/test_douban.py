"""Quoted fields, comments over several lines, and users that three domains share."""

import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    BRAND,
    DESCRIPTION,
    FEATURES,
    ITEM,
    KEYWORDS,
    RATING,
    REVIEW,
    TIMESTAMP,
    TITLE,
    USER,
)
from crossrec.data.sources import blocks
from crossrec.data.sources.douban import Douban
from crossrec.errors import UserError

FOLDER = "douban_dataset(text information)"


def line(*fields: object) -> str:
    return "\t".join(f'"{field}"' for field in fields) + "\n"


MOVIE_HEAD = line("user_id", "movie_id", "rating", "comment", "time", "labels", "useful_num", "ID")
MOVIE_REVIEWS = MOVIE_HEAD + (
    line("1", "22", "5", '好看，\n\n他说"很好"\t真的', "2008-03-01", "科幻|美国", "3", "1")
    + line("1", "7", "", "", "2015-12-31", "", "0", "2")
    + line("12", "22", "-1", '他说""好""\r\n5\n', "2009-01-02", "|科幻|", "0", "3")
    + line("3", "9", "2", "1\n", "1970-01-02", "", "0", "4")
)
MOVIE_EVENTS = [
    ("douban_1", "douban_movie_22", 5.0, 1204329600, '科幻, 美国\n好看，  他说"很好"\t真的'),
    ("douban_1", "douban_movie_7", None, 1451520000, None),
    ("douban_12", "douban_movie_22", None, 1230854400, '科幻\n他说"好" 5'),
    ("douban_3", "douban_movie_9", 2.0, 86400, "1"),
]
MOVIES = line(
    *("movie_id", "name", "director", "summary", "writer", "country", "pubdate", "language"),
    *("rating", "tag", "UID"),
) + (
    line(
        *(
            "1291546",
            "霸王别姬 &amp; co",
            "['陈凯歌', \"O'Hara\"]",
            "段小楼\n1993 年\n<b>和</b> a|b",
        ),
        *("芦苇|李碧华", "中国大陆", "1993-01-01", "汉语普通话", "9.5", "['剧情', '爱情']", "22"),
    )
    + line("1291547", "[REC]", "", "", "", "", "", "", "", "", "7")
)
MOVIE_ITEMS = [
    ("douban_movie_22", "霸王别姬 & co", "陈凯歌, O'Hara", "段小楼 1993 年 和 a|b", "剧情, 爱情"),
    ("douban_movie_7", "[REC]", None, None, None),
    ("douban_movie_9", None, None, None, None),
]
BOOK_REVIEWS = line("user_id", "book_id", "rating", "labels", "comment", "time", "ID") + (
    line("1", "22", "4", "小说", "好", "2010-10-10 12:00:01", "1")
)
MUSIC_REVIEWS = line(
    "user_id", "music_id", "rating", "labels", "comment", "useful_num", "time", "ID"
) + line("1", "22", "3", "", "", "0", "2011-11-11", "1")


def write(place: Path, movies: str = MOVIE_REVIEWS, books: str = BOOK_REVIEWS) -> None:
    place.mkdir(parents=True, exist_ok=True)
    texts = {
        "moviereviews_cleaned.txt": movies,
        "movies_cleaned.txt": MOVIES,
        "bookreviews_cleaned.txt": books,
        "musicreviews_cleaned.txt": MUSIC_REVIEWS,
    }
    for name, text in texts.items():
        (place / name).write_bytes(text.encode())


@pytest.mark.parametrize("in_scratch", [False, True])
def test_movies(tmp_path: Path, in_scratch: bool) -> None:
    write(tmp_path / FOLDER)
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    reader = Douban(tmp_path, max_malformed=0)
    raw = reader.read("movie", scratch if in_scratch else None)
    events = raw.interactions.select(USER, ITEM, RATING, TIMESTAMP, REVIEW).collect()
    assert events.rows() == MOVIE_EVENTS
    items = raw.items.collect()
    assert items.select(ITEM, TITLE, BRAND, DESCRIPTION, KEYWORDS).rows() == MOVIE_ITEMS
    assert items[FEATURES].to_list() == ["芦苇, 李碧华; 中国大陆; 汉语普通话", None, None]
    assert (raw.name, raw.n_lines, raw.n_malformed) == ("movie", 4, 0)
    assert [path.suffix for path in scratch.iterdir()] == [".parquet"] * in_scratch


def test_books_and_music_share_users_and_no_items(tmp_path: Path) -> None:
    write(tmp_path / "douban")
    book, music = (Douban(tmp_path).read(name) for name in ("book", "music"))
    assert book.interactions.collect().rows() == [
        ("douban_1", "douban_book_22", 4.0, 1286712001, None, "小说\n好")
    ]
    assert music.interactions.collect().rows() == [
        ("douban_1", "douban_music_22", 3.0, 1320969600, None, None)
    ]
    assert book.items.select(ITEM, TITLE).collect().rows() == [("douban_book_22", None)]


def test_without_reviews(tmp_path: Path) -> None:
    write(tmp_path)
    events = Douban(tmp_path, reviews=False).read("movie").interactions.collect()
    assert events[REVIEW].null_count() == events.height == 4


def test_fields_of_which_some_have_no_quotes(tmp_path: Path) -> None:
    rows = '1\t22\t4\t"小说"\t"a ""good"" one"\t2010-10-10\t1\n2\t22\t5\t\tok\t2010-10-10\t2\n'
    write(tmp_path, books="user_id\tbook_id\trating\tlabels\tcomment\ttime\tID\n" + rows)
    events = Douban(tmp_path, max_malformed=0).read("book").interactions.collect()
    assert events.select(USER, RATING, REVIEW).rows() == [
        ("douban_1", 4.0, '小说\na "good" one'),
        ("douban_2", 5.0, "ok"),
    ]


@pytest.mark.parametrize("block_bytes", [4, 37, 1 << 22])
def test_where_the_blocks_end_makes_no_difference(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block_bytes: int
) -> None:
    monkeypatch.setattr(blocks, "BLOCK_BYTES", block_bytes)
    write(tmp_path)
    events = Douban(tmp_path, max_malformed=0).read("movie").interactions.collect()
    assert events.select(USER, ITEM, RATING, TIMESTAMP, REVIEW).rows() == MOVIE_EVENTS


def test_malformed_records(tmp_path: Path) -> None:
    bad = line("1", "8", "five", "", "2015-01-01", "", "0", "5")
    bad += line("1", "8", "5", "", "2015-13-01", "", "0", "6")
    bad += line("1", "8", "5") + line("", "8", "5", "no user", "2015-01-01", "", "0", "7")
    write(tmp_path, MOVIE_REVIEWS + bad, BOOK_REVIEWS + line("1", "8", "5", "", "", "soon", "2"))
    # The last record has no number at its start, so it continues the one before.
    with pytest.raises(
        UserError, match=r"moviereviews_cleaned\.txt: 3 of 7 records .*line 11: '.1"
    ):
        Douban(tmp_path).read("movie")
    raw = Douban(tmp_path, max_malformed=0.5).read("movie")
    assert (raw.n_lines, raw.n_malformed, raw.interactions.collect().height) == (7, 3, 4)
    with pytest.raises(UserError, match=r"bookreviews_cleaned\.txt: 1 of 2 lines .*line 3"):
        Douban(tmp_path).read("book")


def test_not_utf8(tmp_path: Path) -> None:
    write(tmp_path)
    path = tmp_path / "moviereviews_cleaned.txt"
    path.write_bytes(path.read_bytes() + line("1", "2", "3", "好").encode("gb18030"))
    with pytest.raises(UserError, match=r"moviereviews_cleaned\.txt, .*expected UTF-8") as error:
        Douban(tmp_path).read("movie")
    assert str(tmp_path / "moviereviews_cleaned.txt") in str(error.value)


def test_the_zip_is_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        for path in (tmp_path / "elsewhere").iterdir():
            archive.write(path, f"douban_dataset/{FOLDER}/{path.name}")
    assert Douban(tmp_path).read("music").n_lines == 1
    assert [path.name for path in (tmp_path / "douban").iterdir()] == ["musicreviews_cleaned.txt"]
    assert Douban(tmp_path).read("movie").n_lines == 4


def test_missing_and_wrong_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="domains movie, book, music, got 'movies'"):
        Douban(tmp_path).files("movies")
    with pytest.raises(UserError) as error:
        Douban(tmp_path).read("movie")
    for part in (
        *("moviereviews_cleaned.txt, movies_cleaned.txt", "kaggle.com", "data=marketplace"),
        *(str(tmp_path / FOLDER), str(tmp_path / "douban")),
    ):
        assert part in str(error.value)
    write(tmp_path, books=MUSIC_REVIEWS)
    with pytest.raises(UserError, match=r"bookreviews.*line 1: expected columns user_id, book_id"):
        Douban(tmp_path).read("book")
    (tmp_path / "bookreviews_cleaned.txt").write_bytes(b"")
    with pytest.raises(UserError, match=r"bookreviews_cleaned\.txt is empty"):
        Douban(tmp_path).read("book")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\x1f"), max_size=20)
TIME = st.datetimes(datetime(2005, 1, 1), datetime(2020, 1, 1))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 99), st.integers(1, 5), TEXT, TIME), min_size=1))
def test_any_review_comes_back(
    tmp_path_factory: pytest.TempPathFactory,
    reviews: list[tuple[int, int, str, datetime]],
) -> None:
    place = tmp_path_factory.mktemp("douban")
    rows = [
        line(user, 5, rating, "", text.replace('"', '""'), f"{time:%Y-%m-%d}", 1)
        for user, rating, text, time in reviews
    ]
    head = line("user_id", "book_id", "rating", "labels", "comment", "time", "ID")
    write(place, books=head + "".join(rows))
    events = Douban(place, max_malformed=0).read("book").interactions.collect()
    assert events.select(USER, RATING, TIMESTAMP).rows() == [
        (f"douban_{user}", rating, int(time.replace(tzinfo=UTC).timestamp()) // 86400 * 86400)
        for user, rating, _, time in reviews
    ]
    for found, (_, _, text, _) in zip(events[REVIEW], reviews, strict=True):
        assert (found or "").split() == text.split()
