"""Lets schemathesis ask for what is there: three of four names are those of the run."""

import json
import os
import zlib
from typing import Any
from urllib.request import urlopen

import schemathesis

ADDRESS = os.environ["SERVED_AT"]


def ask(path: str) -> Any:
    with urlopen(ADDRESS + path) as answer:
        return json.load(answer)


DOMAINS = list(ask("/about")["domains"])
KNOWN = {
    "domain": DOMAINS,
    "user": ask("/users?limit=20")["users"],
    "item": [i["item"] for d in DOMAINS for i in ask(f"/items?limit=20&domain={d}")["items"]],
}


def real(value: Any, name: str = "") -> Any:
    """The same with some of its names replaced; equal values become equal ones."""
    if isinstance(value, dict):
        return {key: real(inner, key) for key, inner in value.items()}
    if isinstance(value, list):
        return [real(inner, name) for inner in value]
    if isinstance(value, str) and name in KNOWN and 0 < len(value) <= 256:  # wrong ones stay wrong
        draw = zlib.crc32(repr(value).encode())
        if draw % 4:
            return KNOWN[name][draw // 4 % len(KNOWN[name])]
    return value


@schemathesis.hook
def map_body(context: Any, body: Any) -> Any:
    return real(body)


@schemathesis.hook
def map_query(context: Any, query: Any) -> Any:
    return real(query)
