import re
from pathlib import Path

import pytest
import yaml

from crossrec.data.simulation.kit_files import KITS, kit_files, read_domain_kit, read_shared_kit
from crossrec.data.simulation.kits import DomainKit
from crossrec.errors import UserError


def words(texts: list[str]) -> set[str]:
    return {word for text in texts for word in re.findall(r"[a-z0-9]+", text.lower())} - {"and"}


def own_words(kit: DomainKit) -> set[str]:
    names = [kind.name for kind in kit.types] + [kind.shelf for kind in kit.types]
    return words([*names, *kit.brands, *kit.features])


SHARED = read_shared_kit(KITS / "shared.yaml")


def domains() -> dict[str, DomainKit]:
    return {
        domain: read_domain_kit(path, SHARED, {})
        for domain, path in kit_files(KITS).items()
        if domain != "shared"
    }


def test_own_words_of_domains_are_disjoint_from_each_other_and_from_shared_ones() -> None:
    taken = words(read_shared_kit(KITS / "shared.yaml").values)
    for kit in domains().values():
        own = own_words(kit)
        assert not own & taken
        taken |= own


def test_kits_are_rich() -> None:
    shared = read_shared_kit(KITS / "shared.yaml")
    assert set(shared.reviews) == {1, 2, 3, 4, 5}
    assert len(set(shared.values)) == len(shared.values)
    for kit in domains().values():
        assert len({kind.name for kind in kit.types}) >= 40
        assert len(set(kit.brands) | set(shared.facets["brand"])) >= 40
        assert all(kind.peak is None or 1 <= kind.peak <= 12 for kind in kit.types)


def test_every_shared_value_belongs_to_a_lifestyle() -> None:
    shared = read_shared_kit(KITS / "shared.yaml")
    assert {value for values in shared.lifestyles.values() for value in values} == set(
        shared.values
    )


LIFE = {"half_life": 24, "hot_topics": 3, "hot_days": 4, "heat": 1.5}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"brands": None}, "a kit has the keys"),
        ({"colour": "Red"}, "may have .* found .*colour"),
        ({"format": "netflix"}, "format is one of amazon, mind, kuairec, got 'netflix'"),
        ({"facets": ["style"]}, "facets are brand and any of"),
        ({"facets": ["brand", "smell"]}, "facets are brand and any of"),
        ({"facets": ["brand", "style"]}, "every type has a price and sizes, and facets hold tier"),
        ({"types": {"Oddments": ["Bobbin"]}}, "every type has a price and sizes"),
        ({"types": {"Oddments": "Bobbin"}}, "types maps each shelf to types"),
        ({"types": {"Oddments": {"Bobbin": {"cost": 3}}}}, r"type 'Bobbin' has \['cost'\]"),
        ({"titles": ["{brand} {flavor}"]}, r"template of titles names \['flavor'\]"),
        ({"titles": ["{brand"]}, "is no template"),
        ({"life": {"half_life": 24}}, "life has the keys"),
        ({"life": LIFE | {"heat": "much"}}, "life has the keys .*each a number"),
        ({"life": LIFE | {"half_life": 0}}, "half_life > 0"),
        ({"market": {"users": 9}}, "market has the keys"),
        ({"size": {"users": 10.5}}, "whole numbers"),
        ({"size": {"shared_users": 5000}}, "shared_users <= users"),
        ({"size": {"opens": 1.0}}, "opens < 1"),
        ({"size": {"user": 3}}, "market has the keys"),
    ],
)
def test_wrong_kit_is_named(tmp_path: Path, change: dict, message: str) -> None:
    content = yaml.safe_load((KITS / "home.yaml").read_text(encoding="utf-8"))
    size = change.pop("size", {})
    content.update(change)
    path = tmp_path / "home.yaml"
    path.write_text(yaml.safe_dump({k: v for k, v in content.items() if v is not None}))
    with pytest.raises(UserError, match=message) as error:
        read_domain_kit(path, SHARED, size)
    assert str(path) in str(error.value)


def test_unreadable_kit_and_empty_folder(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no kits"):
        kit_files(tmp_path)
    path = tmp_path / "bad.yaml"
    path.write_bytes(b"a: [\xff")
    with pytest.raises(UserError, match="not a readable YAML kit"):
        read_domain_kit(path, SHARED, {})


def test_lifestyle_of_unknown_values(tmp_path: Path) -> None:
    content = yaml.safe_load((KITS / "shared.yaml").read_text(encoding="utf-8"))
    content["lifestyles"]["odd"] = ["Minimalist", "Brutalist"]
    path = tmp_path / "shared.yaml"
    path.write_text(yaml.safe_dump(content))
    with pytest.raises(UserError, match=r"'odd' names \['Brutalist'\]"):
        read_shared_kit(path)


def test_what_a_kit_does_not_say_is_as_in_a_shop() -> None:
    kit = domains()["home"]
    assert (kit.format, kit.facets, kit.life) == ("amazon", list(SHARED.facets), None)
    assert kit.titles is SHARED.titles
    news = domains()["news"]
    assert news.life is not None
    assert news.titles is not SHARED.titles
    assert {kind.shelf for kind in news.types} >= {"Politics", "Sports"}
