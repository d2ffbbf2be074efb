"""Objects, Booleans, dates and lists of lists: a block and a line by itself give the same row."""

import json
from collections.abc import Callable

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.sources.formats import json_lines, timed
from crossrec.data.sources.lines import LineFormat

SHELF = pl.Struct({"name": pl.String(), "count": pl.Int64()})
SCHEMA = pl.Schema(
    {"id": pl.String(), "read": pl.Boolean(), "shelves": pl.List(SHELF), "text": pl.String()}
)


def both(form: LineFormat, line: str) -> list[object]:
    """The row of a line, which must be the same in a block and by itself."""
    row = form.parse_line(line)
    assert row is not None
    assert form.parse_block(line.encode() + b"\n").rows() == [tuple(row)]
    return row


@pytest.mark.parametrize("written", [json.dumps, repr])
def test_objects_and_booleans(written: Callable[[object], str]) -> None:
    form = json_lines(SCHEMA, ("id",), literals=True)
    shelves = [{"name": "poetry", "count": 3, "more": [1]}, {"count": 2, "name": None}]
    record = {"id": "a", "read": True, "shelves": shelves, "text": {"b": "True", "c": [1, "é"]}}
    assert both(form, written(record)) == [
        "a",
        True,
        [{"name": "poetry", "count": 3}, {"name": None, "count": 2}],
        '{"b": "True", "c": [1, "é"]}',
    ]
    assert both(form, written({"id": "b", "shelves": []})) == ["b", None, [], None]


@pytest.mark.parametrize("field", ['"read": 1', '"read": "x"', '"shelves": [3]', '"shelves": [[]]'])
def test_other_types_are_malformed(field: str) -> None:
    form = json_lines(SCHEMA, ("id",))
    assert form.parse_line(f'{{"id": "a", {field}}}') is None
    with pytest.raises(pl.exceptions.PolarsError):
        form.parse_block(f'{{"id": "a", {field}}}\n'.encode())


def test_of_a_list_of_lists_the_first_is_kept() -> None:
    form = json_lines(pl.Schema({"categories": pl.List(pl.String())}), (), literals=True)
    assert both(form, "{'categories': [['Home', \"Kid's\"], ['Toys']]}") == [["Home", "Kid's"]]
    assert both(form, '{"categories":[["Home"]]}') == [["Home"]]
    assert both(form, "{'categories': ['Home', 'Toys']}") == [["Home", "Toys"]]


def test_halves_of_characters_are_joined_or_replaced() -> None:
    form = json_lines(pl.Schema({"a": pl.String()}), (), literals=True)
    assert both(form, r"{u'a': u'\ud83d\ude00'}") == ["😀"]
    assert form.parse_line(r"{u'a': u'\ud83d!'}") == ["\ufffd!"]


@pytest.mark.parametrize(
    ("date", "seconds"),
    [
        ("Fri Sep 08 10:44:24 -0700 2017", 1504892664),
        ("Thu Jan 01 00:00:01 +0000 1970", 1),
        ("2018-07-07 22:09:11", 1531001351),
        ("2018-07-07", 1530921600),
        ("2018-07-32", None),
        ("Mon Sep 08 10:44:24 -0700 2017", None),  # it was a Friday
        ("2018-07-07 22:09:11 and more", None),
        ("", None),
    ],
)
def test_dates_become_unix_seconds(date: str, seconds: int | None) -> None:
    form = json_lines(pl.Schema({"id": pl.String(), "at": pl.String()}), ("id",))
    form = timed(form, "at", "%a %b %d %H:%M:%S %z %Y", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")
    assert form.schema == pl.Schema({"id": pl.String(), "at": pl.Int64()})
    assert form.required == ("id", "at")
    assert both(form, json.dumps({"id": "a", "at": date})) == ["a", seconds]
    assert both(form, '{"id": "a"}') == ["a", None]
    assert form.parse_line("[]") is None


@settings(max_examples=50, deadline=None)
@given(st.datetimes())
def test_any_second_is_read_back(moment: object) -> None:
    form = timed(json_lines(pl.Schema({"at": pl.String()}), ()), "at", "%Y-%m-%d %H:%M:%S")
    text = f"{moment:%Y-%m-%d %H:%M:%S}".rjust(19, "0")
    frame = form.parse_block(json.dumps({"at": text}).encode() + b"\n")
    expected = pl.Series([moment], dtype=pl.Datetime("us")).dt.epoch("s")[0]
    assert frame["at"][0] == expected
