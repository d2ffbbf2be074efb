"""Both editions of the reviews, reviews without stars, and what is no review."""

import io
import tarfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, RATING, REVIEW, TIMESTAMP, TITLE, USER
from crossrec.data.sources import library_thing
from crossrec.data.sources.library_thing import LibraryThing
from crossrec.errors import UserError

LINES = [
    "{'work': '3206242', 'flags': [], 'unixtime': 1194393600, 'stars': 5.0, 'nhelpful': 0, "
    "'time': 'Nov 7, 2007', 'comment': 'This a great book. ', 'user': 'van_stef'}",
    "{'work': '12533765', 'flags': [], 'unixtime': 1352937600, 'nhelpful': 0, 'time': "
    "'Nov 15, 2012', 'comment': 'Magoon, K. (2012).\\nA \\'caf\\xe9\\'', 'user': 'edspicer'}",
    "{'work': '12981302', 'flags': ['x'], 'unixtime': 1364515200, 'stars': 4.5, 'nhelpful': 2, "
    "'time': 'Mar 29, 2013', 'comment': \"It's 'stars': 1.0, 'user': 'nobody'\", 'user': 'Zoë'}",
    "{'work': '3206242', 'unixtime': 1364515201, 'stars': 0.5, 'comment': '', 'user': 'edspicer'}",
]
EVENTS = [
    ("van_stef", "3206242", 5.0, 1194393600, "This a great book."),
    ("edspicer", "12533765", None, 1352937600, "Magoon, K. (2012).\nA 'café'"),
    ("Zoë", "12981302", 4.5, 1364515200, "It's 'stars': 1.0, 'user': 'nobody'"),
    ("edspicer", "3206242", 0.5, 1364515201, None),
]


def as_json(lines: list[str]) -> tuple[str, str]:
    return "reviews.json", "\n".join(lines) + "\n"


def as_program(lines: list[str]) -> tuple[str, str]:
    keys = [f"reviews[('{i}', \"user's\")] = " for i in range(len(lines))]
    return "reviews.txt", "\n".join(
        ["reviews = {}", *(key + line for key, line in zip(keys, lines, strict=True))]
    )


def write(folder: Path, name: str, text: str) -> None:
    (folder / "lthing_data").mkdir(parents=True, exist_ok=True)
    (folder / "lthing_data" / name).write_text(text, encoding="utf-8")


def rows(reader: LibraryThing) -> list[tuple[object, ...]]:
    events = reader.read("lthing_data").interactions.collect()
    prefix = len("library_thing_")
    assert events[USER].str.starts_with("library_thing_").all()
    assert events[ITEM].str.starts_with("library_thing_").all()
    return [
        (user[prefix:], item[prefix:], *rest)
        for user, item, *rest in events.select(USER, ITEM, RATING, TIMESTAMP, REVIEW).rows()
    ]


@pytest.mark.parametrize("edition", [as_json, as_program])
def test_both_editions(tmp_path: Path, edition: type) -> None:
    write(tmp_path, *edition(LINES))
    reader = LibraryThing(tmp_path, download=False, max_malformed=0)
    assert rows(reader) == EVENTS
    raw = reader.read("lthing_data", tmp_path)
    assert (raw.name, raw.n_lines, raw.n_malformed) == ("lthing_data", 4, 0)
    assert raw.items.select(ITEM, TITLE).collect().rows() == [
        ("library_thing_12533765", None),
        ("library_thing_12981302", None),
        ("library_thing_3206242", None),
    ]


def test_an_assignment_in_the_first_line(tmp_path: Path) -> None:
    name, text = as_program(LINES)
    write(tmp_path, name, text.removeprefix("reviews = {}\n"))
    assert rows(LibraryThing(tmp_path, download=False)) == EVENTS


@pytest.mark.parametrize("edition", [as_json, as_program])
def test_malformed_lines(tmp_path: Path, edition: type) -> None:
    bad = [
        "{'work': '1', 'unixtime': 5, 'stars': 4.0}",
        LINES[0][:-30],
        LINES[0].replace("5.0", "x"),
    ]
    bad += ["{'work': '1', 'user': 'u', 'unixtime': 'yesterday'}", "__import__('os').abort()"]
    name, text = edition(LINES + bad)
    write(tmp_path, name, text)
    line = 5 if name == "reviews.json" else 6
    with pytest.raises(UserError, match=rf"{name}: 5 of 9 lines .* line {line}: .*unixtime"):
        LibraryThing(tmp_path, download=False).read("lthing_data")
    reader = LibraryThing(tmp_path, download=False, max_malformed=0.6)
    assert rows(reader) == EVENTS
    assert reader.read("lthing_data").n_malformed == 5


def test_the_archive_is_unpacked(tmp_path: Path) -> None:
    _, text = as_json(LINES)
    with tarfile.open(tmp_path / "lthing_data.tar.gz", "w:gz") as archive:
        for name, content in (("edges.txt", "a b\n"), ("reviews.json", text)):
            info = tarfile.TarInfo(f"lthing_data/{name}")
            info.size = len(content.encode())
            archive.addfile(info, io.BytesIO(content.encode()))
    assert rows(LibraryThing(tmp_path, download=False)) == EVENTS
    assert [path.name for path in (tmp_path / "lthing_data").iterdir()] == ["reviews.json"]


def test_missing_and_wrong_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="one domain, lthing_data, got 'books'"):
        LibraryThing(tmp_path).read("books")
    with pytest.raises(UserError) as error:
        LibraryThing(tmp_path, download=False).read("lthing_data")
    for part in ("reviews.txt or reviews.json", "download=false", "mcauleylab", "data=marketplace"):
        assert part in str(error.value)
    nowhere = library_thing.RELEASE.__class__(
        "L", ("l",), ("l.tar.gz",), "", "http://127.0.0.1:1/l"
    )
    monkeypatch.setattr(library_thing, "RELEASE", nowhere)
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/l"):
        LibraryThing(tmp_path).read("lthing_data")
    monkeypatch.undo()
    write(tmp_path, "reviews.txt", '{"user_id": "1", "business_id": "2"}\n' * 3)
    with pytest.raises(UserError, match=r"reviews\.txt: 3 of 3 lines.*work, user, unixtime"):
        LibraryThing(tmp_path, download=False).read("lthing_data")
    write(tmp_path, "reviews.txt", "a book about reviews = {}\n")
    with pytest.raises(UserError, match=r"reviews\.txt, line 1: expected a review"):
        LibraryThing(tmp_path, download=False).read("lthing_data")


TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT.filter(bool), st.integers(1, 10)), min_size=1, max_size=20))
def test_any_review_comes_back(
    tmp_path_factory: pytest.TempPathFactory, reviews: list[tuple[str, str, int]]
) -> None:
    """Python's own way of writing dictionaries, whatever they hold."""
    folder = tmp_path_factory.mktemp("lt")
    lines = [
        repr({"work": str(i), "unixtime": 9 + i, "stars": n / 2, "comment": text, "user": user})
        for i, (text, user, n) in enumerate(reviews)
    ]
    write(folder, *as_program(lines))
    found = rows(LibraryThing(folder, download=False, max_malformed=0))
    assert [row[:4] for row in found] == [
        (user, str(i), n / 2, 9 + i) for i, (_, user, n) in enumerate(reviews)
    ]
    for row, (text, *_) in zip(found, reviews, strict=True):
        assert (row[4] or "") in text
        assert (row[4] or "").strip() == text.strip()
