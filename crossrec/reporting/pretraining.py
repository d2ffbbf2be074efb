"""What pretraining did to the language model: held-out measures before and after."""

from __future__ import annotations

from pathlib import Path

from crossrec.reporting.blocks import Cell, Rows, Table
from crossrec.reporting.reading import pretraining_of

NOTE = (
    "Of texts and of users that were not trained on. An item is asked with, and other items of the "
    "same person are to be its nearest by text; [95% interval over users]."
)


def pretraining_table(run: Path) -> list[Table]:
    """A table of what pretraining measured; none where the language model was left as it was.

    Raises:
        UserError: the run's file cannot be read.
    """
    account = pretraining_of(run)
    rows = [
        [Cell(name), *(Cell(f"{account[f'{name}_{when}']:.4g}") for when in ("before", "after"))]
        for name in ("perplexity", "accuracy")
        if f"{name}_before" in account
    ]
    found = [account.get(f"retrieval_{when}", {}) for when in ("before", "after")]
    for direction, before in found[0].items():
        cells = [Cell(_estimate(values)) for values in (before, found[1][direction])]
        name = f"beside an item, {direction}: NDCG@10 ({before['users']:,} users)"
        rows.append([Cell(name), *cells])
    if not rows:
        return []
    caption = f"The language model before and after {account['steps']:,} steps of pretraining."
    header = ["measure", "before", "after"]
    return [Table("pretraining", caption, header, [Rows("", rows)], NOTE)]


def _estimate(values: dict[str, float | None]) -> str:
    low, high = values["ndcg@10_low"], values["ndcg@10_high"]
    interval = "" if low is None or high is None else f" [{low:.4f}, {high:.4f}]"
    return f"{values['ndcg@10']:.4f}{interval}"
