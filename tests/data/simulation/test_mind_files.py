import re
from collections import Counter, defaultdict
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from crossrec.data.simulation.mind_files import write_domain
from crossrec.data.simulation.ranks import ranks

World = dict[str, tuple]


@pytest.fixture(scope="module")
def written(feeds: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("news")
    products, _, events = feeds["news"]
    write_domain(folder, products, events, np.random.default_rng(0))
    return folder


def rows(folder: Path, name: str) -> list[list[str]]:
    text = (folder / name).read_text(encoding="utf-8")
    return [line.split("\t") for line in text.splitlines()]


def test_articles_have_the_published_fields(feeds: World, written: Path) -> None:
    products = feeds["news"][0]
    articles = rows(written, "news.tsv")
    assert [row[0] for row in articles] == [f"N{number}" for number in range(600)]
    assert {len(row) for row in articles} == {8}
    for item, number in enumerate(ranks(products.asins)):
        _, category, subcategory, title, abstract, url, *entities = articles[number]
        text = products.texts[item]
        assert (title, abstract) == (text.title, text.description)
        assert (category, subcategory) == (text.shelf.lower(), text.type.lower())
        assert url.startswith("https://")
        assert entities == ["[]", "[]"]


def test_impressions_show_the_click_among_what_was_passed_over(written: Path) -> None:
    impressions = rows(written, "behaviors.tsv")
    assert [row[0] for row in impressions] == [str(n + 1) for n in range(len(impressions))]
    places = Counter()
    for _, user, time, _, shown in impressions:
        assert re.fullmatch(r"U\d+", user)
        assert re.fullmatch(r"\d{1,2}/\d{1,2}/\d{4} \d{1,2}:\d\d:\d\d [AP]M", time)
        entries = shown.split(" ")
        assert all(re.fullmatch(r"N\d+-[01]", entry) for entry in entries)
        assert len({entry[:-2] for entry in entries}) == len(entries) <= 9
        clicked = [place for place, entry in enumerate(entries) if entry.endswith("-1")]
        assert len(clicked) == 1
        places[clicked[0]] += 1
    assert places[0] > 0.05 * len(impressions)
    assert places[4] > 0.05 * len(impressions)


def test_clicks_and_times_are_those_of_the_events(feeds: World, written: Path) -> None:
    products, _, events = feeds["news"]
    news, users = ranks(products.asins), ranks(events.preferences.users)
    expected = Counter(
        (f"U{users[user]}", f"N{news[item]}", time)
        for user, item, time in zip(
            events.user.tolist(), events.item.tolist(), events.time.tolist(), strict=True
        )
    )
    found = Counter()
    last = datetime.min.replace(tzinfo=UTC)
    for _, user, time, _, shown in rows(written, "behaviors.tsv"):
        moment = datetime.strptime(time + " +0000", "%m/%d/%Y %I:%M:%S %p %z")
        assert moment >= last
        last = moment
        (clicked,) = (entry[:-2] for entry in shown.split() if entry.endswith("-1"))
        found[user, clicked, int(moment.timestamp())] += 1
    assert found == expected


def test_history_is_what_was_clicked_before(written: Path) -> None:
    past = defaultdict(list)
    for _, user, _, history, shown in rows(written, "behaviors.tsv"):
        assert history.split() == past[user]
        past[user] += [entry[:-2] for entry in shown.split() if entry.endswith("-1")]
    assert max(map(len, past.values())) > 5


def test_what_is_shown_is_current_and_knows_no_taste(feeds: World, written: Path) -> None:
    products, _, events = feeds["news"]
    item_of = dict(zip(ranks(products.asins), range(600), strict=True))
    user_of = dict(zip(ranks(events.preferences.users), range(800), strict=True))
    truth = events.preferences
    liking: dict[str, list[float]] = {"0": [], "1": []}
    for _, user, time, _, shown in rows(written, "behaviors.tsv"):
        moment = datetime.strptime(time + " +0000", "%m/%d/%Y %I:%M:%S %p %z").timestamp()
        for entry in shown.split():
            name, _, click = entry.partition("-")
            item = item_of[int(name[1:])]
            assert products.published[item] <= moment
            factors = truth.user_factors[user_of[int(user[1:])]], truth.item_factors[item]
            liking[click].append(float(factors[0][:-1] @ factors[1][:-1]))
    assert abs(np.mean(liking["0"])) < 0.3
    assert np.mean(liking["1"]) > 1


def test_no_field_breaks_a_line(make_world: Callable[..., World]) -> None:
    for text in make_world(0.7, domains=("news", "social"))["news"][0].texts:
        assert not {"\t", "\n", '"'} & set(text.title + text.description)
