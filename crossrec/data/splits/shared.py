"""Splits as files, so that two papers can measure on the same events."""

from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, SPLIT, USER
from crossrec.data.splits.fingerprint import split_fingerprint
from crossrec.data.splits.order import canonical
from crossrec.data.splits.parts import PARTS, TEST, VALID, with_parts
from crossrec.data.splits.split_file import TIMES, read_split_file
from crossrec.errors import UserError

NAME_KEY, FINGERPRINT_KEY = "crossrec.split", "crossrec.fingerprint"


def export_split(interactions: pl.DataFrame, file: Path, name: str) -> None:
    """Write who did what when, and in which part it is, as Parquet that `from_file` reads.

    The rows go by user, item, timestamp and position, and by rating where events agree in all of
    these: the same events give the same bytes in whatever order they come.

    Args:
        interactions: with a SPLIT column.
        file: path of the .parquet file to write.
        name: of the split; it stands in the file's metadata beside the data's fingerprint.
    """
    # Of equal events the earlier row is the one in train, as the splits have it.
    in_parts = interactions.with_columns(pl.col(SPLIT).cast(pl.Enum(PARTS)))
    rows = canonical(in_parts, TIMES)
    table = interactions.select(USER, ITEM, *TIMES, SPLIT)[rows]
    metadata = {NAME_KEY: name, FINGERPRINT_KEY: split_fingerprint(interactions)}
    table.rechunk().write_parquet(file, row_group_size=1 << 20, metadata=metadata)


def from_file(
    interactions: pl.DataFrame,
    seed: int,
    file: str | Path,
    missing: Literal["refuse", "drop"] = "refuse",
) -> pl.DataFrame:
    """The split that a file says: one that was published, or that `export_split` wrote.

    The file (.parquet, .csv or .tsv) has the columns user_id, item_id and split (train, valid or
    test), and timestamp and position where repeated events need telling apart; events that agree
    in these too take the file's rows in order of rating. Nothing is random; `seed` is taken so
    that all splits are called alike.

    Args:
        missing: what to do with events that the file does not have. "drop" is for a split that
            leaves events out, as few_shot does.

    Raises:
        UserError: the file cannot be read, events and rows are not the same ones, each as often as
            the other, or the fingerprint that the file carries is not that of the data.
    """
    file = Path(file)
    if missing not in ("refuse", "drop"):
        raise UserError(f"split.function.missing must be refuse or drop, got {missing!r}")
    rows = read_split_file(file)
    keys = [column for column in (USER, ITEM, *TIMES) if column in rows.columns]
    if missing == "drop":
        interactions = interactions.join(
            rows.select(keys).unique(), on=keys, how="semi", nulls_equal=True, maintain_order="left"
        )
    ours = canonical(interactions, keys[2:])
    rows = rows[canonical(rows.select(keys), keys[2:])]  # equal ones in the order of the file
    if not interactions.select(keys)[ours].equals(rows.select(keys)):
        raise UserError(_difference(file, interactions, rows, keys))
    _check_repeats(file, rows, keys)
    masks = {part: np.zeros(len(rows), dtype=bool) for part in (VALID, TEST)}
    for part, mask in masks.items():
        mask[ours] = (rows[SPLIT] == part).to_numpy()
    done = with_parts(interactions, masks[VALID], masks[TEST])
    _check_fingerprint(file, done)
    return done


def _difference(file: Path, interactions: pl.DataFrame, rows: pl.DataFrame, keys: list[str]) -> str:
    """How the events of the data and of the file differ."""
    ours, theirs = (t.group_by(keys).len(n) for t, n in ((interactions, "data"), (rows, "file")))
    both = ours.join(theirs, on=keys, how="full", nulls_equal=True, coalesce=True)
    counts = [pl.col(name).fill_null(0).cast(pl.Int64) for name in ("data", "file")]
    more = both.select(*keys, more=counts[0] - counts[1]).sort(keys)

    def told(differing: pl.DataFrame, what: str) -> str:
        count = differing["more"].abs().sum()
        if not count:
            return f"0 {what}"
        first = differing.row(0, named=True)
        named = ", ".join(f"{key} {first[key]!r}" for key in keys)
        return f"{count:,} {what} (the first: {named})"

    lacking = told(more.filter(pl.col("more") > 0), "are not in the file")
    foreign = told(more.filter(pl.col("more") < 0), "are no event of the data")
    return (
        f"{file} is the split of other data: of {len(interactions):,} events {lacking}, of "
        f"{len(rows):,} rows of the file {foreign}. Read the same files with the same cleaning as "
        "the split was made on; if it leaves events out on purpose, set split.function.missing=drop"
    )


def _check_repeats(file: Path, rows: pl.DataFrame, keys: list[str]) -> None:
    """Refuse rows that name one event twice, in two parts, where a column could tell them apart."""
    lacking = [column for column in TIMES if column not in keys]
    repeated = pl.all_horizontal(pl.col(key).eq_missing(pl.col(key).shift()) for key in keys)
    torn = rows.filter(repeated & (pl.col(SPLIT) != pl.col(SPLIT).shift()))
    if lacking and len(torn):
        first = torn.row(0, named=True)
        raise UserError(
            f"{file}: {len(torn):,} rows repeat the {USER} and {ITEM} of another in a different "
            f"part (the first: {first[USER]!r}, {first[ITEM]!r}); add the column "
            f"{' and '.join(lacking)} to say which event is which"
        )


def _check_fingerprint(file: Path, done: pl.DataFrame) -> None:
    """Hold the fingerprint in a file that `export_split` wrote against that of the split data."""
    written = pl.read_parquet_metadata(file) if file.suffix == ".parquet" else {}
    expected, found = written.get(FINGERPRINT_KEY), split_fingerprint(done)
    if expected not in (None, found):
        raise UserError(
            f"{file} was written on data with the fingerprint {expected}, this data has {found}: "
            "the events are the same, but not their ratings; read the same files in the same way"
        )
