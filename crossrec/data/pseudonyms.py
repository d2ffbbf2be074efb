"""Ids -> keyed hashes: the same id gets the same hash wherever the same salt is used.

HMAC-like by BLAKE2b's own key (RFC 7693): without the salt nobody can try ids out. Whoever has the
salt can; a hash is a pseudonym and no anonymity.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path

import polars as pl

from crossrec.errors import UserError

LEAST_BYTES = 16
FROM_ENVIRONMENT = "env:"


def read_key(salt: str) -> bytes:
    """The key that a salt makes; neither is ever logged, kept or part of a message.

    Args:
        salt: "env:NAME", a variable of the environment, or a file that holds it.

    Raises:
        UserError: there is no such variable or file, or it holds fewer than LEAST_BYTES bytes.
    """
    if salt.startswith(FROM_ENVIRONMENT):
        name = salt.removeprefix(FROM_ENVIRONMENT)
        secret = os.environ.get(name, "").encode()
        where = f"the environment variable {name}"
    else:
        where = f"the file {salt}"
        try:
            secret = Path(salt).read_bytes()
        except OSError as error:
            raise UserError(
                f"identity.salt: {where} cannot be read ({error.strerror}); name a file, or a "
                "variable as env:NAME"
            ) from error
    secret = secret.strip()
    if len(secret) < LEAST_BYTES:
        raise UserError(
            f"identity.salt: {where} holds {len(secret)} bytes, and {LEAST_BYTES} are the least "
            "that cannot be guessed; make one with: openssl rand -hex 32"
        )
    return hashlib.blake2b(secret, person=b"crossrec key").digest()


def fingerprint(key: bytes) -> str:
    """By which two keys can be told apart, and which says nothing of either."""
    return hashlib.blake2b(b"fingerprint", key=key, digest_size=8).hexdigest()


def pseudonym(value: str, key: bytes, kind: str) -> str:
    """32 hexadecimal digits that stand for an id.

    Args:
        kind: "user" or "item": an item called as a user is gets another hash.
    """
    person = kind.encode()
    return hashlib.blake2b(value.encode(), key=key, person=person, digest_size=16).hexdigest()


def pseudonyms(values: Iterable[str], key: bytes, kind: str) -> list[str]:
    """`pseudonym` of each."""
    return [pseudonym(value, key, kind) for value in values]


def with_pseudonyms(table: pl.LazyFrame, column: str, key: bytes, kind: str) -> pl.LazyFrame:
    """A table whose column of ids is hashed; nulls stay."""

    def hashed(ids: pl.Series) -> pl.Series:
        known = ids.drop_nulls().unique()
        new = pl.Series(pseudonyms(known.to_list(), key, kind), dtype=pl.String)
        return ids.replace_strict(known, new, default=None, return_dtype=pl.String)

    return table.with_columns(pl.col(column).map_batches(hashed, return_dtype=pl.String))
