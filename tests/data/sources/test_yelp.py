"""The Open Dataset of any year, its archives, and what is said when something is missing."""

import gzip
import io
import json
import tarfile
import zipfile
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import CATEGORIES, FEATURES, INTERACTION_COLUMNS, ITEM, TITLE
from crossrec.data.sources.yelp import NAMES, Yelp
from crossrec.errors import UserError

REVIEWS = [
    {
        "review_id": "KU_O5udG6zpxOg-VcAEodg",
        "user_id": "mh_-eMZ6K5RLWhZyISBhwA",
        "business_id": "XQfwVwDr-v0ZS3_CbbE5Xw",
        "stars": 3.0,
        "useful": 0,
        "funny": 0,
        "cool": 0,
        "text": "If you decide to eat here, just be aware.\n\nThe food is good.",
        "date": "2018-07-07 22:09:11",
    },
    {
        "review_id": "BiTunyQ73aT9WBnpR9DZGw",
        "user_id": "OyoGAe7OKpv6SyGZT5g77Q",
        "business_id": "7ATYjTIgM3jUlt4UM3IypQ",
        "stars": 5.0,
        "useful": 1,
        "funny": 0,
        "cool": 1,
        "text": "",
        "date": "2012-01-03 15:28:18",
    },
]
BUSINESSES = [
    {
        "business_id": "XQfwVwDr-v0ZS3_CbbE5Xw",
        "name": "Turning Point of North &amp; Wales",
        "address": "1460 Bethlehem Pike",
        "city": "North Wales",
        "state": "PA",
        "postal_code": "19454",
        "latitude": 40.2101961875,
        "longitude": -75.2236385919,
        "stars": 3.0,
        "review_count": 169,
        "is_open": 1,
        "attributes": {
            "NoiseLevel": "u'average'",
            "HasTV": "False",
            "RestaurantsAttire": "'casual'",
            "BusinessParking": "{'garage': False, 'street': None, 'lot': True, 'valet': True}",
            "Ambience": "{'touristy': False, 'classy': False}",
            "GoodForMeal": "None",
            "Alcohol": "u'beer_and_wine'",
            "RestaurantsPriceRange2": "2",
            "OutdoorSeating": "True",
        },
        "categories": "Restaurants, Beer, Wine & Spirits, Breakfast & Brunch",
        "hours": {"Monday": "7:30-15:0"},
    },
    {
        "business_id": "7ATYjTIgM3jUlt4UM3IypQ",
        "name": "Body Cycle Spinning Studio",
        "city": "Philadelphia",
        "state": "PA",
        "attributes": None,
        "categories": None,
        "hours": None,
    },
]
OLD_REVIEW = {
    "votes": {"funny": 0, "useful": 2, "cool": 1},
    "user_id": "Xqd0DzHaiyRqVH3WRG7hzg",
    "review_id": "15SdjuK7DmYqUAj6rjGowg",
    "stars": 5,
    "date": "2007-05-17",
    "text": "dr. goldberg offers everything i look for.",
    "type": "review",
    "business_id": "vcNAWiLM4dR7D2nwwJ7nCA",
}
OLD_BUSINESS = {
    "business_id": "vcNAWiLM4dR7D2nwwJ7nCA",
    "full_address": "4840 E Indian School Rd\nPhoenix, AZ 85018",
    "open": True,
    "categories": ["Doctors", "Used, Vintage & Consignment", "Health & Medical"],
    "city": "Phoenix",
    "name": "Eric Goldberg, MD",
    "neighborhoods": [],
    "state": "AZ",
    "stars": 3.5,
    "attributes": {
        "By Appointment Only": True,
        "Parking": {"garage": False, "lot": True},
        "Price Range": 2,
        "Take-out": False,
    },
    "type": "business",
}


def text(*objects: dict) -> bytes:
    return "".join(json.dumps(item) + "\n" for item in objects).encode()


def put(folder: Path, reviews: bytes, businesses: bytes, ending: str = "") -> tuple[Path, Path]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = (folder / (NAMES[0] + ending), folder / (NAMES[1] + ending))
    for path, content in zip(paths, (reviews, businesses), strict=True):
        path.write_bytes(gzip.compress(content) if ending else content)
    return paths


@pytest.mark.parametrize("ending", ["", ".gz"])
@pytest.mark.parametrize("folder", ["", "yelp"])
def test_reviews_and_businesses(tmp_path: Path, ending: str, folder: str) -> None:
    paths = put(tmp_path / folder, text(*REVIEWS), text(*BUSINESSES), ending)
    raw = Yelp(str(tmp_path)).read("yelp")
    assert (raw.name, raw.files, raw.n_lines, raw.n_malformed) == ("yelp", paths, 2, 0)
    events = raw.interactions.collect()
    assert events.columns == list(INTERACTION_COLUMNS)
    review = "If you decide to eat here, just be aware.\n\nThe food is good."
    assert events.rows() == [
        ("mh_-eMZ6K5RLWhZyISBhwA", "XQfwVwDr-v0ZS3_CbbE5Xw", 3.0, 1531001351, None, review),
        ("OyoGAe7OKpv6SyGZT5g77Q", "7ATYjTIgM3jUlt4UM3IypQ", 5.0, 1325604498, None, None),
    ]
    features = (
        "North Wales, PA, Noise Level average, Restaurants Attire casual, Business Parking lot "
        "valet, Alcohol beer and wine, Restaurants Price Range 2, Outdoor Seating"
    )
    path = "Restaurants > Beer, Wine & Spirits > Breakfast & Brunch"
    assert raw.items.collect().select(ITEM, TITLE, CATEGORIES, FEATURES).rows() == [
        ("XQfwVwDr-v0ZS3_CbbE5Xw", "Turning Point of North & Wales", path, features),
        ("7ATYjTIgM3jUlt4UM3IypQ", "Body Cycle Spinning Studio", None, "Philadelphia, PA"),
    ]


def test_the_format_until_2017(tmp_path: Path) -> None:
    put(tmp_path, text(OLD_REVIEW), text(OLD_BUSINESS))
    raw = Yelp(str(tmp_path)).read("yelp")
    assert raw.interactions.collect().row(0)[2:4] == (5.0, 1179360000)
    features = "Phoenix, AZ, By Appointment Only, Parking lot, Price Range 2"
    path = "Doctors > Used, Vintage & Consignment > Health & Medical"
    assert raw.items.collect().select(TITLE, CATEGORIES, FEATURES).row(0) == (
        "Eric Goldberg, MD",
        path,
        features,
    )


def test_reviews_may_be_left_out_and_rows_put_down(tmp_path: Path) -> None:
    put(tmp_path, text(*REVIEWS), text(*BUSINESSES))
    (tmp_path / "scratch").mkdir()
    held = Yelp(str(tmp_path)).read("yelp").interactions.collect()
    down = Yelp(str(tmp_path)).read("yelp", tmp_path / "scratch").interactions.collect()
    bare = Yelp(str(tmp_path), reviews=False).read("yelp").interactions.collect()
    assert down.equals(held)
    assert bare["review"].null_count() == 2
    assert bare.drop("review").equals(held.drop("review"))


def tar(path: Path, mode: str, files: dict[str, bytes]) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return path


@pytest.mark.parametrize("mode", ["w:", "w:gz"])
def test_the_archive_of_yelp(tmp_path: Path, mode: str) -> None:
    files = {"Dataset_User_Agreement.pdf": b"%PDF", f"./{NAMES[1]}": text(*BUSINESSES)}
    files |= {"yelp_academic_dataset_tip.json": b"{}\n", NAMES[0]: text(*REVIEWS)}
    archive = tar(tmp_path / "yelp_dataset.tar", mode, files)
    raw = Yelp(str(tmp_path)).read("yelp")
    assert raw.files == (tmp_path / "yelp" / NAMES[0], tmp_path / "yelp" / NAMES[1])
    assert raw.n_lines == 2
    assert not (tmp_path / "yelp" / "yelp_academic_dataset_tip.json").exists()
    archive.unlink()  # once unpacked it is not needed
    assert Yelp(str(tmp_path)).files("yelp") == raw.files


def test_the_tar_in_a_zip(tmp_path: Path) -> None:
    files = {NAMES[0]: text(*REVIEWS), NAMES[1]: text(*BUSINESSES)}
    inner = tar(tmp_path / "inner.tar", "w:gz", files)
    with zipfile.ZipFile(tmp_path / "Yelp-JSON.zip", "w") as archive:
        archive.write(inner, "Yelp JSON/yelp_dataset.tar")
        archive.writestr("__MACOSX/Yelp JSON/._yelp_dataset.tar", b"x")
    assert Yelp(str(tmp_path)).read("yelp").n_lines == 2


def test_an_archive_that_is_damaged_or_holds_something_else(tmp_path: Path) -> None:
    archive = tmp_path / "yelp_dataset.tar"
    archive.write_bytes(b"not a tar" * 100)
    with pytest.raises(UserError, match=r"yelp_dataset\.tar"):
        Yelp(str(tmp_path)).files("yelp")
    tar(archive, "w:", {NAMES[1]: text(*BUSINESSES)})
    with pytest.raises(UserError, match=f"{NAMES[0]} of the Yelp"):
        Yelp(str(tmp_path)).files("yelp")


def test_missing_files_say_that_terms_are_to_be_accepted(tmp_path: Path) -> None:
    with pytest.raises(UserError) as error:
        Yelp(str(tmp_path)).read("yelp")
    site = "https://business.yelp.com/data/resources/open-dataset/"
    parts = (*NAMES, "yelp_dataset.tar", site, "Accept the terms", str(tmp_path / "yelp"))
    for part in (*parts, "data=marketplace"):
        assert part in str(error.value)


def test_other_domains(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"one domain, yelp .*got 'Restaurants'"):
        Yelp(str(tmp_path)).files("Restaurants")


def test_malformed_lines_are_counted_and_named(tmp_path: Path) -> None:
    bad = [
        {**REVIEWS[0], "date": "July 7, 2018"},
        {**REVIEWS[0], "stars": "good"},
        {"user_id": "a", "business_id": "b"},
    ]
    put(tmp_path, text(*REVIEWS, *bad) + b'{"user_id": "cut\n' + text(*REVIEWS), text(*BUSINESSES))
    raw = Yelp(str(tmp_path), max_malformed=0.5).read("yelp")
    assert (raw.n_lines, raw.n_malformed, raw.interactions.collect().height) == (8, 4, 4)
    with pytest.raises(UserError, match=rf"{NAMES[0]}: 4 of 8 .*line 3.*stars, date"):
        Yelp(str(tmp_path)).read("yelp")


def test_the_wrong_file(tmp_path: Path) -> None:
    put(tmp_path, text(*BUSINESSES), text(*BUSINESSES))
    with pytest.raises(UserError, match=r"2 of 2 .*user_id, business_id, stars, date"):
        Yelp(str(tmp_path)).read("yelp")


ID = st.text("abcXYZ019_-", min_size=22, max_size=22)
TIME = st.datetimes(datetime(2004, 1, 1), datetime(2024, 1, 1)).map(
    lambda t: t.replace(microsecond=0)
)
ROW = st.tuples(ID, ID, st.integers(1, 5), TIME, st.text(st.characters(codec="utf-8"), min_size=1))


@settings(max_examples=30, deadline=None)
@given(st.lists(ROW, min_size=1, max_size=8))
def test_random_reviews_come_back_as_they_were_written(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[str, str, int, datetime, str]]
) -> None:
    folder = tmp_path_factory.mktemp("yelp")
    names = ("user_id", "business_id", "stars", "date", "text")
    written = [dict(zip(names, (u, i, float(s), str(t), r), strict=True)) for u, i, s, t, r in rows]
    put(folder, text(*written), text(*BUSINESSES))
    raw = Yelp(str(folder)).read("yelp")
    start = datetime(1970, 1, 1)
    assert raw.interactions.collect().rows() == [
        (u, i, float(s), int((t - start).total_seconds()), None, r) for u, i, s, t, r in rows
    ]
