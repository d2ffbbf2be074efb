"""RecBole's atomic files, as published for MovieLens and for Amazon."""

from pathlib import Path

import pytest

from crossrec.data.sources.recbole import RecBole
from crossrec.errors import UserError

INTER = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
EVENTS = INTER + "196\t242\t3\t881250949\n186\t302\t3.5\t8.91717742E8\n"
ITEM = (
    "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    '242\tThe "Kolya"\t1996\tComedy\n'
    "7\tTwelve Monkeys\t\tDrama Sci-Fi\n"
)


def put(folder: Path, name: str, content: str) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_text(content, encoding="utf-8")
    return folder / name


@pytest.mark.parametrize("below", ["", "ml"])
def test_interactions_and_items(tmp_path: Path, below: str) -> None:
    events = put(tmp_path / below, "ml.inter", EVENTS)
    items = put(tmp_path / below, "ml.item", ITEM)
    raw = RecBole(str(tmp_path)).read("ml")
    assert raw.interactions.collect().rows() == [
        ("196", "242", 3.0, 881250949, None, None),
        ("186", "302", 3.5, 891717742, None, None),
    ]
    assert raw.items.collect().rows() == [
        ("242", 'The "Kolya"', None, "Comedy", *[None] * 5),
        ("7", "Twelve Monkeys", None, "Drama Sci-Fi", *[None] * 5),
        ("302", *[None] * 8),
    ]
    assert (raw.name, raw.files, raw.n_lines, raw.n_malformed) == ("ml", (events, items), 2, 0)


def test_other_columns(tmp_path: Path) -> None:
    put(tmp_path, "shop.inter", "sku:token\tuid:token\nB1\tu1\n")
    put(tmp_path, "shop.item", "sku:token\tcategories:token_seq\tbrand:token\nB1\tHome, Bath\tX\n")
    raw = RecBole(str(tmp_path), {"user_id": "uid", "item_id": "sku"}).read("shop")
    assert raw.interactions.collect().row(0) == ("u1", "B1", None, None, None, None)
    assert raw.items.collect().row(0) == ("B1", None, None, "Home, Bath", "X", *[None] * 4)


@pytest.mark.parametrize(
    ("header", "row", "expected"),
    [
        (  # lastfm
            "item_id:token\tname:token_seq\turl:token\tpictureURL:token",
            "1\tMALICE MIZER\thttp://www.last.fm/music/MALICE+MIZER\thttp://a/10808.jpg",
            {"title": "MALICE MIZER", "image": "http://a/10808.jpg"},
        ),
        (  # book-crossing
            "item_id:token\tbook_title:token_seq\tbook_author:token_seq\tpublisher:token_seq",
            "1\tClara Callan\tRichard Wright\tHarperFlamingo",
            {"title": "Clara Callan", "brand": "Richard Wright"},
        ),
        (  # steam
            "app_name:token\tdeveloper:token\tgenres:token_seq\titem_id:token\tspecs:token_seq"
            "\ttags:token_seq",
            "Lost\tKotoshiro\tAction Indie\t1\tSingle-player Co-op\tStrategy Action",
            {
                "title": "Lost",
                "brand": "Kotoshiro",
                "categories": "Action Indie",
                "features": "Single-player Co-op",
                "keywords": "Strategy Action",
            },
        ),
    ],
)
def test_the_names_of_published_data_sets(
    tmp_path: Path, header: str, row: str, expected: dict[str, str]
) -> None:
    put(tmp_path, "x.inter", "user_id:token\titem_id:token\nu\t1\n")
    put(tmp_path, "x.item", f"{header}\n{row}\n")
    item = RecBole(str(tmp_path)).read("x").items.collect().row(0, named=True)
    assert {column: text for column, text in item.items() if text} == {"item_id": "1"} | expected


def test_interactions_put_down_in_a_folder_are_the_same(tmp_path: Path) -> None:
    put(tmp_path, "ml.inter", EVENTS)
    (tmp_path / "scratch").mkdir()
    held, lazy = (RecBole(str(tmp_path)).read("ml", s) for s in (None, tmp_path / "scratch"))
    assert list((tmp_path / "scratch").iterdir())
    assert lazy.interactions.collect().equals(held.interactions.collect())


def test_missing_column(tmp_path: Path) -> None:
    put(tmp_path, "shop.inter", "uid:token\titem_id:token\nu1\tB1\n")
    with pytest.raises(UserError, match=r"line 1: no column for user_id; found uid:token, item_id"):
        RecBole(str(tmp_path)).read("shop")
    with pytest.raises(UserError, match="columns maps user, which is not one of user_id"):
        RecBole(str(tmp_path), {"user": "uid"})


def test_malformed_lines(tmp_path: Path) -> None:
    put(tmp_path, "ml.inter", EVENTS + "1\t2\tthree\t4\n5\n")
    with pytest.raises(UserError, match=r"2 of 4 lines.*line 4"):
        RecBole(str(tmp_path)).read("ml")
    assert RecBole(str(tmp_path), max_malformed=0.5).read("ml").n_malformed == 2


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"ml\.inter is neither in .*data=marketplace"):
        RecBole(str(tmp_path)).read("ml")
