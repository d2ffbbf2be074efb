"""The items of one domain as people name them: ids, titles, and a search through both."""

from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from crossrec.data.columns import ITEM, TITLE
from crossrec.data.domain import Domain
from crossrec.serving.problems import Unknown


@dataclass(frozen=True)
class Catalog:
    """Items by code: those of the data, then those that were added.

    Attributes:
        name: of the domain.
        ids, titles: by code; an item without a title has None.
        codes: of every id.
        words: by code, what a search looks through, in lower case.
        popular: codes, those with the most training interactions first.
    """

    name: str
    ids: pl.Series
    titles: pl.Series
    codes: dict[str, int]
    words: pl.Series
    popular: pl.Series

    @classmethod
    def of(cls, domain: Domain, ids: Sequence[str] = (), titles: Sequence[str] = ()) -> "Catalog":
        """The catalog of a domain and items that came later.

        Args:
            ids, titles: of the added items.
        """
        items = domain.items.select(ITEM, TITLE)
        items = items.vstack(pl.DataFrame({ITEM: ids, TITLE: titles}, schema=items.schema))
        order = domain.item_counts().argsort(descending=True, stable=True).tolist()
        words = items.select(pl.concat_str(TITLE, ITEM, separator=" ", ignore_nulls=True))
        return cls(
            name=domain.name,
            ids=items[ITEM],
            titles=items[TITLE],
            codes={item: code for code, item in enumerate(items[ITEM])},
            words=words.to_series().str.to_lowercase(),
            popular=pl.Series([*range(len(domain.items), len(items)), *order]),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def code(self, item: str) -> int:
        """The code of an item.

        Raises:
            Unknown: there is none of this id.
        """
        if item not in self.codes:
            raise Unknown(
                f"{self.name} has no item {item!r}: look for it with GET /items?domain=...&search="
                "..., or add it with POST /items"
            )
        return self.codes[item]

    def item(self, code: int) -> dict[str, str | None]:
        """Id and title of an item, as answers say them."""
        return {"item": self.ids[code], "title": self.titles[code]}

    def search(self, text: str, limit: int) -> list[dict[str, str | None]]:
        """Items whose title or id has every word of a text: added ones, then popular ones first."""
        words = self.words
        found = pl.repeat(True, len(words), dtype=pl.Boolean, eager=True)
        for word in text.lower().split():
            found &= words.str.contains(word, literal=True)
        chosen = self.popular.filter(found.gather(self.popular)).head(limit)
        return [self.item(code) for code in chosen]
