"""What is read of an item, in which order, and how much of it."""

import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM_COLUMNS
from crossrec.encoders.text import TEXT_FIELDS, compose, corpus, text_lengths
from crossrec.errors import UserError

WORDS = st.sampled_from(["Pan", "pan", "Lamp.", "<b>Big</b>", "&amp;", "茶", "ß", " ", ""])
FIELD = st.none() | st.lists(WORDS, max_size=5).map(" ".join)
ITEM = st.fixed_dictionaries(dict.fromkeys(TEXT_FIELDS, FIELD))


def items(**columns: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def written(*reviews: tuple[str, str | None]) -> pl.DataFrame:
    return pl.DataFrame(reviews, schema={"item_id": pl.String, "review": pl.String}, orient="row")


def test_the_fields_follow_each_other_readably() -> None:
    table = items(
        keywords=["sharp"],
        title=["Paring Knife"],
        description=["Cuts well!"],
        brand=["Acme"],
        features=["Forged. Light"],
        categories=["Kitchen > Knives"],
    )
    text = "Paring Knife. Acme. Kitchen > Knives. Forged. Light. Cuts well! sharp"
    assert compose(table) == [text]


def test_each_item_falls_back_on_its_own() -> None:
    table = items(
        title=["Lamp", None, " ", None],
        categories=["Home", "Home > Light", None, None],
        keywords=[None, "bright", "bright", None],
    )
    assert compose(table) == ["Lamp. Home", "Home > Light. bright", "bright", None]


def test_what_stands_there_already_is_not_said_twice() -> None:
    table = items(title=["ACME Knife"], brand=["Acme"], keywords=["acme knife"])
    assert compose(table) == ["ACME Knife"]
    assert compose(items(title=["ÉCLAIR"], brand=["Éclair"])) == ["ÉCLAIR"]


def test_only_the_fields_asked_for_are_read_in_the_order_asked_for() -> None:
    table = items(title=["Lamp"], brand=["Acme"], image=["http://a/1.jpg"])
    assert compose(table) == ["Lamp. Acme"]
    assert compose(table, ["brand", "title"]) == ["Acme. Lamp"]
    assert compose(table, ["title", "description"]) == ["Lamp"]
    assert compose(table, ["description"]) == [None]
    assert compose(table, ["title", "image"]) == ["Lamp. http://a/1.jpg"]


def test_a_field_that_no_item_has_is_refused() -> None:
    with pytest.raises(UserError, match=r"text_fields names titel, price, which .*title.*reviews"):
        compose(items(title=["Lamp"]), ["titel", "brand", "price"])


def test_a_text_keeps_its_language_and_is_cut_at_its_length() -> None:
    table = items(title=["無印良品 アロマ 👩‍🚀"], brand=["MUJI"], description=["静音設計。" * 300])
    (text,) = compose(table)
    assert text is not None
    assert text.startswith("無印良品 アロマ 👩‍🚀. MUJI. 静音設計。静音")
    assert len(text) == 1000
    assert compose(items(title=["茶。"], brand=["伊藤園"])) == ["茶。 伊藤園"]
    assert compose(items(title=["Lamp"], brand=["Very Long Brand"]), max_chars=14) == ["Lamp. Very"]


@settings(max_examples=30, deadline=None)
@given(st.lists(ITEM, max_size=8), st.randoms())
def test_an_item_has_the_same_text_wherever_it_stands(
    rows: list[dict[str, str | None]], shuffled: random.Random
) -> None:
    table = pl.DataFrame(rows, schema=dict.fromkeys(TEXT_FIELDS, pl.String))
    alone = [compose(table[row])[0] for row in range(table.height)]
    assert compose(table) == alone
    order = list(range(table.height))
    shuffled.shuffle(order)
    assert compose(table[order]) == [alone[row] for row in order]


def test_reviews_are_the_longest_ones_of_the_item() -> None:
    table = items(item_id=["a", "b", "c"], title=["Pan", "Lamp", "Rug"])
    reviews = written(
        ("a", "Good"),
        ("a", "Heats fast"),
        ("a", "Heats fast"),
        ("a", "Even heat!"),
        ("a", None),
        ("b", "<p>It &amp; the bulb</p>"),
        ("z", "Of no item here"),
    )
    fields = ["title", "reviews"]
    expected = ["Pan. Even heat! Heats fast. Good", "Lamp. It & the bulb", "Rug"]
    assert compose(table, fields, reviews=reviews) == expected
    assert compose(table, fields, reviews=reviews.reverse()) == expected
    assert compose(table, fields) == ["Pan", "Lamp", "Rug"]
    assert compose(table, ["reviews", "title"], reviews=reviews)[1] == "It & the bulb. Lamp"


def test_of_many_long_reviews_the_starts_of_five_are_read() -> None:
    table = items(item_id=["a"], title=["Pan"])
    reviews = written(
        *(("a", f"{letter}{number} " * 150) for letter in "xy" for number in range(4))
    )
    (text,) = compose(table, ["title", "reviews"], max_chars=10_000, reviews=reviews)
    assert text is not None
    assert text == "Pan. " + ". ".join(
        (word * 67).strip() for word in ("x0 ", "x1 ", "x2 ", "x3 ", "y0 ")
    )


def test_corpus_has_items_and_reviews_once_in_an_order_of_its_own() -> None:
    table = items(item_id=["a", "b", "c"], title=["Pan", "Lamp", None])
    reviews = written(
        ("a", "Works"), ("a", None), ("b", "Works"), ("b", "<p>Pan</p>"), ("c", "<br>")
    )
    expected = ["Lamp", "Pan", "Works"]
    assert corpus(table, reviews) == expected
    assert corpus(table.reverse(), reviews.reverse()) == expected
    assert corpus(table, reviews.drop("review")) == ["Lamp", "Pan"]
    assert corpus(table, reviews, ["title", "reviews"]) == [
        "Lamp. Pan. Works",
        "Pan",
        "Pan. Works",
        "Works",
    ]
    assert corpus(table.clear(), reviews.clear()) == []


def test_corpus_reads_nothing_but_what_it_is_given() -> None:
    """An item, and a review, that only held-out events have are not in the tables that it gets."""
    train = written(("a", "Works"))
    known = items(item_id=["a"], title=["Pan"])
    everything = items(item_id=["a", "z"], title=["Pan", "Canary"])
    assert "Canary" in corpus(everything, train)  # what a careless caller would let it see
    assert corpus(known, train) == ["Pan", "Works"]


def test_lengths_of_texts() -> None:
    account = text_lengths(["a bc", None, "茶 def", "ghi jk lmno", None])
    assert account["texts"] == 5
    assert account["without_text"] == 0.4
    assert account["characters"] == {
        "mean": pytest.approx((4 + 5 + 11) / 3),
        "p5": 4,
        "p25": 5,
        "p50": 5,
        "p75": 11,
        "p95": 11,
        "max": 11,
    }
    assert account["words"]["mean"] == pytest.approx((2 + 2 + 3) / 3)
    assert account["words"]["max"] == 3
    assert text_lengths([None])["characters"]["p50"] is None
    assert text_lengths([])["without_text"] == 0


def test_every_column_of_items_may_be_read() -> None:
    table = items(**{column: [column] for column in ITEM_COLUMNS})
    (text,) = compose(table, ITEM_COLUMNS)
    assert text is not None
    assert text.split(". ") == list(ITEM_COLUMNS)
