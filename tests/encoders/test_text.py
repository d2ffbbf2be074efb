import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.encoders.text import compose, corpus, fold, shorten


def items(**columns: list[str | None]) -> pl.DataFrame:
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def test_the_fields_follow_each_other_readably() -> None:
    table = items(
        keywords=["sharp"], title=["Paring Knife"], brand=["Acme"],
        categories=["Kitchen > Knives"], description=["Cuts well."],
    )  # fmt: skip
    assert compose(table) == ["Paring Knife. Acme. Kitchen > Knives. Cuts well. sharp"]


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


def test_only_the_fields_asked_for_are_read_and_absent_columns_are_null() -> None:
    table = items(title=["Lamp"], brand=["Acme"])
    assert compose(table, fields=["title", "description"]) == ["Lamp"]
    assert compose(table, fields=["description"]) == [None]


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Salt &amp; Pepper", "Salt & Pepper"),
        ("12&amp;quot; Pan", '12" Pan'),
        ("<b>Big</b><br />Pan", "Big Pan"),
        ("&lt;p&gt;Pan&lt;/p&gt;", "Pan"),
        ("<style>p {color: red}</style>Pan<!-- old -->", "Pan"),
        ("a\n\t b\u00a0 c", "a b c"),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        ("", ""),
        (None, ""),
    ],
)
def test_html_and_white_space_are_folded(raw: str | None, plain: str) -> None:
    assert fold(raw) == plain


def test_text_is_cut_between_words() -> None:
    assert shorten("red green blue", 9) == "red green"
    assert shorten("red green blue", 8) == "red"
    assert shorten("redgreenblue", 8) == "redgreen"


@given(st.text(), st.integers(1, 20))
def test_shortened_text_is_a_start_and_fits(text: str, most: int) -> None:
    short = shorten(text, most)
    assert len(short) <= most
    assert text.startswith(short)


def test_corpus_has_items_and_reviews_once_in_an_order_of_its_own() -> None:
    table = items(title=["Pan", "Lamp", None])
    events = pl.DataFrame({"review": ["Works", None, "Works", "<p>Pan</p>", "<br>"]})
    expected = ["Lamp", "Pan", "Works"]
    assert corpus(table, events) == expected
    assert corpus(table.reverse(), events.reverse()) == expected
    assert corpus(table, events.drop("review")) == ["Lamp", "Pan"]
