"""Raw files in the format of MIND (Wu et al., ACL 2020): articles, and impressions with clicks."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from crossrec.data.simulation.events import Events
from crossrec.data.simulation.products import Products
from crossrec.data.simulation.ranks import ranks

PASSED_OVER = 8  # articles drawn to be shown beside the one that is clicked


def write_domain(
    folder: Path, products: Products, events: Events, rng: np.random.Generator
) -> None:
    """Write `news.tsv` and `behaviors.tsv`: one impression a click, by time.

    What an impression shows besides is drawn as everybody sees it, by popularity, age and heat
    but not by taste. Its history is what the reader had clicked before.
    """
    news = [f"N{number}" for number in ranks(products.asins)]
    articles = sorted(zip(news, products.texts, strict=True), key=lambda pair: int(pair[0][1:]))
    lines = [
        f"{name}\t{_tag(text.shelf)}\t{_tag(text.type)}\t{text.title}\t{text.description}\t"
        f"https://news.example/{name}.html\t[]\t[]\n"
        for name, text in articles
    ]
    (folder / "news.tsv").write_text("".join(lines), encoding="utf-8")

    readers = [f"U{number}" for number in ranks(events.preferences.users)]
    past: dict[int, list[str]] = {}
    passed_over = _passed_over(products, events, rng).tolist()
    place = rng.random(len(events.user)).tolist()
    lines = []
    order = np.lexsort((events.user, events.time)).tolist()
    rows = zip(events.user.tolist(), events.item.tolist(), events.time.tolist(), strict=True)
    impressions = list(rows)
    for number, row in enumerate(order, start=1):
        user, item, time = impressions[row]
        shown = [f"{news[other]}-0" for other in dict.fromkeys(passed_over[row]) if other != item]
        shown.insert(int(place[row] * (len(shown) + 1)), f"{news[item]}-1")
        history = past.setdefault(user, [])
        lines.append(
            f"{number}\t{readers[user]}\t{_clock(time)}\t{' '.join(history)}\t{' '.join(shown)}\n"
        )
        history.append(news[item])
    (folder / "behaviors.tsv").write_text("".join(lines), encoding="utf-8")


def _tag(words: str) -> str:
    """As MIND writes categories: "football_nfl"."""
    return words.lower().replace(" ", "_")


def _clock(time: int) -> str:
    """Unix seconds as "11/9/2019 9:05:58 AM", in UTC."""
    moment = datetime.fromtimestamp(time, UTC)
    return f"{moment.month}/{moment.day}/{moment.year} {moment.hour % 12 or 12}:{moment:%M:%S %p}"


def _passed_over(products: Products, events: Events, rng: np.random.Generator) -> NDArray[np.int64]:
    """(clicks, PASSED_OVER) rows of articles, each drawn with its weight for everybody."""
    weights = np.exp(products.log_popularity) * events.climate.factors
    heights = np.cumsum(weights, axis=1)
    heights /= heights[:, -1:]
    slot = events.climate.slot[:, None]
    # One ascending list over all slots: that of slot k lies between k and k + 1.
    ladder = (heights + np.arange(len(heights))[:, None]).ravel()
    below_one = 1 - 1e-9  # so that no sum rounds up into the next slot
    height = slot + below_one * rng.random((len(slot), PASSED_OVER))
    drawn = np.searchsorted(ladder, height, side="right")
    return drawn - slot * weights.shape[1]
