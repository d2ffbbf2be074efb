"""Which ids of two domains mean the same: by name, by link files, by decree, by category."""

from pathlib import Path

import polars as pl
import pytest

from crossrec.data.columns import CATEGORIES, INTERACTION_COLUMNS, ITEM, ITEM_COLUMNS, ROW, USER
from crossrec.data.identities import (
    Identity,
    check_sources,
    identify,
    read_domains,
    split_name,
)
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError


class OneFile:
    """A reader of one small domain that counts how often it is read."""

    def __init__(self) -> None:
        self.reads: list[str] = []

    def files(self, domain: str) -> tuple[Path, ...]:
        return (Path(domain),)

    def read(self, domain: str, scratch: Path | None = None) -> RawDomain:
        self.reads.append(domain)
        return raw(domain, [("ann", "n1"), ("bob", "n2"), ("ann", "n3")])


PATHS = {"n1": "sports > football", "n2": "News > World", "n3": "news > sports", "n4": None}


def raw(name: str, pairs: list[tuple[str, str]]) -> RawDomain:
    events = pl.DataFrame(pairs, schema=[USER, ITEM], orient="row").with_columns(
        pl.lit(None).alias(column) for column in INTERACTION_COLUMNS[2:]
    )
    items = pl.DataFrame({ITEM: list(PATHS), CATEGORIES: list(PATHS.values())}).with_columns(
        pl.lit(None).alias(column) for column in ITEM_COLUMNS if column not in (ITEM, CATEGORIES)
    )
    return RawDomain(name, events.lazy(), items.lazy(), (), len(pairs), 0)


def pairs(domain: RawDomain) -> list[tuple[str, str]]:
    return domain.interactions.select(USER, ITEM).collect().rows()


def test_a_category_is_a_domain_and_files_are_read_once() -> None:
    reader = OneFile()
    sources, target = read_domains(reader, ["mind:news", "mind"], "mind:Sports", Path("nowhere"))
    assert reader.reads == ["mind"]
    assert [domain.name for domain in (*sources, target)] == ["mind:news", "mind", "mind:Sports"]
    assert pairs(target) == [("ann", "n1"), ("ann", "n3")]
    assert target.items.collect()[ITEM].to_list() == ["n1", "n3"]
    # n3 is of both categories: as the target has it, no source may.
    assert pairs(sources[0]) == [("bob", "n2")]
    assert pairs(sources[1]) == []
    assert sources[1].items.collect()[ITEM].to_list() == ["n4"]
    # The number of an event stays that of the whole table: its review is found by it.
    assert target.interactions.collect()[ROW].to_list() == [0, 2]


def test_a_domain_beside_its_category() -> None:
    (news,), everything = read_domains(OneFile(), ["mind:news"], "tech", Path("nowhere"))
    assert pairs(news) == [("bob", "n2"), ("ann", "n3")]
    assert pairs(everything) == [("ann", "n1"), ("bob", "n2"), ("ann", "n3")]


def test_a_category_that_is_not_there_is_refused_with_those_that_are() -> None:
    with pytest.raises(UserError, match=r"no item of the category 'finance'.*sports"):
        read_domains(OneFile(), ["mind:finance"], "tech", Path("nowhere"))
    with pytest.raises(UserError, match=r"no item of the category 'sports'.*unknown"):
        read_domains(OneFile(), ["mind:sports"], "mind", Path("nowhere"))


def test_names() -> None:
    assert split_name("Electronics") == ("Electronics", None)
    assert split_name("yelp:Ice Cream") == ("yelp", "Ice Cream")
    check_sources(["a", "b", "c", "d"], "e")
    with pytest.raises(UserError, match="1 to 4 domains, got 5"):
        check_sources(["a", "b", "c", "d", "f"], "e")
    with pytest.raises(UserError, match="name a twice"):
        check_sources(["a", "b"], "a")


@pytest.mark.parametrize(
    ("overlap", "expected"),
    [
        ("any", ("ann", "n1")),
        ("both", ("ann", "n1")),
        ("users", ("ann", "books/n1")),
        ("items", ("books/ann", "n1")),
        ("none", ("books/ann", "books/n1")),
    ],
)
def test_what_is_kept_apart(overlap: str, expected: tuple[str, str]) -> None:
    (source,) = identify([raw("books", [("ann", "n1")])], Identity(overlap))
    assert pairs(source) == [expected]
    assert source.items.collect()[ITEM][0] == expected[1]


def test_linked_items_are_called_as_in_the_target(tmp_path: Path) -> None:
    links = tmp_path / "items.tsv"
    links.write_text("source\ttarget\nn1\tt9\n")
    (source,) = identify(
        [raw("books", [("ann", "n1"), ("ann", "n2")])], Identity("items", item_links=str(links))
    )
    assert pairs(source) == [("books/ann", "t9"), ("books/ann", "books/n2")]
    named = source.items.collect()[ITEM].to_list()
    assert named == ["t9", "books/n2", "books/n3", "books/n4"]


def test_overlap_that_is_demanded_is_checked() -> None:
    Identity("any").check(0, 0, "a -> b")
    Identity("none").check(0, 0, "a -> b")
    Identity("users").check(3, 0, "a -> b")
    with pytest.raises(UserError, match="a -> b share no users"):
        Identity("users").check(0, 5, "a -> b")
    with pytest.raises(UserError, match=r"share no items.*identity.item_links"):
        Identity("both").check(5, 0, "a -> b")
    with pytest.raises(UserError, match="must be any, none, users, items or both, got 'all'"):
        Identity("all")
    with pytest.raises(UserError, match=r"identity\.overlap=users keeps them apart"):
        Identity("users", item_links="links.tsv")
