import gzip
import hashlib
import inspect
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import yaml

from crossrec.data.columns import INTERACTION_COLUMNS, ITEM_COLUMNS
from crossrec.data.simulation import marketplace
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.errors import UserError

SIZES = {
    "home": {"users": 60, "shared_users": 30, "items": 50},
    "electronics": {"users": 40, "shared_users": 20, "items": 40},
}
REVIEW_FIELDS = [
    *("rating", "title", "text", "images", "asin", "parent_asin", "user_id", "timestamp"),
    *("helpful_vote", "verified_purchase"),
]
METADATA_FIELDS = {
    *("main_category", "title", "average_rating", "rating_number", "features", "description"),
    *("price", "images", "videos", "store", "categories", "details", "parent_asin"),
    "bought_together",
}
CONF = Path(__file__).resolve().parents[3] / "conf" / "data" / "marketplace.yaml"


def small(folder: Path, relatedness: float = 0.7, seed: int = 0) -> Marketplace:
    return Marketplace(folder, relatedness, seed, 2.0, SIZES)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.iterdir())
    }


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Marketplace:
    market = small(tmp_path_factory.mktemp("market"))
    market.generate()
    return market


def test_same_parameters_give_the_same_bytes_in_another_process(
    market: Marketplace, tmp_path: Path
) -> None:
    script = (
        "from crossrec.data.simulation.marketplace import Marketplace\n"
        f"print(Marketplace({str(tmp_path)!r}, 0.7, 0, 2.0, {SIZES!r}).generate())"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert digests(tmp_path / market.folder.name) == digests(market.folder)
    assert len(digests(market.folder)) == 8


@pytest.mark.parametrize(("relatedness", "seed"), [(0.6, 0), (0.7, 1)])
def test_other_parameters_give_another_folder_and_other_purchases(
    market: Marketplace, tmp_path: Path, relatedness: float, seed: int
) -> None:
    other = small(tmp_path, relatedness, seed).generate()
    assert other.name != market.folder.name
    assert digests(other)["home.jsonl.gz"] != digests(market.folder)["home.jsonl.gz"]


def test_files_have_the_fields_of_the_2023_release(market: Marketplace) -> None:
    with gzip.open(market.folder / "home.jsonl.gz", "rt", encoding="utf-8") as file:
        reviews = [json.loads(line) for line in file]
    with gzip.open(market.folder / "meta_home.jsonl.gz", "rt", encoding="utf-8") as file:
        products = [json.loads(line) for line in file]
    assert all(list(review) == REVIEW_FIELDS for review in reviews)
    assert all(set(product) == METADATA_FIELDS for product in products)
    assert len(products) == 50
    times = [review["timestamp"] for review in reviews]
    assert times == sorted(times)
    assert min(times) >= 1_577_836_800_000  # 2020-01-01 in milliseconds
    rated = [review["rating"] for review in reviews if review["asin"] == products[0]["parent_asin"]]
    assert products[0]["rating_number"] == len(rated)


def test_is_read_as_real_reviews_are(market: Marketplace) -> None:
    raw = market.read("electronics")
    interactions, items = raw.interactions.collect(), raw.items.collect()
    assert set(interactions.columns) == set(INTERACTION_COLUMNS)
    assert set(items.columns) == set(ITEM_COLUMNS)
    assert raw.n_malformed == 0
    assert raw.n_lines == len(interactions)
    assert interactions["user_id"].n_unique() == 40
    assert items["item_id"].n_unique() == 40
    assert items["title"].null_count() == items["categories"].null_count() == 0


def test_domains_have_the_shared_users_in_common_and_no_item(market: Marketplace) -> None:
    home, electronics = market.oracle("home"), market.oracle("electronics")
    assert len(set(home.users) & set(electronics.users)) == 20
    assert not set(home.items) & set(electronics.items)


def test_oracle_knows_everybody_who_is_read(market: Marketplace) -> None:
    interactions = market.read("home").interactions.collect()
    oracle = market.oracle("home")
    assert set(interactions["user_id"]) <= set(oracle.users)
    assert set(interactions["item_id"]) <= set(oracle.items)
    assert oracle.utility(oracle.users[:3]).shape == (3, 50)


@pytest.mark.parametrize("relatedness", [2, -0.1, float("nan"), "high"])
def test_refuses_relatedness_outside_its_range(tmp_path: Path, relatedness: float) -> None:
    with pytest.raises(UserError, match=r"data\.relatedness must be between 0 and 1, got"):
        Marketplace(tmp_path, relatedness, 0, 2.0)


def test_refuses_other_parameters_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed must be >= 0, got -1"):
        Marketplace(tmp_path, 0.5, -1, 2.0)
    with pytest.raises(UserError, match=r"data\.reader\.strength must be between 0 and 20, got -3"):
        Marketplace(tmp_path, 0.5, 0, -3)
    with pytest.raises(UserError, match=r"no domain 'garden'; there are kits of electronics, home"):
        Marketplace(tmp_path, 0.5, 0, 2.0).read("garden")
    with pytest.raises(UserError, match="no domain 'garden'"):
        Marketplace(tmp_path, 0.5, 0, 2.0, {"garden": {"users": 5}})


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = marketplace.write_domain, []

    def interrupted(folder: Path, domain: str, *rest: object) -> None:
        if written:
            raise KeyboardInterrupt
        written.append(domain)
        write(folder, domain, *rest)

    monkeypatch.setattr(marketplace, "write_domain", interrupted)
    with pytest.raises(KeyboardInterrupt):
        small(tmp_path).generate()
    assert written
    assert list(tmp_path.iterdir()) == []


def test_says_where_it_could_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"set paths\.data to another folder"):
        small(tmp_path / "file").generate()


def test_a_domain_is_a_kit_and_no_python(tmp_path: Path) -> None:
    kit = {
        "category": "Garden",
        "market": {"users": 30, "shared_users": 9, "items": 25, "events": 4, "opens": 0.2},
        "brands": ["Spadeworks", "Mulchly"],
        "features": ["Frostproof", "Telescopic", "Composted"],
        "types": {
            "Soil": {"Trowel": {"price": 12, "sizes": ["20 cm"]}},
            "Watering": {"Sprinkler": {"price": 30, "sizes": ["Small", "Big"], "peak": 7}},
        },
    }
    kits = tmp_path / "kits"
    kits.mkdir()
    (kits / "garden.yaml").write_text(yaml.safe_dump(kit))
    market = Marketplace(tmp_path / "data", 0.5, 3, 2.0, kits=kits)
    assert market.domains == ("garden",)
    items = market.read("garden").items.collect()
    assert set(items["categories"]) == {"Garden > Soil > Trowel", "Garden > Watering > Sprinkler"}
    assert market.read("garden").interactions.collect()["user_id"].n_unique() == 30


def test_configuration_fits_the_reader() -> None:
    conf = yaml.safe_load(CONF.read_text(encoding="utf-8"))
    reader = conf["reader"]
    assert reader.pop("_target_") == "crossrec.data.simulation.marketplace.Marketplace"
    inspect.signature(Marketplace).bind(**reader)
    assert conf["source"] in reader["sizes"]
    assert conf["target"] in reader["sizes"]


def test_default_market_has_the_sizes_it_states(tmp_path: Path) -> None:
    market = Marketplace(tmp_path, 0.7, 0, 2.0)
    home, electronics = (
        market.read(domain).interactions.collect() for domain in ("home", "electronics")
    )
    assert home["user_id"].n_unique() == 4000
    assert electronics["user_id"].n_unique() == 3000
    assert electronics["user_id"].unique().is_in(home["user_id"].unique().implode()).sum() == 1800
    for interactions, mean in ((home, 10), (electronics, 5)):
        counts = interactions.group_by("user_id").agg(pl.len())["len"].to_numpy()
        assert abs(counts.mean() - mean) < 0.1 * mean
        assert np.percentile(counts, 99) > 4 * counts.mean()  # a heavy tail
    few = electronics.group_by("user_id").agg(pl.len()).select((pl.col("len") <= 3).mean()).item()
    assert 0.4 < few < 0.7
