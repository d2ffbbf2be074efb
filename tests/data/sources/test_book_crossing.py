"""The original dump with its escapes, the mirror on Kaggle, and what is no rating."""

import csv
import zipfile
from pathlib import Path

import polars as pl
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from crossrec.data.columns import BRAND, FEATURES, IMAGE, ITEM, RATING, TITLE, USER
from crossrec.data.sources import book_crossing
from crossrec.data.sources.book_crossing import BookCrossing
from crossrec.errors import UserError

RATINGS = (
    '"User-ID";"ISBN";"Book-Rating"\r\n'
    '"276725";"034545104X";"0"\r\n'
    '"276726";"0155061224";"5"\r\n'
    '"276727";" 055321215x";"10"\r\n'
    '"276729";"9999999999";"3"\r\n'
)
URL = "http://images.amazon.com/images/P/{}.01.{}ZZZZZZZ.jpg"
BOOKS = (
    '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S";'
    '"Image-URL-M";"Image-URL-L"\r\n'
    '"034545104X";"Flesh Tones: A Novel";"M. J. Rose";"2002";"Ballantine Books";"s";"m";"l"\r\n'
    '"0155061224";"The \\"Q\\"; a Café &amp; more";"Judith Rae";"0";"Heinle &amp; Co";'
    '"s";"m";""\r\n'
    '"055321215X";"C:\\\\";"Jane Austen";"1983";"";"s";"";""\r\n'
)
TABLE = [
    ("034545104X", "Flesh Tones: A Novel", "M. J. Rose", "Ballantine Books, 2002", "l"),
    ("0155061224", 'The "Q"; a Café & more', "Judith Rae", "Heinle & Co", "m"),
    ("055321215X", "C:\\", "Jane Austen", "1983", "s"),
    ("9999999999", None, None, None, None),
]
EVENTS = [
    ("book_crossing_276725", "034545104X", None),
    ("book_crossing_276726", "0155061224", 5.0),
    ("book_crossing_276727", "055321215X", 10.0),
    ("book_crossing_276729", "9999999999", 3.0),
]


def original(place: Path, ratings: str = RATINGS) -> None:
    place.mkdir(parents=True)
    (place / "BX-Book-Ratings.csv").write_bytes(ratings.encode("latin-1"))
    (place / "BX-Books.csv").write_bytes(BOOKS.encode("latin-1"))


def mirror(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "Ratings.csv").write_text(
        "User-ID,ISBN,Book-Rating\n276725,034545104X,0\n276726,0155061224,5\n"
        "276727,055321215x,10\n276729,9999999999,3\n"
    )
    (place / "Books.csv").write_text(
        "ISBN,Book-Title,Book-Author,Year-Of-Publication,Publisher,Image-URL-S,Image-URL-M,"
        "Image-URL-L\n"
        "034545104X,Flesh Tones: A Novel,M. J. Rose,2002,Ballantine Books,s,m,l\n"
        '0155061224,"The ""Q""; a Café &amp; more",Judith Rae,0,Heinle & Co,s,m,\n'
        "055321215X,C:\\,Jane Austen,1983,,s,,\n",
        encoding="utf-8",
    )


@pytest.mark.parametrize("edition", [original, mirror])
@pytest.mark.parametrize("folder", ["book_crossing", "."])
def test_both_editions(tmp_path: Path, edition: type, folder: str) -> None:
    edition(tmp_path / "data" / folder)
    raw = BookCrossing(tmp_path / "data", download=False).read("BX")
    events = raw.interactions.collect()
    assert events.select(USER, ITEM, RATING).rows() == EVENTS
    assert events.drop(USER, ITEM, RATING).null_count().row(0) == (4, 4, 4)
    items = raw.items.collect()
    assert items.select(ITEM, TITLE, BRAND, FEATURES, IMAGE).rows() == TABLE
    assert (raw.name, raw.n_lines, raw.n_malformed) == ("BX", 4, 0)


def test_without_events_that_are_no_ratings(tmp_path: Path) -> None:
    original(tmp_path / "book_crossing")
    raw = BookCrossing(tmp_path, download=False, implicit=False).read("BX", tmp_path)
    assert raw.interactions.select(USER, ITEM, RATING).collect().rows() == EVENTS[1:]
    assert (raw.n_lines, raw.n_malformed) == (4, 0)


def test_malformed_lines(tmp_path: Path) -> None:
    bad = '"1";"0155061224";"five"\r\n"2";"0155061224"\r\n"3";"0155\\";"4"\r\n'
    original(tmp_path / "book_crossing", RATINGS + bad + '"4";"0155\\"061224";"7"\r\n')
    with pytest.raises(UserError, match=r"Ratings\.csv: 3 of 8 lines .* line 6: '\"1\";\"0155"):
        BookCrossing(tmp_path, download=False).read("BX")
    raw = BookCrossing(tmp_path, False, max_malformed=0.4).read("BX")
    assert raw.n_malformed == 3
    assert raw.interactions.select(USER, ITEM, RATING).collect().rows() == [
        *EVENTS,
        ("book_crossing_4", '0155"061224', 7.0),
    ]


def test_the_zip_is_unpacked(tmp_path: Path) -> None:
    original(tmp_path / "elsewhere")
    with zipfile.ZipFile(tmp_path / "BX-CSV-Dump.zip", "w") as archive:
        for path in (tmp_path / "elsewhere").iterdir():
            archive.write(path, path.name)
        archive.writestr("BX-Users.csv", "not read")
    assert BookCrossing(tmp_path, download=False).read("BX").n_lines == 4
    assert sorted(path.name for path in (tmp_path / "book_crossing").iterdir()) == [
        "BX-Book-Ratings.csv",
        "BX-Books.csv",
    ]


def test_missing_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="one domain, BX, got 'Books'"):
        BookCrossing(tmp_path).files("Books")
    with zipfile.ZipFile(tmp_path / "archive.zip", "w") as archive:
        archive.writestr("other.csv", "of another data set")
    with pytest.raises(UserError) as error:
        BookCrossing(tmp_path, download=False).files("BX")
    for part in (
        *("BX-Book-Ratings.csv, BX-Books.csv or Ratings.csv, Books.csv", "download=false"),
        *(str(tmp_path / "book_crossing"), "archive.zip does not hold it", "BX-CSV-Dump.zip"),
        *("data=marketplace", "cziegler"),
    ):
        assert part in str(error.value)
    nowhere = book_crossing.RELEASE.__class__("B", ("b",), ("b.zip",), "", "http://127.0.0.1:1/b")
    monkeypatch.setattr(book_crossing, "RELEASE", nowhere)
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/b.*refused"):
        BookCrossing(tmp_path).files("BX")


def test_another_file_under_that_name(tmp_path: Path) -> None:
    original(tmp_path / "book_crossing", "userId,movieId,rating\n1,2,3\n")
    with pytest.raises(UserError, match=r"Ratings\.csv, line 1: expected columns User-ID, ISBN,"):
        BookCrossing(tmp_path, download=False).read("BX")


def test_truncated_zip(tmp_path: Path) -> None:
    (tmp_path / "BX-CSV-Dump.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"BX-CSV-Dump\.zip is no whole zip"):
        BookCrossing(tmp_path, download=False).read("BX")


TEXT = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="&<\x7f\x85"))


def not_utf8(text: bytes) -> bool:
    """Whether bytes are ASCII, or can be no UTF-8."""
    try:
        text.decode()
    except UnicodeDecodeError:
        return True
    return text.isascii()


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=20))
def test_any_text_comes_back(
    tmp_path_factory: pytest.TempPathFactory, books: list[tuple[str, str]]
) -> None:
    """Whatever a title holds, escaped as in the dump: white space is folded, else it is equal."""
    place = tmp_path_factory.mktemp("bx")
    with (place / "BX-Books.csv").open("w", encoding="latin-1", newline="") as file:
        writer = csv.writer(
            file, "unix", delimiter=";", quoting=csv.QUOTE_ALL, doublequote=False, escapechar="\\"
        )
        writer.writerow(("ISBN", "Book-Title", "Book-Author", "Year-Of-Publication", "Publisher"))
        writer.writerows((i, title, author, 0, "") for i, (title, author) in enumerate(books))
    assume(not_utf8((place / "BX-Books.csv").read_bytes()))  # for it would be read as that
    (place / "BX-Book-Ratings.csv").write_text('"User-ID";"ISBN";"Book-Rating"\n"1";"0";"5"\n')
    raw = BookCrossing(place, download=False, max_malformed=0).read("BX")
    folded = [tuple(" ".join(text.split()) or None for text in book) for book in books]
    assert raw.items.select(TITLE, BRAND).collect().rows() == folded
    assert raw.items.select(pl.col(FEATURES).null_count()).collect().item() == len(books)
