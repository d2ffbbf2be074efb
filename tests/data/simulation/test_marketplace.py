import gzip
import hashlib
import inspect
import itertools
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
from crossrec.data.simulation.kit_files import KITS, read_shared_kit
from crossrec.data.simulation.marketplace import Marketplace
from crossrec.errors import UserError
from crossrec.integrity import RECORD

SIZES = {
    "home": {"users": 60, "shared_users": 30, "items": 50},
    "electronics": {"users": 40, "shared_users": 20, "items": 40},
    "news": {"users": 50, "shared_users": 25, "items": 60},
    "social": {"users": 45, "shared_users": 35, "items": 60},
}
# What files of the shops hold at seed 0, relatedness 0.7 and these sizes, since they exist: SHA-256
# of the lines, and of the names in the truth.
SHOPS = {
    "home.jsonl.gz": "0bc5ee0d61218177080aa6a8a485557a8b6683940be6fa3fa32dd9255f06c8a9",
    "meta_home.jsonl.gz": "601c6be969aeafd58a4ee9ee9dba199ba80383c3621465bc3d034a6d322f8ebc",
    "oracle_home.json": "4fa238ef7adb7964588ba32a19ad34eae51280e69b542912ea2181f668cb6af6",
    "electronics.jsonl.gz": "666c57cee67b844f11b73f6d5d3ddf36b808ba1fdc32472492d6938ef04ff5f7",
    "meta_electronics.jsonl.gz": "c08cb8ed585867ec54ab111fc471b097b251bdff8bc64c88d047bfee1bb8c570",
    "oracle_electronics.json": "532b0476245ff2aa8546bb132c3af2f186301d84f3fe38c5d719044c3ca8348e",
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


def generated(market: Marketplace) -> Path:
    """The folder of all domains."""
    for domain in market.domains:
        market.generate(domain)
    return market.folder


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*.*"))
        if path.name != RECORD  # which says when
    }


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Marketplace:
    market = small(tmp_path_factory.mktemp("market"))
    generated(market)
    return market


def test_same_parameters_give_the_same_bytes_in_another_process(
    market: Marketplace, tmp_path: Path
) -> None:
    script = (
        "from crossrec.data.simulation.marketplace import Marketplace\n"
        f"market = Marketplace({str(tmp_path)!r}, 0.7, 0, 2.0, {SIZES!r})\n"
        "for domain in reversed(market.domains): market.generate(domain)"
    )
    subprocess.run(
        [sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONHASHSEED": "7"}
    )
    assert digests(tmp_path / market.folder.name) == digests(market.folder)
    assert len(digests(market.folder)) == 4 + 4 + 4 + 5


def test_shops_are_what_they_were_before_there_were_other_domains(market: Marketplace) -> None:
    for name, digest in SHOPS.items():
        domain = name.removeprefix("meta_").removeprefix("oracle_").partition(".")[0]
        written = (market.folder / domain / name).read_bytes()
        lines = gzip.decompress(written) if name.endswith(".gz") else written
        assert hashlib.sha256(lines).hexdigest() == digest, name


def test_a_domain_is_generated_when_it_is_asked_for(tmp_path: Path) -> None:
    market = small(tmp_path)
    market.read("home")
    assert [path.name for path in market.folder.iterdir()] == ["home"]
    before = digests(market.folder)
    market.files("news")
    assert {path.name for path in market.folder.iterdir()} == {"home", "news"}
    assert before.items() <= digests(market.folder).items()


@pytest.mark.parametrize(("relatedness", "seed"), [(0.6, 0), (0.7, 1)])
def test_other_parameters_give_another_folder_and_other_purchases(
    market: Marketplace, tmp_path: Path, relatedness: float, seed: int
) -> None:
    other = generated(small(tmp_path, relatedness, seed))
    assert other.name != market.folder.name
    changed = digests(other)
    same = [name for name, digest in digests(market.folder).items() if changed[name] == digest]
    if seed == 0:  # what products there are does not hang on the relatedness
        assert set(same) == {
            *("item_categories.csv", "kuairec_caption_category.csv", "news.tsv"),
            *(f"oracle_{domain}.json" for domain in market.domains),
        }
    else:
        assert same == []


def test_files_have_the_fields_of_the_2023_release(market: Marketplace) -> None:
    with gzip.open(market.folder / "home" / "home.jsonl.gz", "rt", encoding="utf-8") as file:
        reviews = [json.loads(line) for line in file]
    with gzip.open(market.folder / "home" / "meta_home.jsonl.gz", "rt", encoding="utf-8") as file:
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


def test_clicks_and_watches_are_read_as_real_ones_are(market: Marketplace) -> None:
    for domain, n_users in (("news", 50), ("social", 45)):
        raw = market.read(domain)
        interactions, items = raw.interactions.collect(), raw.items.collect()
        assert raw.name == domain
        assert set(interactions.columns) == set(INTERACTION_COLUMNS)
        assert set(items.columns) == set(ITEM_COLUMNS)
        assert raw.n_malformed == 0
        assert raw.n_lines == len(interactions) == len(interactions.unique())
        assert interactions["user_id"].n_unique() == n_users
        assert interactions["rating"].null_count() == len(interactions)
        assert interactions["timestamp"].null_count() == 0
        assert items["item_id"].n_unique() == len(items) == 60
        assert items["title"].null_count() == items["categories"].null_count() == 0


def test_domains_have_the_shared_users_in_common_and_no_item(market: Marketplace) -> None:
    read = {domain: market.read(domain).interactions.collect() for domain in market.domains}
    for one, other in itertools.combinations(market.domains, 2):
        users, items = (
            set(read[one][column]) & set(read[other][column]) for column in ("user_id", "item_id")
        )
        assert len(users) == min(SIZES[domain]["shared_users"] for domain in (one, other))
        assert not items


def test_a_shared_user_is_the_same_person_in_all_domains(tmp_path: Path) -> None:
    """Whoever has the same id has the same taste: in the truth, and in what they chose."""
    shared = read_shared_kit(KITS / "shared.yaml")
    n, brand = len(shared.values), shared.offsets["brand"]
    market = small(tmp_path, relatedness=1.0)
    home = market.oracle("home")
    for domain in ("electronics", "news", "social"):
        truth = market.oracle(domain)
        both = sorted(set(home.users) & set(truth.users))
        tastes = [
            oracle.user_factors[[oracle.users.index(user) for user in both], brand:n]
            for oracle in (home, truth)
        ]
        correlation = np.corrcoef(tastes[0].ravel(), tastes[1].ravel())[0, 1]
        assert correlation > 0.999


def test_oracle_knows_everybody_who_is_read(market: Marketplace) -> None:
    for domain in market.domains:
        raw, oracle = market.read(domain), market.oracle(domain)
        interactions = raw.interactions.collect()
        assert set(interactions["user_id"]) == set(oracle.users)
        assert set(raw.items.collect()["item_id"]) == set(oracle.items)
        assert oracle.utility(oracle.users[:3]).shape == (3, SIZES[domain]["items"])


@pytest.mark.parametrize("domain", ["home", "news", "social"])
def test_what_was_chosen_is_what_the_oracle_says_is_liked(tmp_path: Path, domain: str) -> None:
    """Ids lead from the files to the right rows of the truth: shuffled ones do much worse."""
    sizes = {domain: {"users": 300, "shared_users": 100, "items": 200}}
    market = Marketplace(tmp_path, 0.7, 0, 2.0, sizes)
    events, oracle = market.read(domain).interactions.collect(), market.oracle(domain)
    taste = oracle.utility(oracle.users) - oracle.item_factors[:, -1]
    users, items = (
        np.array([names.index(name) for name in events[column]])
        for column, names in (("user_id", oracle.users), ("item_id", oracle.items))
    )
    rng = np.random.default_rng(0)
    assert taste[users, items].mean() > 1
    assert abs(taste[rng.permutation(300)[users], items].mean()) < 0.5
    assert abs(taste[users, rng.permutation(200)[items]].mean()) < 0.5


def test_a_domain_without_stars_has_no_expected_rating(market: Marketplace) -> None:
    assert market.oracle("home").expected_rating(market.oracle("home").users[:1]).min() >= 1
    with pytest.raises(UserError, match=r"no stars: set data\.rating_scale=null"):
        market.oracle("news").expected_rating(market.oracle("news").users[:1])


@pytest.mark.parametrize("relatedness", [2, -0.1, float("nan"), "high"])
def test_refuses_relatedness_outside_its_range(tmp_path: Path, relatedness: float) -> None:
    with pytest.raises(UserError, match=r"data\.relatedness must be between 0 and 1, got"):
        Marketplace(tmp_path, relatedness, 0, 2.0)


def test_refuses_other_parameters_by_name(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="seed must be >= 0, got -1"):
        Marketplace(tmp_path, 0.5, -1, 2.0)
    with pytest.raises(UserError, match=r"data\.reader\.strength must be between 0 and 20, got -3"):
        Marketplace(tmp_path, 0.5, 0, -3)
    with pytest.raises(
        UserError, match=r"no domain 'garden'; there are kits of electronics, home, news, social"
    ):
        Marketplace(tmp_path, 0.5, 0, 2.0).read("garden")
    with pytest.raises(UserError, match="no domain 'garden'"):
        Marketplace(tmp_path, 0.5, 0, 2.0, {"garden": {"users": 5}})


def test_a_flipped_byte_is_made_good(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    file = small(tmp_path).generate("home") / "oracle_home.safetensors"
    whole = file.read_bytes()
    file.write_bytes(bytes([whole[0] ^ 1]) + whole[1:])
    small(tmp_path).generate("home")
    assert file.read_bytes() == whole
    assert f"{file.name} is not what was written" in caplog.text


def test_interruption_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write, written = marketplace.write_domain, []

    def interrupted(*args: object) -> None:
        write(*args)
        written.extend(args[0].iterdir())
        raise KeyboardInterrupt

    monkeypatch.setattr(marketplace, "write_domain", interrupted)
    market = small(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        market.generate("home")
    assert len(written) == 4
    assert list(market.folder.iterdir()) == []


def test_says_where_it_could_not_write(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UserError, match=r"set paths\.data to another folder"):
        small(tmp_path / "file").generate("home")


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
    for name in ("marketplace_news", "marketplace_social"):
        pair = yaml.safe_load(CONF.with_name(f"{name}.yaml").read_text(encoding="utf-8"))
        assert {pair["source"], pair["target"]} <= set(reader["sizes"])
        assert pair["rating_scale"] is None


def test_default_shops_have_the_sizes_they_state(tmp_path: Path) -> None:
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
