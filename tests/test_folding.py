"""HTML, entities and white space go; every letter of every language stays."""

import html

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.folding import fold, shorten

WORDS = st.sampled_from(
    ["Pan", "&amp;", "&amp", "&lt;", "&quot;", "&#38;", "&#x27", "&copy2", "&nope;", "&", ";", "é"]
)


def one(raw: str | None) -> str:
    return fold(pl.Series([raw], dtype=pl.String)).item()


def cut(text: str, max_chars: int) -> str:
    return shorten(pl.Series([text]), max_chars).item()


@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        ("Salt &amp; Pepper", "Salt & Pepper"),
        ("12&amp;quot; Pan", '12" Pan'),
        ("<b>Big</b><br />Pan", "Big Pan"),
        ("&lt;p&gt;Pan&lt;/p&gt;", "Pan"),
        ("<style>p {color: red}</style>Pan<!-- old -->", "Pan"),
        ("<SCRIPT>if (a < b)\nalert('<b>')</SCRIPT >Pan", "Pan"),
        ("a\n\t b\u00a0 c", "a b c"),
        ("a\x00b\x1fc", "a b c"),
        ("5 < 6 and 7 > 6", "5 < 6 and 7 > 6"),
        ("AT&T & &Pan", "AT&T & &Pan"),
        ("", ""),
        (None, ""),
    ],
)
def test_html_and_white_space_are_folded(raw: str | None, plain: str) -> None:
    assert one(raw) == plain


@pytest.mark.parametrize(
    "text",
    [
        "L'Oréal Crème Brûlée Straße ÇA İstanbul",
        "無印良品 超音波アロマディフューザー。静音設計",
        "스테인리스 텀블러 500ml",
        "ساعة يد رجالية",
        "Чайник электрический",
        "नीला कुर्ता",
        "Mug 👩‍🚀 👍🏽 ❤️ 🇫🇷 für Mütter",
        "½ cup → 100 % ©",
    ],
)
def test_no_language_is_touched(text: str) -> None:
    assert one(text) == text
    assert one(f"  <p>{text}</p>\n") == text


@given(st.lists(st.lists(WORDS, max_size=6).map("".join), max_size=6))
def test_entities_are_decoded_as_the_standard_library_does_it_twice(texts: list[str]) -> None:
    expected = [" ".join(html.unescape(html.unescape(text)).split()) for text in texts]
    assert fold(pl.Series(texts, dtype=pl.String)).to_list() == expected


@given(st.lists(st.none() | st.text(), max_size=8))
def test_a_text_is_folded_the_same_whatever_stands_beside_it(texts: list[str | None]) -> None:
    column = pl.Series(texts, dtype=pl.String)
    folded = fold(column).to_list()
    assert folded == [one(text) for text in texts]
    assert column.to_list() == texts  # the caller's column is as it was
    for text in folded:
        assert text == text.strip(" ")
        assert "  " not in text


def test_text_is_cut_between_words() -> None:
    assert cut("red green blue", 9) == "red green"
    assert cut("red green blue", 8) == "red"
    assert cut("red green blue", 14) == "red green blue"
    assert cut("redgreenblue", 8) == "redgreen"


def test_text_without_spaces_is_not_lost_with_its_last_word() -> None:
    text = "ソニー " + "静" * 100
    assert cut(text, 60) == text[:60]


@given(st.text(), st.integers(1, 60))
def test_shortened_text_is_a_start_and_fits(text: str, most: int) -> None:
    short = cut(text, most)
    assert len(short) <= most
    assert text.startswith(short)
    assert len(text) > most or short == text
