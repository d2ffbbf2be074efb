"""Configured values held against the annotations of what they are given to."""

import inspect
import types
import typing
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from crossrec.errors import UserError


def check_types(make: Any, given: Mapping[str, Any], names: Mapping[str, str]) -> None:
    """Hold arguments against the annotations of what is to be called with them.

    Args:
        make: a class or function whose annotations can be resolved.
        given: arguments by name, plain values as YAML has them.
        names: argument -> the key that sets it ("lambda_" -> "transfer.lambda").

    Raises:
        UserError: names the key, what was expected and what was found.
    """
    hints = typing.get_type_hints(make.__init__ if inspect.isclass(make) else make)
    for argument, value in given.items():
        hint = hints.get(argument, Any)
        if not fits(value, hint):
            raise UserError(f"{names[argument]} must be {in_words(hint)}, got {value!r}")


def fits(value: Any, hint: Any) -> bool:
    """Whether a plain value can stand for an annotation; True for those that YAML cannot write."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        # An object in the union is not for a configuration: only YAML's kinds of value count.
        parts = [part for part in arguments if _in_yaml(part)]
        return not parts or any(fits(value, part) for part in parts)
    if origin is Literal:
        return any(value == choice and type(value) is type(choice) for choice in arguments)
    if not _in_yaml(hint):
        return True
    if hint is None or hint is type(None):
        return value is None
    if hint is float:
        return is_number(value)
    if hint is int:
        return is_whole(value)
    if hint in (str, Path):
        return isinstance(value, str)
    if hint is bool:
        return isinstance(value, bool)
    if issubclass(origin or hint, Mapping):
        inner = arguments[1] if arguments else Any
        return isinstance(value, Mapping) and all(fits(v, inner) for v in value.values())
    inner = arguments[0] if arguments else Any
    return isinstance(value, list) and all(fits(v, inner) for v in value)


def in_words(hint: Any) -> str:
    """An annotation for people who do not read Python."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        words = dict.fromkeys(in_words(part) for part in arguments if _in_yaml(part))
        if "a number" in words:
            words.pop("a whole number", None)
        return " or ".join(words).replace(" or one of ", ", ")
    if origin is Literal:
        return f"one of {', '.join(map(str, arguments))}"
    if hint is None or hint is type(None):
        return "null"
    plain = {bool: "true or false", int: "a whole number", float: "a number", Path: "a path"}
    if hint in plain or hint is str:
        return plain.get(hint, "text")
    kind = "a mapping" if issubclass(origin or hint, Mapping) else "a list"
    return kind + (f", each {in_words(arguments[-1])}" if arguments else "")


def _in_yaml(hint: Any) -> bool:
    """Whether YAML can write a value of this annotation."""
    origin = typing.get_origin(hint)
    if origin is Literal or hint in (None, type(None), bool, int, float, str, Path):
        return True
    kind = origin or hint
    return isinstance(kind, type) and issubclass(kind, Mapping | Sequence) and kind is not str


def is_whole(value: Any) -> bool:
    """An int; True and False are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Any) -> bool:
    """An int or float that is a number; True, False and NaN are none."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value
