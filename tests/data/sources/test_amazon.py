"""The three releases in exactly their published formats, and what is said when they are not."""

import gzip
import json
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import polars as pl
import pytest

from crossrec.data.columns import INTERACTION_COLUMNS, ITEM_COLUMNS
from crossrec.data.sources import amazon
from crossrec.data.sources.amazon import Amazon
from crossrec.errors import UserError

IMAGES = "https://m.media-amazon.com/images/I"
USERS = ("A2SUAM1J3GNN3B", "A00473363TJ8YSZ3YAGG9", "AGKHLEW2SOWHNMFQIJGBECAF7INQ")

REVIEWS_2023 = [
    {
        "rating": 5.0,
        "title": "Such a lovely scent",
        "text": "This spray is really nice.<br />Great.",
        "images": [],
        "asin": "B00YQ6X8EO",
        "parent_asin": "B00YQ6X8EP",
        "user_id": USERS[2],
        "timestamp": 1588687728923,
        "helpful_vote": 0,
        "verified_purchase": True,
    },
    {
        "rating": 2.0,
        "title": "",
        "text": "",
        "images": [{"small_image_url": "https://m.media-amazon.com/images/I/71.jpg"}],
        "asin": "B07PNNCSP9",
        "parent_asin": "B097R46CSY",
        "user_id": USERS[2],
        "timestamp": 978307199999,
        "helpful_vote": 2,
        "verified_purchase": False,
    },
]
METADATA_2023 = [
    {
        "main_category": "All Beauty",
        "title": "Howard LC0008 Leather Conditioner &amp; Cleaner",
        "average_rating": 4.8,
        "rating_number": 10,
        "features": ["Cleans <b>leather</b>", "No stains"],
        "description": ["Made from", "beeswax."],
        "price": None,
        "images": [
            {
                "thumb": f"{IMAGES}/2._SS40_.jpg",
                "large": f"{IMAGES}/2.jpg",
                "variant": "PT01",
                "hi_res": f"{IMAGES}/2._SL1500_.jpg",
            },
            {
                "thumb": f"{IMAGES}/1._SS40_.jpg",
                "large": f"{IMAGES}/1.jpg",
                "variant": "MAIN",
                "hi_res": f"{IMAGES}/1._SL1500_.jpg",
            },
        ],
        "videos": [],
        "store": "Howard Products",
        "categories": ["Automotive", "Interior Care"],
        "details": {"Package Dimensions": "7.1 x 5.5 x 3 inches", "UPC": "617390882781"},
        "parent_asin": "B00YQ6X8EP",
        "bought_together": None,
    },
    {
        "main_category": "All Beauty",
        "title": "A second row of the same item",
        "features": [],
        "description": [],
        "price": "—",
        "store": None,
        "categories": [],
        "details": {},
        "parent_asin": "B00YQ6X8EP",
    },
    {
        "main_category": "All Beauty",
        "title": "Nobody bought this",
        "features": ["Made to last.", "", "Blue "],
        "description": [],
        "price": 1.5,
        "images": [
            {
                "thumb": f"{IMAGES}/3._SS40_.jpg",
                "large": f"{IMAGES}/3.jpg",
                "variant": "MAIN",
                "hi_res": None,
            }
        ],
        "store": None,
        "categories": [],
        "details": {},
        "parent_asin": "B000000009",
    },
]
REVIEW_2018 = {
    "image": ["https://images-na.ssl-images-amazon.com/images/I/71eG75FTJJL._SY88.jpg"],
    "overall": 4.0,
    "vote": "2",
    "verified": True,
    "reviewTime": "01 1, 2018",
    "reviewerID": USERS[0],
    "asin": "5120053084",
    "style": {"Size:": "Large", "Color:": "Charcoal"},
    "reviewerName": "Abbey",
    "reviewText": "I now have 4 of the 5 available colors.",
    "summary": "Comfy, flattering, discreet",
    "unixReviewTime": 1514764800,
}
METADATA_2018 = {
    "category": ["Electronics", "Camera &amp; Photo"],
    "tech1": "",
    "description": ["A tripod.", "Two legs."],
    "fit": "",
    "title": "Tripod",
    "also_buy": ["B00JHONN1S"],
    "imageURL": [f"{IMAGES}/41eG._SS40_.jpg", f"{IMAGES}/51eG._SS40_.jpg"],
    "imageURLHighRes": [f"{IMAGES}/41eG.jpg", f"{IMAGES}/51eG.jpg"],
    "tech2": "",
    "brand": "by\n    \n    Coxlures",
    "feature": ["Botiquecutie trademark"],
    "rank": ["2,081,098 in Clothing"],
    "also_view": [],
    "main_cat": "Camera & Photo",
    "similar_item": "",
    "date": "",
    "price": "$3.17",
    "asin": "5120053084",
}
REVIEW_2014 = {
    "reviewerID": USERS[0],
    "asin": "0000013714",
    "reviewerName": 'J. McDonald "Jim"',
    "helpful": [2, 3],
    "reviewText": "I bought this for my husband who plays the piano.",
    "overall": 5.0,
    "summary": "Heavenly Highway Hymns",
    "unixReviewTime": 1252800000,
    "reviewTime": "09 13, 2009",
}
METADATA_2014 = {
    "asin": "0000013714",
    "title": 'Girl\'s Ballet Tutu Zebra "Hot Pink"',
    "price": 3.17,
    "imUrl": "http://ecx.images-amazon.com/images/I/51fAmVkTbyL._SY300_.jpg",
    "related": {"also_bought": ["B00JHONN1S"], "bought_together": ["B002BZX8Z6"]},
    "salesRank": {"Toys & Games": 211836},
    "brand": "Coxlures",
    "description": "A tutu.",
    "categories": [["Sports & Outdoors", "Other Sports", "Dance"], ["Clothing"]],
}


def put(path: Path, lines: list[str]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = "".join(line + "\n" for line in lines).encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
    return path


def dumped(*objects: dict) -> list[str]:
    return [json.dumps(item) for item in objects]


def reader(release: str, folder: Path, max_malformed: float = 0.01) -> Amazon:
    return Amazon(release, str(folder), download=False, max_malformed=max_malformed)


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", ["", "amazon2023"])
def test_2023(tmp_path: Path, ending: str, folder: str) -> None:
    reviews = put(tmp_path / folder / f"All_Beauty.jsonl{ending}", dumped(*REVIEWS_2023))
    meta = put(tmp_path / folder / f"meta_All_Beauty.jsonl{ending}", dumped(*METADATA_2023))
    raw = reader("2023", tmp_path).read("All_Beauty")
    assert (raw.name, raw.files, raw.n_lines, raw.n_malformed) == (
        "All_Beauty",
        (reviews, meta),
        2,
        0,
    )
    events, items = raw.interactions.collect(), raw.items.collect()
    assert events.columns == list(INTERACTION_COLUMNS)
    assert events.dtypes == [pl.String, pl.String, pl.Float32, pl.Int64, pl.Int64, pl.String]
    text = "Such a lovely scent\nThis spray is really nice.<br />Great."
    assert events.rows() == [
        (USERS[2], "B00YQ6X8EP", 5.0, 1588687728, None, text),
        (USERS[2], "B097R46CSY", 2.0, 978307199, None, None),
    ]
    assert items.columns == list(ITEM_COLUMNS)
    assert items.rows() == [
        (
            "B00YQ6X8EP",
            "Howard LC0008 Leather Conditioner & Cleaner",
            "Made from beeswax.",
            "Automotive > Interior Care",
            "Howard Products",
            None,
            "Cleans leather No stains",
            f"{IMAGES}/1._SL1500_.jpg",
            None,
        ),
        (
            "B000000009",
            "Nobody bought this",
            None,
            "All Beauty",
            None,
            None,
            "Made to last. Blue",
            f"{IMAGES}/3.jpg",
            None,
        ),
        ("B097R46CSY", *[None] * 8),
    ]


@pytest.mark.parametrize("name", ["Electronics.json.gz", "Electronics_5.json.gz"])
def test_2018(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, dumped(REVIEW_2018))
    junk = '<script>var aPageStart = (new Date()).getTime();</script>"'
    other = METADATA_2018 | {
        "asin": "B000000001",
        "title": junk,
        "description": "Not a list",
        "imageURLHighRes": [],
    }
    put(tmp_path / "meta_Electronics.json.gz", dumped(METADATA_2018, other))
    raw = reader("2018", tmp_path).read("Electronics")
    text = "Comfy, flattering, discreet\nI now have 4 of the 5 available colors."
    assert raw.interactions.collect().rows() == [
        (USERS[0], "5120053084", 4.0, 1514764800, None, text)
    ]
    known = ("Electronics > Camera & Photo", "Coxlures", None, "Botiquecutie trademark")
    assert raw.items.collect().rows() == [
        ("5120053084", "Tripod", "A tripod. Two legs.", *known, f"{IMAGES}/41eG.jpg", None),
        ("B000000001", None, "Not a list", *known, f"{IMAGES}/41eG._SS40_.jpg", None),
    ]


@pytest.mark.parametrize("name", ["reviews_Toys.json.gz", "reviews_Toys_5.json.gz"])
def test_2014_with_metadata_as_python_literals(tmp_path: Path, name: str) -> None:
    put(tmp_path / name, dumped(REVIEW_2014))
    put(tmp_path / "meta_Toys.json.gz", [repr(METADATA_2014)])
    raw = reader("2014", tmp_path).read("Toys")
    text = "Heavenly Highway Hymns\nI bought this for my husband who plays the piano."
    assert raw.interactions.collect().rows() == [
        (USERS[0], "0000013714", 5.0, 1252800000, None, text)
    ]
    title = 'Girl\'s Ballet Tutu Zebra "Hot Pink"'
    path = "Sports & Outdoors > Other Sports > Dance"
    assert raw.items.collect().rows() == [
        (
            "0000013714",
            title,
            "A tutu.",
            path,
            "Coxlures",
            None,
            None,
            "http://ecx.images-amazon.com/images/I/51fAmVkTbyL._SY300_.jpg",
            None,
        )
    ]


@pytest.mark.parametrize(
    ("release", "name", "lines"),
    [
        ("2014", "ratings_Toys.csv", ["{user},{item},5.0,1252800000"]),
        ("2018", "Toys.csv", ["{item},{user},5.0,1252800000"]),
        (
            "2023",
            "Toys.csv.gz",
            ["user_id,parent_asin,rating,timestamp", "{user},{item},5.0,1252800000123"],
        ),
    ],
)
def test_ratings_only_with_their_own_order_of_user_and_item(
    tmp_path: Path, release: str, name: str, lines: list[str]
) -> None:
    put(tmp_path / name, [line.format(user=USERS[0], item="B00YQ6X8EO") for line in lines])
    raw = reader(release, tmp_path).read("Toys")
    assert raw.interactions.collect().rows() == [
        (USERS[0], "B00YQ6X8EO", 5.0, 1252800000, None, None)
    ]
    assert raw.items.collect().rows() == [("B00YQ6X8EO", *[None] * 8)]
    assert (raw.n_lines, len(raw.files)) == (1, 1)


def test_reviews_may_be_left_out(tmp_path: Path) -> None:
    put(tmp_path / "Toys.jsonl", dumped(*REVIEWS_2023))
    put(tmp_path / "meta_Toys.jsonl", dumped(*METADATA_2023))
    with_text = reader("2023", tmp_path).read("Toys").interactions.collect()
    raw = Amazon("2023", str(tmp_path), download=False, reviews=False).read("Toys")
    events = raw.interactions.collect()
    assert events["review"].null_count() == 2
    assert events.drop("review").equals(with_text.drop("review"))


@pytest.mark.parametrize(
    ("images", "main"),
    [
        (None, None),
        ([], None),
        ("no list of images", None),
        ([{"large": "https://a/1.jpg", "hi_res": None, "thumb": "https://a/0.jpg"}], "1.jpg"),
        ([{"thumb": "https://a/0.jpg", "variant": "PT01"}], "0.jpg"),
        ({"hi_res": [None], "large": ["https://a/1.jpg"], "variant": ["MAIN"]}, "1.jpg"),
    ],
)
def test_images_of_any_shape_do_no_harm(tmp_path: Path, images: object, main: str | None) -> None:
    put(tmp_path / "Toys.jsonl", dumped(*REVIEWS_2023))
    put(tmp_path / "meta_Toys.jsonl", dumped(METADATA_2023[0] | {"images": images}))
    item = reader("2023", tmp_path).read("Toys").items.collect().row(0, named=True)
    assert item["title"] is not None
    assert item["image"] == (main and f"https://a/{main}")


def test_the_release_is_recognized_by_its_fields_not_by_its_name(tmp_path: Path) -> None:
    put(tmp_path / "Toys.json.gz", dumped(REVIEW_2014))
    with pytest.raises(UserError, match=r"reviews of Amazon 2014, but Amazon 2018.*amazon2014"):
        reader("2018", tmp_path).read("Toys")
    put(tmp_path / "Toys.csv", [f"{USERS[0]},B00YQ6X8EO,5.0,1252800000"])
    (tmp_path / "Toys.json.gz").unlink()
    with pytest.raises(UserError, match=r"ratings of Amazon 2014, but Amazon 2018"):
        reader("2018", tmp_path).read("Toys")


def test_metadata_of_another_release(tmp_path: Path) -> None:
    put(tmp_path / "Toys.json.gz", dumped(REVIEW_2018))
    put(tmp_path / "meta_Toys.json.gz", [repr(METADATA_2014)])
    with pytest.raises(UserError, match=r"meta_Toys.*metadata of Amazon 2014, but Amazon 2018"):
        reader("2018", tmp_path).read("Toys")
    put(tmp_path / "amazon2018" / "meta_Toys.json.gz", dumped(METADATA_2018))
    assert len(reader("2018", tmp_path).read("Toys").files) == 2  # its own folder comes first


def test_files_that_are_no_reviews(tmp_path: Path) -> None:
    put(tmp_path / "Toys.jsonl", ['{"hello": "world"}'])
    with pytest.raises(UserError, match=r"Toys\.jsonl, line 1: expected Amazon 2023 reviews"):
        reader("2023", tmp_path).read("Toys")
    put(tmp_path / "Toys.jsonl", dumped(*METADATA_2023))
    with pytest.raises(UserError, match=r"expected.*reviews or ratings, found Amazon 2023 meta"):
        reader("2023", tmp_path).read("Toys")


def test_a_malformed_first_line_is_counted_like_any_other(tmp_path: Path) -> None:
    put(tmp_path / "Toys.jsonl", ['{"rating": 5.0, "ti', *dumped(*REVIEWS_2023)])
    put(tmp_path / "meta_Toys.jsonl", dumped(*METADATA_2023))
    raw = reader("2023", tmp_path, max_malformed=0.5).read("Toys")
    assert (raw.n_lines, raw.n_malformed) == (3, 1)
    with pytest.raises(UserError, match=r"1 of 3 lines \(33\.33%\).*line 1"):
        reader("2023", tmp_path).read("Toys")


@pytest.mark.parametrize(
    ("release", "missing", "url"),
    [
        ("2023", "Toys.jsonl.gz", "amazon_2023/raw/review_categories/Toys.jsonl.gz"),
        ("2018", "Toys_5.json.gz", "amazon_v2/categoryFilesSmall/Toys_5.json.gz"),
        ("2014", "reviews_Toys_5.json.gz", "productGraph/categoryFiles/reviews_Toys_5.json.gz"),
    ],
)
def test_missing_reviews_say_where_to_get_them(
    tmp_path: Path, release: str, missing: str, url: str
) -> None:
    with pytest.raises(UserError) as error:
        reader(release, tmp_path).read("Toys")
    for part in (missing, url, str(tmp_path / f"amazon{release}"), "data=marketplace"):
        assert part in str(error.value)


def test_missing_metadata_say_where_to_get_them(tmp_path: Path) -> None:
    put(tmp_path / "Toys.jsonl", dumped(*REVIEWS_2023))
    with pytest.raises(UserError, match=r"raw/meta_categories/meta_Toys\.jsonl\.gz.*marketplace"):
        reader("2023", tmp_path).read("Toys")


def test_wrong_arguments(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="release must be one of 2014, 2018, 2023, got '2020'"):
        reader("2020", tmp_path)
    with pytest.raises(UserError, match="written as in the file names"):
        reader("2023", tmp_path).read("../Toys")


def test_missing_files_are_fetched_into_the_folder_of_the_release(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "web" / "Toys.jsonl.gz", dumped(*REVIEWS_2023))
    put(tmp_path / "web" / "meta_Toys.jsonl.gz", dumped(*METADATA_2023))
    handler = partial(SimpleHTTPRequestHandler, directory=str(tmp_path / "web"))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        root = f"http://127.0.0.1:{server.server_address[1]}"
        monkeypatch.setitem(amazon.REVIEWS_URL, "2023", root + "/{}.jsonl.gz")
        monkeypatch.setitem(amazon.METADATA_URL, "2023", root + "/meta_{}.jsonl.gz")
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        raw = Amazon("2023", str(tmp_path / "data")).read("Toys")
        with pytest.raises(UserError, match=r"Books\.jsonl\.gz is not in .* says 404"):
            Amazon("2023", str(tmp_path / "data")).read("Books")
        server.shutdown()
        thread.join()
    place = tmp_path / "data" / "amazon2023"
    assert raw.files == (place / "Toys.jsonl.gz", place / "meta_Toys.jsonl.gz")
    assert raw.n_lines == 2


def test_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(amazon.REVIEWS_URL, "2023", "http://127.0.0.1:1/{}.jsonl.gz")
    with pytest.raises(UserError, match=r"cannot download http://127\.0\.0\.1:1/Toys.*marketplace"):
        Amazon("2023", str(tmp_path)).read("Toys")
    assert not list(tmp_path.iterdir())
