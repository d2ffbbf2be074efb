"""The published files: listeners without times, taggers with them, and tags as words."""

import zipfile
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import IMAGE, ITEM, KEYWORDS, RATING, REVIEW, TIMESTAMP, TITLE, USER
from crossrec.data.sources import lastfm
from crossrec.data.sources.lastfm import LastFM
from crossrec.errors import UserError

ARTISTS = (
    "id\tname\turl\tpictureURL\n"
    "51\tDuran Duran\thttp://www.last.fm/music/Duran+Duran\thttp://userserve-ak.last.fm/1.jpg\n"
    '18\tThe "Crüx" &amp; shadows\thttp://www.last.fm/music/x\t\n'
    "111\tPleq &  Anna\thttp://www.last.fm/music/y\t\n"
)
TAGS = "tagID\ttagValue\n13\tchillout\n24\tespa\xf1ol\n73\trock\n79\t80s\n81\t80s\n"
LISTENS = "userID\tartistID\tweight\n2\t51\t13883\n2\t18\t11690\n3\t999\t1\n"
TIMES = (
    "userID\tartistID\ttagID\ttimestamp\n"
    "2\t51\t73\t1238536800000\n"
    "2\t51\t13\t1236540800000\n"
    "2\t51\t79\t1238536800000\n"
    "2\t51\t81\t1238536800000\n"
    "3\t51\t73\t1241128800000\n"
    "4\t51\t24\t1241128800000\n"
    "4\t51\t81\t1241128800000\n"
    "3\t18\t24\t1304200800000\n"
    "3\t18\t77\t1304200800001\n"
)
NAMES = ["artists.dat", "tags.dat", "user_artists.dat", "user_taggedartists-timestamps.dat"]
IMAGES = [("51", "http://userserve-ak.last.fm/1.jpg"), ("18", None), ("111", None)]


def write(place: Path, listens: str = LISTENS, times: str = TIMES, end: str = "\n") -> None:
    place.mkdir(parents=True, exist_ok=True)
    texts = {"artists.dat": ARTISTS, "user_artists.dat": listens, NAMES[3]: times}
    for name, text in texts.items():
        (place / name).write_bytes(text.replace("\n", end).encode())
    (place / "tags.dat").write_bytes(TAGS.replace("\n", end).encode("latin-1"))


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_listeners(tmp_path: Path, end: str) -> None:
    write(tmp_path / "hetrec2011-lastfm-2k", end=end)
    raw = LastFM(tmp_path, download=False).read("user_artists")
    assert raw.interactions.collect().rows() == [
        ("lastfm_2", "lastfm_51", None, None, None, None),
        ("lastfm_2", "lastfm_18", None, None, None, None),
        ("lastfm_3", "lastfm_999", None, None, None, None),
    ]
    items = raw.items.collect()
    # rock by 2 and 3; 80s, which has two numbers, by 2 and 4; español by one user an artist
    assert items.select(ITEM, TITLE, KEYWORDS).rows() == [
        ("lastfm_51", "Duran Duran", "80s, rock"),
        ("lastfm_18", 'The "Crüx" & shadows', None),
        ("lastfm_111", "Pleq & Anna", None),
        ("lastfm_999", None, None),
    ]
    assert items[IMAGE].to_list() == [*(image for _, image in IMAGES), None]
    assert (raw.name, raw.n_lines, raw.n_malformed) == ("user_artists", 3, 0)
    assert [path.name for path in raw.files] == [NAMES[2], NAMES[3], NAMES[0], NAMES[1]]


def test_keywords_by_number_of_users(tmp_path: Path) -> None:
    write(tmp_path)

    def keywords(min_taggers: int | None) -> list[str | None]:
        reader = LastFM(tmp_path, download=False, min_taggers=min_taggers)
        return reader.read("user_artists").items.collect()[KEYWORDS].to_list()[:2]

    assert keywords(1) == ["80s, rock, chillout, español", "español"]
    assert keywords(3) == [None, None]
    assert keywords(None) == [None, None]
    with pytest.raises(UserError, match="min_taggers must be at least 1, got 0"):
        LastFM(tmp_path, min_taggers=0)


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_taggers(tmp_path: Path, end: str) -> None:
    write(tmp_path, end=end)
    raw = LastFM(tmp_path, download=False).read("user_taggedartists")
    events = raw.interactions.collect().sort(USER, ITEM)
    assert events.select(USER, ITEM, RATING, TIMESTAMP, REVIEW).rows() == [
        ("lastfm_2", "lastfm_51", None, 1236540800, "chillout, 80s, rock"),
        ("lastfm_3", "lastfm_18", None, 1304200800, "español"),  # 77 is a tag without a name
        ("lastfm_3", "lastfm_51", None, 1241128800, "rock"),
        ("lastfm_4", "lastfm_51", None, 1241128800, "80s, español"),
    ]
    assert raw.items.collect()[KEYWORDS].to_list() == [None, None, None]
    assert (raw.n_lines, raw.n_malformed) == (9, 0)


def test_malformed_lines(tmp_path: Path) -> None:
    impossible = "2\t18\t13\t-428720400000\n2\t18\t13\t285282000000\n"  # 1956, 1979
    write(tmp_path, LISTENS + "2\t51\tmany\n2\t51\n", TIMES + impossible + "2\t\t13\t1\n")
    with pytest.raises(UserError, match=r"user_taggedartists-timestamps\.dat: 3 of 12.*line 11"):
        LastFM(tmp_path, download=False).read("user_taggedartists")
    reader = LastFM(tmp_path, download=False, max_malformed=0.4)
    raw = reader.read("user_taggedartists")
    assert (raw.n_lines, raw.n_malformed, raw.interactions.collect().height) == (12, 3, 4)
    with pytest.raises(UserError, match=r"user_artists\.dat: 2 of 5 lines.*line 5"):
        LastFM(tmp_path, download=False, max_malformed=0.3).read("user_artists")
    raw = reader.read("user_artists")
    assert (raw.n_lines, raw.n_malformed) == (5, 2)


def test_the_zip_is_unpacked(tmp_path: Path) -> None:
    write(tmp_path / "elsewhere")
    with zipfile.ZipFile(tmp_path / "hetrec2011-lastfm-2k.zip", "w") as archive:
        for path in (tmp_path / "elsewhere").iterdir():
            archive.write(path, path.name)
        archive.writestr("readme.txt", "not read")
    assert LastFM(tmp_path, download=False).read("user_artists").n_lines == 3
    place = tmp_path / "hetrec2011-lastfm-2k"
    assert sorted(path.name for path in place.iterdir()) == NAMES


def test_missing_and_wrong_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="domains user_artists and user_taggedartists, got 'music'"):
        LastFM(tmp_path).read("music")
    with pytest.raises(UserError) as error:
        LastFM(tmp_path, download=False).read("user_artists")
    for part in (*NAMES, "download=false", "files.grouplens.org", "data=marketplace"):
        assert part in str(error.value)
    nowhere = lastfm.RELEASE.__class__("L", ("l",), ("l.zip",), "", "http://127.0.0.1:1/l.zip")
    monkeypatch.setattr(lastfm, "RELEASE", nowhere)
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/l\.zip"):
        LastFM(tmp_path).read("user_artists")
    monkeypatch.undo()
    write(tmp_path, "user_id\titem_id\n1\t2\n")
    with pytest.raises(UserError, match=r"user_artists\.dat, line 1: expected columns userID"):
        LastFM(tmp_path, download=False).read("user_artists")


TAGGINGS = st.lists(
    st.tuples(
        st.integers(1, 4), st.integers(1, 3), st.sampled_from([13, 24, 73]), st.integers(0, 9)
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=50, deadline=None)
@given(TAGGINGS, st.integers(1, 3))
def test_both_domains_against_counting_by_hand(
    tmp_path_factory: pytest.TempPathFactory,
    taggings: list[tuple[int, int, int, int]],
    least: int,
) -> None:
    place = tmp_path_factory.mktemp("lastfm")
    lines = [f"{u}\t{a}\t{t}\t{1236540800000 + 1000 * s}" for u, a, t, s in taggings]
    write(place, times="userID\tartistID\ttagID\ttimestamp\n" + "\n".join(lines) + "\n")
    reader = LastFM(place, download=False, max_malformed=0, min_taggers=least)
    events = reader.read("user_taggedartists").interactions.collect()
    words = {13: "chillout", 24: "español", 73: "rock"}
    pairs = {(u, a) for u, a, *_ in taggings}
    assert set(events.select(USER, ITEM).rows()) == {
        (f"lastfm_{u}", f"lastfm_{a}") for u, a in pairs
    }
    for user, item, time, review in events.select(USER, ITEM, TIMESTAMP, REVIEW).rows():
        own = [(s, t) for u, a, t, s in taggings if (f"lastfm_{u}", f"lastfm_{a}") == (user, item)]
        assert time == 1236540800 + min(s for s, _ in own)
        assert sorted(review.split(", ")) == sorted({words[t] for _, t in own})
    users = Counter((a, t) for _, a, t in {(u, a, t) for u, a, t, _ in taggings})
    (place / "user_artists.dat").write_text(
        "userID\tartistID\tweight\n" + "".join(f"1\t{a}\t1\n" for a in (1, 2, 3))
    )
    known = dict(reader.read("user_artists").items.select(ITEM, KEYWORDS).collect().rows())
    for artist in (1, 2, 3):
        agreed = [(-n, words[t]) for (a, t), n in users.items() if a == artist and n >= least]
        expected = ", ".join(word for _, word in sorted(agreed)) or None
        assert known[f"lastfm_{artist}"] == expected
