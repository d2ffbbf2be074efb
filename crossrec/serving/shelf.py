"""All items and what ranks them, at one time; replaced as a whole when items are added."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.pair import Side
from crossrec.serving.attribution import reasons
from crossrec.serving.catalog import Catalog
from crossrec.serving.growing import Additions
from crossrec.serving.heat import heated
from crossrec.serving.opening import Run
from crossrec.serving.past import Past
from crossrec.serving.problems import Refused, Unknown
from crossrec.serving.rows import Row


@dataclass(frozen=True)
class Shelf:
    """The catalogs of both domains and the models that rank them.

    Attributes:
        added: the items that the data do not have.
        catalogs: of either side of the pair.
        rows: by name, the run's model first; no row where the run trained no model of that side.
    """

    added: Additions
    catalogs: Mapping[Side, Catalog]
    rows: Mapping[Side, Mapping[str, Row]]

    @classmethod
    def of(cls, run: Run, added: Additions) -> "Shelf":
        """The items of a run and some more.

        Raises:
            RuntimeError: as `Run.rows` does.
        """
        domains: dict[Side, Domain] = {"target": run.pair.target, "source": run.pair.source}
        catalogs = {
            side: Catalog.of(domain, added[side].ids, added[side].titles)
            for side, domain in domains.items()
        }
        return cls(added, catalogs, run.rows(added))

    def side(self, domain: str) -> Side:
        """Which side of the pair a domain is, by its name or as "source" or "target".

        Raises:
            Unknown: the pair has no such domain.
        """
        for side, catalog in self.catalogs.items():
            if domain in (side, catalog.name):
                return side
        names = " and ".join(catalog.name for catalog in self.catalogs.values())
        raise Unknown(f"there is no domain {domain!r}: this run has {names}")

    def event(self, domain: str, item: str) -> tuple[Side, int]:
        """Side and code of an item.

        Raises:
            Unknown: there is no such domain or item.
        """
        side = self.side(domain)
        return side, self.catalogs[side].code(item)

    def said(self, side: Side, code: int) -> dict[str, str | None]:
        """An item as answers say it."""
        return {"domain": self.catalogs[side].name, **self.catalogs[side].item(code)}

    def model(self, side: Side) -> Row:
        """The model of the run in a domain.

        Raises:
            Unknown: there is none.
        """
        for row in self.rows[side].values():
            return row
        raise Unknown(
            f"this run has no model of {self.catalogs[side].name!r}: its transfer method trains "
            "none, or its items are another owner's (source_weights). Ask for "
            f"{self.catalogs['target'].name!r}"
        )

    def check_learns(self, side: Side) -> None:
        """Refuse events that would change nothing.

        Raises:
            Refused: the model of the run does not read what users do.
        """
        if not self.model(side).reads_history:
            raise Refused(
                "the model of this run knows users by their ids alone: an event changes nothing "
                "until it is trained again. Runs with model=two_tower or model=sasrec read what "
                "users do"
            )

    def check_grows(self, side: Side) -> None:
        """Refuse items that no text would give a place.

        Raises:
            Refused: the model of the run does not read what items say.
        """
        if not self.model(side).reads_content:
            raise Refused(
                "no item can be added: the model of this run does not read texts (model=two_tower "
                "does, model=sasrec and model=mf do with model.use_content=true)"
            )

    def recommend(
        self, side: Side, past: Past, n: int, most_reasons: int, hot: float, shares: Tensor | None
    ) -> dict[str, list[dict[str, Any]]]:
        """The n best items that the past does not hold, by the name of the row.

        Args:
            most_reasons: for each item.
            hot, shares: how much recent events count, and their share by item; None for not at all.
        """
        self.model(side)
        had = torch.from_numpy(past.of(side))
        answer = {}
        for name, row in self.rows[side].items():
            scores = row.score([past])[0].clone()  # it may be the model's own
            if shares is not None:
                scores = heated(scores, shares, hot)
            scores[had] = -torch.inf
            best = scores.topk(min(n, len(scores)))
            kept = best.values > -torch.inf
            items, values = best.indices[kept], best.values[kept]
            why = reasons(row, past, items, most_reasons)
            answer[name] = [
                {
                    "rank": rank,
                    **self.catalogs[side].item(code),
                    "score": value,
                    "reasons": [{**self.said(of, j), "drop": drop} for of, j, drop in said],
                }
                for rank, (code, value, said) in enumerate(_rows(items, values, why), start=1)
            ]
        return answer


def _rows(items: Tensor, values: Tensor, why: Sequence[Any]) -> Any:
    return zip(items.tolist(), values.tolist(), why, strict=True)
