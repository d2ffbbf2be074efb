"""A few users of a run: what they did, what was held out, and what they are recommended."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from crossrec.errors import UserError
from crossrec.evaluation.summary import BASELINE, CANDIDATE
from crossrec.reporting.blocks import Block, Example, Section, Suggestion
from crossrec.reporting.reading import table_of

SHOWN = 10  # recommendations of a list
HOW = (
    "Test users drawn by lot, not chosen by how well they are served; of long histories the end is "
    "shown. A list leaves out what the user already has; the held-out item is the one that the "
    "evaluation looks for."
)
PARTS = ("source", "target")


def example_section(run: Path, names: tuple[str, str], title: str) -> Section:
    """Example users with their histories and lists in both domains.

    Args:
        run: a run folder.
        names: what source and target are called.

    Raises:
        UserError: a file of the run cannot be read.
    """
    users = table_of(run, "examples.parquet")
    if users is None:
        return Section("examples", title, ["Runs of an earlier version did not keep any users."])
    ids = users["user_id"].unique(maintain_order=True)
    lists = _lists(run / "recommendations.parquet", ids)
    ranks = _ranks(run, ids)
    blocks: list[Block] = [HOW]
    for number, user in enumerate(ids, 1):
        own = users.filter(user_id=user)
        blocks.append(_example(number, own, lists.filter(user_id=user), ranks, names))
    return Section("examples", title, blocks)


def _example(
    number: int,
    own: pl.DataFrame,
    lists: pl.DataFrame,
    ranks: dict[tuple[str, str], list[int]],
    names: tuple[str, str],
) -> Example:
    user, n_train, shared = own.select("user_id", "n_train", "shared").row(0)
    about = f"{user}: train interactions in {names[1]} {n_train}, "
    about += f"known from {names[0]}" if shared else f"unknown in {names[0]}"
    held_out = []
    for place, title in enumerate(_titles(own, "held out")):
        found = [
            f"{model}: rank {ranks[user, model][place]:,}"
            for model in (BASELINE, CANDIDATE)
            if place < len(ranks.get((user, model), []))
        ]
        held_out.append((title, ", ".join(found)))
    return Example(
        f"User {number}",
        about,
        [(name, _titles(own, part)) for part, name in zip(PARTS, names, strict=True)],
        held_out,
        [
            (str(name), [_suggestion(row) for row in own_list.iter_rows(named=True)])
            for (name,), own_list in lists.group_by("domain", maintain_order=True)
        ],
    )


def _titles(own: pl.DataFrame, part: str) -> list[str]:
    return own.filter(part=part).select(pl.coalesce("title", "item_id")).to_series().to_list()


def _suggestion(row: dict) -> Suggestion:
    return Suggestion(row["title"] or row["item_id"], f"{row['score']:.3g}", row["reason"] or "")


def _lists(path: Path, users: pl.Series) -> pl.DataFrame:
    """The users' rows of recommendations.parquet; empty where there is no such file."""
    columns = ["domain", "user_id", "rank", "item_id", "title", "score", "reason"]
    if not path.exists():
        return pl.DataFrame(schema=dict.fromkeys(columns, pl.String))
    try:
        table = pl.scan_parquet(path)
        if "reason" not in table.collect_schema():
            table = table.with_columns(pl.lit(None, pl.String).alias("reason"))
        chosen = table.filter(pl.col("user_id").is_in(users.implode()), pl.col("rank") <= SHOWN)
        return chosen.select(columns).collect()
    except (OSError, pl.exceptions.PolarsError) as error:
        first = str(error).splitlines()[0]
        raise UserError(f"{path}: cannot be read ({first}); run it again") from error


def _ranks(run: Path, users: pl.Series) -> dict[tuple[str, str], list[int]]:
    """(user, model) -> ranks of the held-out items."""
    table = table_of(run, "per_user.parquet")
    if table is None or "truth_ranks" not in table.columns:
        return {}
    own = table.filter(pl.col("user_id").is_in(users.implode()))
    return {
        (user, model): ranks
        for user, model, ranks in own.select("user_id", "model", "truth_ranks").iter_rows()
    }
