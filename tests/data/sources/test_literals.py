"""Python literals become exactly the JSON that means the same, or nothing that could be read."""

import ast
import json
import warnings

import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from crossrec.data.sources.formats import json_lines
from crossrec.data.sources.literals import to_json

TEXT = st.text(
    st.one_of(st.sampled_from("'\"\\ux:, {}[]TFN\n\t/é😀"), st.characters(codec="utf-8"))
)
VALUE = st.recursive(
    st.one_of(TEXT, st.integers(-(10**9), 10**9), st.floats(-1e6, 1e6)),
    lambda value: st.one_of(st.lists(value, max_size=3), st.dictionaries(TEXT, value, max_size=3)),
    max_leaves=6,
)
FIELD = st.one_of(VALUE, st.booleans(), st.none())
RECORD = st.dictionaries(TEXT, FIELD, max_size=4)


def python_2(value: object) -> str:
    """A value as Python 2 prints it: text has a prefix and no character outside ASCII."""
    if isinstance(value, str):
        return "u" + ascii(value)
    if isinstance(value, list):
        return f"[{', '.join(map(python_2, value))}]"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{python_2(k)}: {python_2(v)}' for k, v in value.items())}}}"
    return repr(value)


def read(line: str) -> object:
    return json.loads(to_json(line.encode() + b"\n"))


@settings(max_examples=300, deadline=None)
@given(RECORD)
@example({"a": "it's", "b": '"so"', "c": 'it\'s "so"', "d": "\\", "e": "\\'", "f": "\\U0001f600"})
@example({"u": ", u", "v": ": True", "w": "u'", "True": "None", "x": "\\/", "y": "é", "z": "😀"})
def test_what_either_python_prints_is_read_back(record: dict[str, object]) -> None:
    assert read(repr(record)) == record
    assert read(python_2(record)) == record


@settings(max_examples=100, deadline=None)
@given(st.lists(RECORD, min_size=1, max_size=5))
def test_lines_of_a_block_do_not_touch_each_other(records: list[dict[str, object]]) -> None:
    lines = [python_2(record).encode() + b"\n" for record in records]
    assert to_json(b"".join(lines)) == b"".join(map(to_json, lines))


@settings(max_examples=300, deadline=None)
@given(record=RECORD, at=st.integers(0), damage=st.sampled_from([*"'\"\\u{},: x0\x01\x03/", ""]))
def test_a_damaged_line_is_never_read_as_something_else(
    record: dict[str, object], at: int, damage: str
) -> None:
    line = python_2(record)
    at %= len(line)
    line = line[:at] + damage + line[at + 1 :]
    try:
        found = read(line)
    except (pl.exceptions.ComputeError, ValueError):
        return  # then it is parsed by itself, exactly
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # unknown escapes
        assert found == ast.literal_eval(line)


@pytest.mark.parametrize(
    "line",
    [
        "{'a': 'no end}",
        "{'a': \"no end'}",
        "{'a': b'bytes'}",
        "{'a': 'b' 'c'}",
        "{'a': 'b'True}",
        "{'a': __import__('os')}",
        "{'a': true}",
        "{'a': nothing}",
        "{'a': Nine}",
        "{'a': (1, 2)}",
        "{'a': r'b'}",
        "{'a': 1L}",
        "{'a': '\\a'}",  # a bell to Python
        "{'a': '\\/'}",  # a backslash and a slash to Python, a slash to JSON
        "{'a': '\\ud83d'}",  # half a character
        "{'a': '\\ude00\\ud83d'}",
        "{'a': '\\U00110000'}",
        "{'a': '\\xg0'}",
        "{'a': '\x01'}",  # bytes that stand for something on the way
        "{'a': '\x02'}",
        "{'a': '\x03'}",
    ],
)
def test_what_json_cannot_say_is_refused(line: str) -> None:
    with pytest.raises((pl.exceptions.ComputeError, ValueError)):
        read(line)


def test_a_string_does_not_go_on_in_the_next_line() -> None:
    with pytest.raises(pl.exceptions.ComputeError, match="a string without an end"):
        to_json(b"{'a': 'b\n': 'c'}\n")


def test_emoji_of_narrow_and_wide_pythons() -> None:
    assert read(r"{u'a': u'\ud83d\ude00 \U0001f600'}") == {"a": "😀 😀"}
    assert read(r"{u'a': u'\\U0001f600 \\\U0001f600'}") == {"a": "\\U0001f600 \\😀"}


def test_a_line_of_very_many_strings_is_left_to_be_parsed_by_itself() -> None:
    line = repr({"a": ["x"] * 20_000})
    with pytest.raises(pl.exceptions.ComputeError, match="very many strings"):
        to_json(line.encode() + b"\n")
    form = json_lines(pl.Schema({"a": pl.List(pl.String())}), (), literals=True)
    assert form.parse_line(line) == [["x"] * 20_000]
