"""Rules for values, and annotations held against what YAML can say."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crossrec.configuration.annotations import check_types, fits, in_words
from crossrec.configuration.values import (
    RULES,
    check_keys,
    check_values,
    number,
    perhaps,
    some,
    whole,
)
from crossrec.errors import UserError

PLAIN = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
NAN, INFINITE = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("rule", "right", "wrong"),
    [
        (whole(1), [1, 10**9], [0, -1, 1.0, "1", True, None]),
        (whole(0, 3), [0, 3], [4]),
        (number(0), [0, 0.5, 7], [-0.1, NAN, INFINITE, "1", False, None]),
        (number(0, 1, ends=False), [0.5], [0, 1]),
        (perhaps(whole(1)), [None, 1], [0, "null"]),
        (some(whole(1)), [[1], [5, 10]], [[], [0], 5, [True]]),
    ],
)
def test_rules(rule: Any, right: list[Any], wrong: list[Any]) -> None:
    assert all(map(rule.holds, right))
    assert not any(map(rule.holds, wrong))


@given(PLAIN | st.lists(PLAIN))
def test_a_rule_judges_whatever_yaml_can_say(value: object) -> None:
    for rule in RULES.values():
        assert rule.holds(value) in (True, False)


def test_values_that_are_not_there_are_not_judged() -> None:
    check_values({"encoder": {"name": "none", "model": None}})
    with pytest.raises(UserError, match=r"encoder.max_length must be a whole number >= 4, or auto"):
        check_values({"encoder": {"max_length": 0}})


def test_the_nearest_key_is_named() -> None:
    check_keys("split", ["name"], ["name", "cut_at"])
    with pytest.raises(UserError, match=r"split has no setting 'cut_att'; did you mean cut_at\?"):
        check_keys("split", ["cut_att"], ["name", "cut_at"])
    with pytest.raises(UserError, match=r"'zzz'; there are cut_at, name"):
        check_keys("split", ["zzz"], ["name", "cut_at"])


@pytest.mark.parametrize(
    ("hint", "right", "wrong", "words"),
    [
        (int, [0, -3], [1.0, True, "1", None], "a whole number"),
        (float, [1, 1.5], [True, "x", None], "a number"),
        (bool, [True], [1, "true"], "true or false"),
        (str, ["a"], [1, None], "text"),
        (str | Path, ["a"], [3], "text or a path"),
        (int | None, [1, None], ["1"], "a whole number or null"),
        (int | float | None, [1, 1.5, None], ["1"], "a number or null"),
        (Literal["a", "b"], ["a"], ["c", 1], "one of a, b"),
        (Literal[16, "16"] | None, [16, "16", None], [True, 17], "one of 16, 16 or null"),
        (Sequence[float], [[0.8, 1]], [0.8, ["x"], "text"], "a list, each a number"),
        (Mapping[str, int], [{"a": 1}], [[1], {"a": "b"}], "a mapping, each a whole number"),
    ],
)
def test_annotations(hint: Any, right: list[Any], wrong: list[Any], words: str) -> None:
    assert all(fits(value, hint) for value in right)
    assert not any(fits(value, hint) for value in wrong)
    assert in_words(hint) == words


def test_an_object_that_yaml_cannot_write_is_left_to_its_constructor() -> None:
    assert fits("anything", UserError)
    assert fits(3, Any)
    assert not fits(3, str | UserError)


def test_the_key_is_called_by_the_name_that_users_know() -> None:
    def penalty(lambda_: float) -> None: ...

    check_types(penalty, {"lambda_": 1}, {"lambda_": "transfer.lambda"})
    with pytest.raises(UserError, match=r"^transfer.lambda must be a number, got 'x'$"):
        check_types(penalty, {"lambda_": "x"}, {"lambda_": "transfer.lambda"})
