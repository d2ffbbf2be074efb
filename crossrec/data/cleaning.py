"""From a raw domain to the interactions and items that an experiment is about."""

from dataclasses import asdict, dataclass
from typing import Literal

import numpy as np
import polars as pl

from crossrec.data.columns import ITEM, POSITION, RATING, REVIEW, TIMESTAMP, USER
from crossrec.data.raw import RawDomain
from crossrec.errors import UserError

Duplicates = Literal["first", "last", "keep"]


@dataclass(frozen=True)
class CleaningStep:
    """What was left after one step."""

    step: str
    interactions: int
    users: int
    items: int


@dataclass(frozen=True)
class CleaningReport:
    """What cleaning did to a domain, step by step; the first step is what the reader gave."""

    domain: str
    n_lines: int
    n_malformed: int
    steps: tuple[CleaningStep, ...]

    def to_dict(self) -> dict[str, object]:
        """The report as JSON can hold it."""
        return asdict(self)

    def __str__(self) -> str:
        counts = ", ".join(f"{step.step} {step.interactions:,}" for step in self.steps)
        last = self.steps[-1]
        return (
            f"{self.domain}: {self.n_lines:,} lines, {self.n_malformed:,} malformed; interactions: "
            f"{counts}; {last.users:,} users and {last.items:,} items left"
        )


def clean(
    raw: RawDomain,
    rating_scale: tuple[float, float] | None,
    min_rating: float | None = None,
    min_user: int = 1,
    min_item: int = 1,
    core: bool = True,
    duplicates: Duplicates = "first",
    max_out_of_scale: float = 0.0,
) -> tuple[pl.DataFrame, pl.DataFrame, CleaningReport]:
    """Interactions in order of user and time, exactly the items they name, and the account.

    The steps, in this order: events without user or item are dropped; ratings are held against
    the scale; of several events of one user with one item, one is kept; low ratings are dropped;
    users and items with too few events are dropped. The thresholds count all events, held-out
    ones too: they say which population is studied, as published k-cores do. Row order and file
    order of the raw tables make no difference.

    Args:
        raw: the domain as its reader gave it.
        rating_scale: lowest and highest rating, or None where there are no ratings.
        min_rating: events rated lower are dropped; those without a rating stay.
        min_user: least events of a user.
        min_item: least events of an item.
        core: repeat both thresholds until both hold (k-core); otherwise each is applied once.
        duplicates: which event of a repeated (user, item) to keep; "keep" keeps all.
        max_out_of_scale: share of ratings outside the scale that is dropped rather than refused.

    Returns:
        Interactions sorted by user, timestamp, position and item; items sorted by id, one row for
        each item left, with nulls where the raw table does not know it; the report.

    Raises:
        UserError: an argument or a rating is out of range, or nothing is left.
    """
    _check(rating_scale, min_user, min_item, duplicates, max_out_of_scale)
    events = raw.interactions.with_columns(pl.col(RATING).fill_nan(None)).collect()
    steps = [_step("read", events)]

    def account(name: str, advice: str) -> None:
        steps.append(_step(name, events))
        if events.is_empty():
            before = steps[-2]
            raise UserError(
                f"domain {raw.name} is empty after cleaning: of {before.interactions:,} "
                f"interactions of {before.users:,} users with {before.items:,} items, none is "
                f"{name}; {advice}"
            )

    if events.is_empty():
        raise UserError(f"domain {raw.name} has no interactions: check {_names(raw)}")
    known = [pl.col(column).is_not_null() & (pl.col(column) != "") for column in (USER, ITEM)]
    events = events.filter(*known)
    account("with ids", f"check the user and item columns of {_names(raw)}")
    if rating_scale is not None:
        events = _within_scale(raw.name, events, rating_scale, max_out_of_scale)
        account("within the scale", "set data.rating_scale to the scale of the file")
    events = _sorted(events)
    if duplicates != "keep":
        events = events.unique([USER, ITEM], keep=duplicates, maintain_order=True)
        account("no repeat", "")
    if min_rating is not None:
        events = events.filter(pl.col(RATING).is_null() | (pl.col(RATING) >= min_rating))
        account("rated high enough", f"lower cleaning.min_rating (now {min_rating})")
    events = events.filter(_frequent(events, min_user, min_item, core))
    account(
        "frequent enough",
        f"lower cleaning.min_user (now {min_user}) or cleaning.min_item (now {min_item})",
    )
    left = events.select(ITEM).unique().sort(ITEM)
    items = left.join(raw.items.collect(), on=ITEM, how="left", maintain_order="left")
    return events, items, CleaningReport(raw.name, raw.n_lines, raw.n_malformed, tuple(steps))


def _check(
    rating_scale: tuple[float, float] | None,
    min_user: int,
    min_item: int,
    duplicates: str,
    max_out_of_scale: float,
) -> None:
    if rating_scale is not None and not rating_scale[0] < rating_scale[1]:
        raise UserError(f"data.rating_scale must be [lowest, highest], got {list(rating_scale)}")
    if min_user < 1 or min_item < 1:
        raise UserError(
            f"cleaning.min_user and cleaning.min_item must be >= 1, got {min_user} and {min_item}"
        )
    if duplicates not in ("first", "last", "keep"):
        raise UserError(f"cleaning.duplicates must be first, last or keep, got {duplicates!r}")
    if not 0 <= max_out_of_scale <= 1:
        raise UserError(f"cleaning.max_out_of_scale is a share from 0 to 1, got {max_out_of_scale}")


def _step(name: str, events: pl.DataFrame) -> CleaningStep:
    return CleaningStep(name, len(events), events[USER].n_unique(), events[ITEM].n_unique())


def _names(raw: RawDomain) -> str:
    return ", ".join(str(file) for file in raw.files) or "its files"


def _within_scale(
    domain: str, events: pl.DataFrame, scale: tuple[float, float], max_share: float
) -> pl.DataFrame:
    """The events whose rating is in the scale or missing."""
    low, high = scale
    inside = pl.col(RATING).is_null() | pl.col(RATING).is_between(low, high)
    outside = events.filter(~inside)
    if len(outside) > max_share * len(events):
        example = outside.sort(USER, ITEM, RATING).row(0, named=True)
        raise UserError(
            f"domain {domain}: {len(outside):,} of {len(events):,} ratings are outside the scale "
            f"{low:g} to {high:g}, for example {example[RATING]:g} by user {example[USER]!r} for "
            f"item {example[ITEM]!r}; set data.rating_scale to the scale of the file, or "
            "cleaning.max_out_of_scale to the share that may be dropped"
        )
    return events.filter(inside)


def _sorted(events: pl.DataFrame) -> pl.DataFrame:
    """The one order of rows; unknown times come first."""
    order = ["user_code", TIMESTAMP, POSITION, "item_code", RATING]
    coded = events.with_columns(
        user_code=number(events[USER])[0], item_code=number(events[ITEM])[0]
    )
    coded = coded.sort(order)
    # Reviews are long, and decide only between events that are equal in everything else.
    equal = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift()) for name in order)
    if coded.select(equal.any()).item():
        coded = coded.sort([*order, REVIEW])
    return coded.drop("user_code", "item_code")


def _frequent(events: pl.DataFrame, min_user: int, min_item: int, core: bool) -> pl.Series:
    """Which events belong to users and items that have enough of them, as a mask of rows."""
    alive = np.arange(len(events))
    users, items = (number(events[column])[0].to_numpy() for column in (USER, ITEM))
    while True:
        before = len(alive)
        # Items first, as one pass of the published 5-core scripts does, then what they leave.
        for codes, least in ((items, min_item), (users, min_user)):
            of_event = codes[alive]
            alive = alive[np.bincount(of_event)[of_event] >= least] if len(alive) else alive
        if not core or len(alive) == before:
            break
    mask = np.zeros(len(events), dtype=bool)
    mask[alive] = True
    return pl.Series(mask)


def number(ids: pl.Series) -> tuple[pl.Series, pl.Series]:
    """Integer codes of string ids: (rows,) int64, and the sorted unique ids that they count."""
    names = ids.unique().sort()
    table = names.to_frame("id").with_row_index("code")
    coded = ids.to_frame("id").join(table, on="id", how="left", maintain_order="left")
    return coded["code"].cast(pl.Int64), names
