"""Why an item is recommended, in one line: an item of the user's history, and what both share."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import polars as pl
import torch
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import normalize

from crossrec.data.columns import BRAND, CATEGORIES, ITEM, PAD, TITLE
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.data.storage import read_items
from crossrec.encoders.content import Content
from crossrec.folding import fold, shorten

NAME_CHARS = 60
ALIKE = 0.2  # cosine: in 128 whitened dimensions chance alone stays below
LATEST = 50  # events of a history that may be a reason
USERS_AT_ONCE = 512
SEQUENCES = 50_000  # whose items are counted together
SHARED = 3  # phrases that a reason names
RARE = 0.1  # a phrase that more of the catalog has says little
RARE_ITEMS = 10
WORD = r"[\p{L}\p{N}]{4,}"


@dataclass(frozen=True)
class Reasons:
    """Of U lists of n items.

    Attributes:
        because: (U, n) the item of the user's history that speaks for each, PAD where none does.
        lines: (U * n,) one line each.
    """

    because: Tensor
    lines: pl.Series


class Explainer:
    """Finds the reasons of recommendations, by the texts of items or by who has them together.

    The item of the history whose content vector has the largest cosine with the recommended one's
    is the reason, if it is above ALIKE; else, or without content vectors, the one that most users
    have together with it in train; else how many users have it. No model is asked: these are
    reasons for a user, and need not be what moved the model's score.

    Args:
        domain: that is recommended from; its known histories are what reasons are drawn from.
        items: ITEM, TITLE, BRAND, CATEGORIES and the name of their "domain" by item code, those of
            the context included.
        vectors: (n_items + n_context, d) content vectors, or None.
    """

    def __init__(self, domain: Domain, items: pl.DataFrame, vectors: Tensor | None) -> None:
        self.domain, self.items = domain, items
        self.vectors = normalize(vectors, dim=1) if vectors is not None else None

    @classmethod
    def of(cls, domain: Domain, pair: DomainPair, data: Path, content: Content) -> "Explainer":
        """From the tables of a prepared pair.

        Args:
            domain: one of the pair's.
            data: folder of the prepared pair.
            content: vectors of its items.
        """
        sides = ["source"] if domain is pair.source else ["target", "source"]
        items = pl.concat(
            read_items(data, side).select(
                ITEM, TITLE, BRAND, CATEGORIES, domain=pl.lit(getattr(pair, side).name)
            )
            for side in sides[: 1 + (domain.n_context > 0)]
        )
        vectors = content.of_target(domain.n_context > 0)
        return cls(domain, items, content.source if domain is pair.source else vectors)

    @cached_property
    def names(self) -> pl.Series:
        """(n_items + n_context,) titles, shortened; ids where there are none."""
        titles = shorten(fold(self.items[TITLE]), NAME_CHARS).replace("", None)
        return titles.zip_with(titles.is_not_null(), self.items[ITEM])

    def named(self, because: Tensor) -> pl.DataFrame:
        """because_item_id and because_domain of (M,) item codes, null for PAD."""
        numbers = pl.Series(because.numpy())
        numbers = numbers.set(numbers == PAD, None)
        return self.items.select(
            because_item_id=pl.col(ITEM).gather(numbers),
            because_domain=pl.col("domain").gather(numbers),
        )

    def explain(self, lists: Tensor) -> Reasons:
        """Reasons for the lists of all known users, in their order.

        Args:
            lists: (U, n) item codes.
        """
        because = torch.full_like(lists, PAD)
        if self.vectors is not None:
            for rows in torch.arange(len(lists)).split(USERS_AT_ONCE):
                because[rows] = self._nearest(rows, lists[rows], self.vectors)
        alike = because != PAD
        rest = (~alike).any(dim=1).nonzero().squeeze(1)
        if len(rest):
            together = self._together(lists[rest].unique())
            for rows in rest.split(USERS_AT_ONCE):
                found = self._companion(rows, lists[rows], *together)
                because[rows] = torch.where(alike[rows], because[rows], found)
        return Reasons(because, self._lines(lists.flatten(), because.flatten(), alike.flatten()))

    def _nearest(self, rows: Tensor, lists: Tensor, vectors: Tensor) -> Tensor:
        """(B, n) the item of each history that is nearest in content."""
        history = self.domain.known.last(rows, LATEST).items  # (B, L)
        past = vectors[history.clamp(min=0)]
        cosines = torch.einsum("bnd,bld->bnl", vectors[lists], past)
        return _best(cosines, history, ALIKE)

    def _together(self, wanted: Tensor) -> tuple[Tensor, Tensor]:
        """Which items users of train have together with the wanted ones, and how many users do.

        Returns:
            Ascending keys wanted item * (n_items + n_context) + other item, and counts; (P,) each.
        """
        train, n = self.domain.train, len(self.items)
        rows = torch.arange(len(train.users))[:: -(-len(train.users) // SEQUENCES) or 1]
        batch = train.last(rows, LATEST).items
        user, place = (batch != PAD).nonzero(as_tuple=True)
        has = csr_array(
            (np.ones(len(user), np.float32), (user.numpy(), batch[user, place].numpy())),
            (len(rows), n),
        )
        has.data[:] = 1  # repeats add up
        both = csr_array(has[:, wanted.numpy()].T @ has).tocoo()
        keys = wanted[torch.from_numpy(both.row).long()] * n + torch.from_numpy(both.col).long()
        order = keys.argsort()
        return keys[order], torch.from_numpy(both.data)[order]

    def _companion(self, rows: Tensor, lists: Tensor, keys: Tensor, counts: Tensor) -> Tensor:
        """(B, n) the item of each history that most users have together with the listed one."""
        history = self.domain.known.last(rows, LATEST).items
        if not len(keys):
            return torch.full_like(lists, PAD)
        asked = lists[:, :, None] * len(self.items) + history[:, None, :].clamp(min=0)
        place = torch.searchsorted(keys, asked).clamp(max=len(keys) - 1)
        return _best(torch.where(keys[place] == asked, counts[place], 0.0), history, 0.0)

    @cached_property
    def _phrases(self) -> tuple[pl.Series, pl.Series]:
        """Brands, parts of category paths and words of titles that several items share.

        Returns:
            The phrases, rarest first; and for each item its phrases' numbers, as a list.
        """
        row = pl.int_range(len(self.items)).alias("row")
        columns = [
            self.items.select(row, phrase=pl.col(BRAND)),
            self.items.select(row, phrase=pl.col(CATEGORIES).str.split(" > ")).explode("phrase"),
            self.items.select(row, phrase=pl.col(TITLE).str.extract_all(WORD)).explode("phrase"),
        ]
        said = pl.concat(columns).drop_nulls()
        said = said.with_columns(key=fold(said["phrase"]).str.to_lowercase()).filter(
            pl.col("key") != ""
        )
        said = said.unique(["row", "key"], keep="first", maintain_order=True)
        at_most = max(RARE_ITEMS, int(RARE * len(self.items)))
        shared = (
            said.group_by("key", maintain_order=True)
            .agg(pl.len().alias("n"), pl.col("phrase").first())
            .filter(pl.col("n").is_between(2, at_most))
            .sort("n", "key")
            .with_row_index("number")
        )
        numbers = said.join(shared.select("key", "number"), on="key").group_by("row")
        lists = self.items.select(row).join(
            numbers.agg("number"), on="row", how="left", maintain_order="left"
        )
        return shared["phrase"], lists["number"].fill_null([])

    def _lines(self, items: Tensor, because: Tensor, alike: Tensor) -> pl.Series:
        """One line for each of (M,) recommendations."""
        phrases, of_item = self._phrases
        past = because.clamp(min=0).numpy()
        both = of_item[items.numpy()].list.set_intersection(of_item[past]).list.sort()
        shared = [phrases[both.list.get(n, null_on_oob=True)] for n in range(SHARED)]
        counts = self.domain.item_counts()[items]
        start = pl.concat_str(pl.lit('Because of "'), "past", pl.lit('": '))
        table = pl.DataFrame(
            {
                "past": self.names[past],
                "known": (because != PAD).numpy(),
                "alike": alike.numpy(),
                "count": counts.numpy(),
                **{f"shared {n}": column for n, column in enumerate(shared)},
            }
        )
        said = pl.concat_str(pl.col("^shared .*$"), separator=", ", ignore_nulls=True)
        return table.select(
            pl.when(pl.col("known") & (said != ""))
            .then(pl.concat_str(start, pl.lit("both say "), said))
            .when("known", "alike")
            .then(pl.concat_str(start, pl.lit("its text is the nearest in your history")))
            .when("known")
            .then(pl.concat_str(start, pl.lit("others who have it have this, too")))
            .when(pl.col("count") > 0)
            .then(pl.format("Nothing in your history is like it; users who have it: {}", "count"))
            .otherwise(pl.lit("Nothing in your history is like it, and nobody has it yet"))
            .alias("reason")
        ).to_series()


def _best(values: Tensor, history: Tensor, least: float) -> Tensor:
    """(B, n) the history item of the largest value above `least`, of equals the latest; else PAD.

    Args:
        values: (B, n, L).
        history: (B, L) item codes, padded right with PAD.
    """
    if history.shape[1] == 0:
        return torch.full(values.shape[:2], PAD)
    values = values.masked_fill((history == PAD)[:, None], least).flip(2)
    best, place = values.max(dim=2)
    return history.flip(1).gather(1, place).masked_fill(best <= least, PAD)
