"""Users as keyed hashes: the same everywhere with one salt, and never the salt itself."""

from pathlib import Path

import polars as pl
import pytest

from crossrec.data.columns import USER
from crossrec.data.identities import Identity
from crossrec.data.pseudonyms import fingerprint, pseudonym, read_key, with_pseudonyms
from crossrec.errors import UserError

SALT = "0123456789abcdef-of-this-test"


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> bytes:
    monkeypatch.setenv("TEST_SALT", SALT)
    return read_key("env:TEST_SALT")


def test_one_salt_gives_one_hash_wherever_it_lies(key: bytes, tmp_path: Path) -> None:
    file = tmp_path / "salt"
    file.write_text(SALT + "\n")
    assert read_key(str(file)) == key
    assert pseudonym("ann", key, "user") == pseudonym("ann", read_key(str(file)), "user")


def test_another_salt_or_kind_gives_another_hash(key: bytes, tmp_path: Path) -> None:
    file = tmp_path / "salt"
    file.write_text(SALT + "!")
    other = read_key(str(file))
    assert fingerprint(other) != fingerprint(key)
    hashes = {pseudonym("ann", key, "user"), pseudonym("ann", other, "user")}
    assert len(hashes | {pseudonym("ann", key, "item"), pseudonym("bob", key, "user")}) == 4


def test_a_column_is_hashed_and_nulls_stay(key: bytes) -> None:
    table = pl.LazyFrame({USER: ["ann", None, "bob", "ann"], "n": [1, 2, 3, 4]})
    hashed = with_pseudonyms(table, USER, key, "user").collect()
    ann, bob = (pseudonym(name, key, "user") for name in ("ann", "bob"))
    assert hashed[USER].to_list() == [ann, None, bob, ann]
    assert hashed["n"].to_list() == [1, 2, 3, 4]
    assert len(ann) == 32


def test_a_salt_that_can_be_guessed_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TEST_SALT", "short-secret")
    with pytest.raises(UserError, match="TEST_SALT holds 12 bytes, and 16 are") as refused:
        _ = Identity(salt="env:TEST_SALT").key
    assert "short-secret" not in str(refused.value)
    with pytest.raises(UserError, match="variable NO_SUCH_SALT holds 0 bytes"):
        read_key("env:NO_SUCH_SALT")
    with pytest.raises(UserError, match="cannot be read"):
        read_key(str(tmp_path / "absent"))
