"""Reviews and games as Python 2 printed them, and what is said when they are not."""

import ast
import gzip
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import (
    BRAND,
    CATEGORIES,
    FEATURES,
    INTERACTION_COLUMNS,
    ITEM,
    KEYWORDS,
    TITLE,
)
from crossrec.data.sources import steam
from crossrec.data.sources.literals import to_json
from crossrec.data.sources.steam import Steam
from crossrec.errors import UserError

REVIEWS = [
    r"{u'username': u'Chaos Syren', u'hours': 0.1, u'products': 41, u'product_id': u'725280', "
    r"u'page_order': 0, u'date': u'2017-12-17', u'text': u'This would not be acceptable as an "
    r"entertainment even back in the day.', u'early_access': False, u'page': 1}",
    r"{u'username': u'Ariman1', u'hours': 13.2, u'products': 1386, u'product_id': u'328100', "
    r"u'page_order': 1, u'date': u'2017-08-02', u'text': u'It\'s \u2665\u2665\u2665 \u2013 "
    r""""fun", isn\'t it?\n10/10', u'early_access': True, u'page': 1}""",
    r"{u'username': u'freakfantom', u'hours': 0.1, u'compensation': u'Product received for free', "
    r"u'found_funny': 3, u'user_id': u'76561198007483075', u'products': 1706, u'product_id': "
    r"u'725280', u'page_order': 1, u'date': u'2017-11-14', u'text': u'', u'early_access': False, "
    r"u'page': 1}",
]
GAMES = [
    r"{u'publisher': u'Kotoshiro', u'genres': [u'Action', u'Casual', u'Indie', u'Simulation'], "
    r"u'app_name': u'Lost Summoner Kitty', u'title': u'Lost Summoner Kitty', u'url': "
    r"u'http://store.steampowered.com/app/761140/Lost_Summoner_Kitty/', u'release_date': "
    r"u'2018-01-04', u'tags': [u'Strategy', u'Action'], u'discount_price': 4.49, u'reviews_url': "
    r"u'http://steamcommunity.com/app/761140/reviews/?browsefilter=mostrecent&p=1', u'specs': "
    r"[u'Single-player'], u'price': 4.99, u'early_access': False, u'id': u'761140', u'developer': "
    r"u'Kotoshiro Games'}",
    r"{u'publisher': u'\u5f7c\u5cb8\u9886\u57df', u'genres': [u'Animation &amp; Modeling'], "
    r"""u'app_name': u"It's \u5f39", u'title': u'', u'price': u'Free To Play', u'id': u'725280', """
    r"u'early_access': False}",
    r"{u'app_name': u'Log Challenge', u'tags': [], u'id': u'773570', u'sentiment': u'1 user "
    r"reviews', u'metascore': u'NA', u'specs': [u'Single-player', u'HTC Vive']}",
]


def put(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def reader(folder: Path, max_malformed: float = 0.01, reviews: bool = True) -> Steam:
    return Steam(str(folder), download=False, max_malformed=max_malformed, reviews=reviews)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", ["", "steam"])
def test_reviews_and_games(tmp_path: Path, ending: str, folder: str) -> None:
    reviews = put(tmp_path / folder / f"steam_reviews.json{ending}", REVIEWS)
    games = put(tmp_path / folder / f"steam_games.json{ending}", GAMES)
    raw = reader(tmp_path).read("steam_reviews")
    assert (raw.name, raw.files) == ("steam_reviews", (reviews, games))
    assert (raw.n_lines, raw.n_malformed) == (3, 0)
    events = raw.interactions.collect()
    assert events.columns == list(INTERACTION_COLUMNS)
    first = "This would not be acceptable as an entertainment even back in the day."
    second = "It's ♥♥♥ – \"fun\", isn't it?\n10/10"
    assert events.rows() == [
        ("steam_Chaos Syren", "steam_725280", None, 1513468800, None, first),
        ("steam_Ariman1", "steam_328100", None, 1501632000, None, second),
        ("steam_freakfantom", "steam_725280", None, 1510617600, None, None),
    ]
    items = raw.items.collect().select(ITEM, TITLE, CATEGORIES, BRAND, KEYWORDS, FEATURES)
    path = "Action > Casual > Indie > Simulation"
    title = "Lost Summoner Kitty"
    assert items.rows() == [
        ("steam_761140", title, path, "Kotoshiro Games", "Strategy, Action", "Single-player"),
        ("steam_725280", "It's 弹", "Animation & Modeling", "彼岸领域", None, None),
        ("steam_773570", "Log Challenge", None, None, None, "Single-player, HTC Vive"),
        ("steam_328100", None, None, None, None, None),
    ]


@pytest.mark.parametrize("line", [*REVIEWS, *GAMES])
def test_published_lines_are_read_in_blocks(line: str) -> None:
    assert json.loads(to_json(line.encode() + b"\n")) == ast.literal_eval(line)


def test_rows_put_down_are_the_same(tmp_path: Path) -> None:
    put(tmp_path / "steam_reviews.json.gz", REVIEWS)
    put(tmp_path / "steam_games.json.gz", GAMES)
    (tmp_path / "scratch").mkdir()
    held = reader(tmp_path).read("steam_reviews").interactions.collect()
    down = reader(tmp_path).read("steam_reviews", tmp_path / "scratch").interactions.collect()
    assert down.equals(held)
    assert list((tmp_path / "scratch").glob("*.parquet"))
    bare = reader(tmp_path, reviews=False).read("steam_reviews").interactions.collect()
    assert bare.equals(held.with_columns(pl.lit(None, pl.String).alias("review")))


def test_malformed_lines_are_counted_and_named(tmp_path: Path) -> None:
    bad = [
        REVIEWS[0].replace("2017-12-17", "2017-02-30"),
        REVIEWS[0].replace("u'product_id'", "u'product'"),
        REVIEWS[0][:80],
        "{u'username': open('x')}",
    ]
    put(tmp_path / "steam_reviews.json.gz", [REVIEWS[0], *bad, *REVIEWS])
    put(tmp_path / "steam_games.json.gz", GAMES)
    raw = reader(tmp_path, max_malformed=0.5).read("steam_reviews")
    assert (raw.n_lines, raw.n_malformed) == (8, 4)
    assert raw.interactions.collect().height == 4
    with pytest.raises(UserError, match=r"steam_reviews\.json\.gz: 4 of 8 .*line 2: .*date"):
        reader(tmp_path).read("steam_reviews")


def test_games_without_an_id_are_left_out(tmp_path: Path) -> None:
    put(tmp_path / "steam_reviews.json.gz", REVIEWS)
    games = put(tmp_path / "steam_games.json.gz", [*GAMES, "{u'url': u'http://x', u'price': 9.9}"])
    assert reader(tmp_path, 0.25).read("steam_reviews").items.collect().height == 4
    with pytest.raises(UserError, match=f"{games.name}: 1 of 4 .* id"):
        reader(tmp_path).read("steam_reviews")


def test_the_wrong_file(tmp_path: Path) -> None:
    put(tmp_path / "steam_reviews.json.gz", GAMES)
    put(tmp_path / "steam_games.json.gz", GAMES)
    with pytest.raises(UserError, match=r"3 of 3 .*username, product_id, date"):
        reader(tmp_path).read("steam_reviews")


def test_other_domains_and_missing_files(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="one domain, steam_reviews, got 'steam'"):
        reader(tmp_path).files("steam")
    put(tmp_path / "steam_reviews.json.gz", REVIEWS)
    with pytest.raises(UserError) as error:
        reader(tmp_path).files("steam_reviews")
    url = "https://mcauleylab.ucsd.edu/public_datasets/data/steam/steam_games.json.gz"
    for part in (url, str(tmp_path / "steam"), "download=false", "data=marketplace"):
        assert part in str(error.value)


def test_missing_files_are_fetched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "web" / "steam_reviews.json.gz", REVIEWS)
    put(tmp_path / "web" / "steam_games.json.gz", GAMES)
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        root = f"http://127.0.0.1:{server.server_address[1]}"
        urls = tuple(f"{root}/{url.rsplit('/', 1)[-1]}" for url in steam.URLS)
        monkeypatch.setattr(steam, "URLS", urls)
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        raw = Steam(str(tmp_path / "data")).read("steam_reviews")
        server.shutdown()
        thread.join()
    place = tmp_path / "data" / "steam"
    assert raw.files == (place / "steam_reviews.json.gz", place / "steam_games.json.gz")
    assert raw.n_lines == 3


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steam, "URLS", ("http://127.0.0.1:1/steam_reviews.json.gz",))
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/.*marketplace"):
        Steam(str(tmp_path)).read("steam_reviews")


NAME = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(NAME, st.integers(1, 999), st.dates(), NAME), min_size=1, max_size=8))
def test_random_reviews_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, int, object, str]]
) -> None:
    folder = tmp_path_factory.mktemp("steam")
    written = [
        f"{{u'username': u{user!a}, u'product_id': u'{item}', u'hours': 1.5, "
        f"u'date': u'{day}', u'text': u{text!a}, u'early_access': False}}"
        for user, item, day, text in rows
    ]
    put(folder / "steam_reviews.json", written)
    put(folder / "steam_games.json", GAMES)
    raw = reader(folder).read("steam_reviews")
    days = pl.Series([day for _, _, day, _ in rows], dtype=pl.Date).dt.epoch("s")
    assert raw.n_malformed == 0
    assert raw.interactions.collect().rows() == [
        (f"steam_{user}", f"steam_{item}", None, seconds, None, text)
        for (user, item, _, text), seconds in zip(rows, days, strict=True)
    ]
