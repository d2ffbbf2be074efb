"""Items by their text alone, and what is kept for the next start."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from crossrec.data.storage import read_items, read_reviews
from crossrec.encoders.text import compose
from crossrec.errors import UserError
from crossrec.serving.journal import Journal
from crossrec.serving.opening import Run
from crossrec.serving.problems import Refused
from crossrec.serving.service import Service
from crossrec.serving.text import NoText

MakeRun = Callable[..., Path]
TEXT_ALONE = ("model=sasrec", "transfer=zero_shot_text", "trainer.max_epochs=1")
NEW = {"item_id": "new", "title": "walnut oak headphones"}


def test_a_new_item_gets_the_vector_that_the_encode_stage_would_have_given(
    service: Service,
) -> None:
    run = service.run
    table = read_items(run.data, "target")
    fields = [*run.settings.data["text_fields"], "item_id"]
    items = [
        {name: text for name, text in row.items() if name in fields and text}
        for row in table.head(20).iter_rows(named=True)
    ]
    assert run.reader is not None
    # The text is that of the stage (which reads no reviews here), and so is the vector.
    texts = compose(table.head(20), fields[:-1], reviews=read_reviews(run.data, "target"))
    assert all(texts)
    vectors = run.reader.vectors(items)
    assert run.content.target is not None
    torch.testing.assert_close(vectors, run.content.target[:20], rtol=1e-4, atol=1e-5)


def test_an_added_item_is_found_ranked_and_part_of_histories(service: Service) -> None:
    user = str(service.run.pair.target.user_ids[0])
    before = service.recommend(user, [], "electronics", 1000)
    service.add_items("electronics", [NEW])
    after = service.recommend(user, [], "electronics", 1000)
    for name in ("transferred", "scratch"):
        scores = {item["item"]: item["score"] for item in after[name]}
        assert "new" in scores
        old = {item["item"]: item["score"] for item in before[name]}
        del scores["new"]
        assert scores == pytest.approx(old, abs=1e-5)  # nobody else has moved
    assert service.search("electronics", "OAK walnut", 5) == [
        {"item": "new", "title": "walnut oak headphones"}
    ]
    service.tell(user, "electronics", "new")
    told = service.recommend(user, [], "electronics", 1000)["transferred"]
    assert "new" not in [item["item"] for item in told]
    assert service.history(user)[-1]["title"] == "walnut oak headphones"


def test_an_item_of_the_source_moves_no_code_of_the_target(service: Service) -> None:
    known = service.run.pair.target.known
    user = str(service.run.pair.target.user_ids[int(known.lengths.argmax())])
    before = service.recommend(user, [], "electronics", 5, most_reasons=2)
    told = service.recommend(user, [("home", _any(service, "home"))], "electronics", 5)
    service.add_items("home", [NEW])
    service.add_items("electronics", [NEW])  # which moves the codes of all source items
    after = service.recommend(user, [], "electronics", 1000, most_reasons=2)
    kept = [item["item"] for item in after["transferred"] if item["item"] != "new"][:5]
    assert kept == [item["item"] for item in before["transferred"]]
    again = service.recommend(user, [("home", _any(service, "home"))], "electronics", 1000)
    scores = {item["item"]: item["score"] for item in again["transferred"]}
    assert [scores[item["item"]] for item in told["transferred"]] == pytest.approx(
        [item["score"] for item in told["transferred"]], abs=1e-5
    )
    assert "new" in [item["item"] for item in service.recommend(user, [], "home", 1000)["source"]]


def _any(service: Service, domain: str) -> str:
    return str(next(iter(service.run.pair.source.items["item_id"])))


def test_what_cannot_be_added(service: Service, make_run: MakeRun) -> None:
    with pytest.raises(NoText, match="'bare' has no text: give at least one of title"):
        service.add_items("electronics", [NEW, {"item_id": "bare"}])
    with pytest.raises(Refused, match="has an item 'new' already"):
        service.add_items("electronics", [NEW, NEW])
    assert service.search("electronics", "walnut oak headphones", 5) == []
    without = Service(Run(make_run("model=mf"), None, "cpu"))
    with pytest.raises(Refused, match="encoder=none"):
        without.add_items("electronics", [NEW])
    without.run.reader = service.run.reader  # a language model that no model asks
    with pytest.raises(Refused, match="does not read texts"):
        without.add_items("electronics", [NEW])


def test_a_method_that_reads_texts_alone_takes_items(make_run: MakeRun) -> None:
    service = Service(Run(make_run(*TEXT_ALONE, text_too=True), None, "cpu"))
    item = _any(service, "home")
    before = service.recommend(None, [("home", item)], "electronics", 5)["transferred"]
    service.add_items("electronics", [NEW])
    after = service.recommend(None, [("home", item)], "electronics", 1000)["transferred"]
    scores = {item["item"]: item["score"] for item in after}
    assert "new" in scores
    assert [scores[item["item"]] for item in before] == pytest.approx(
        [item["score"] for item in before], abs=1e-4
    )


def test_what_was_told_is_known_after_a_restart(text_run: Path, tmp_path: Path) -> None:
    file = tmp_path / "events.jsonl"
    run = Run(text_run, None, "cpu")
    first = Service(run, Journal(file))
    first.add_items("electronics", [NEW])
    first.tell("zoe", "electronics", "new")
    asked = first.recommend("zoe", [], "electronics", 5, hot=0.5)
    assert [list(json.loads(line)) for line in file.read_text().splitlines()] == [
        ["items"],
        ["event"],
    ]
    with file.open("a") as stream:
        stream.write('{"event": {"user": "bob", "dom')  # the process was killed here
    second = Service(run, Journal(file))
    second.memory.clock = first.memory.clock = lambda: 4e9
    assert second.history("zoe") == first.history("zoe")
    assert second.recommend("zoe", [], "electronics", 5) == first.recommend(
        "zoe", [], "electronics", 5
    )
    assert len(asked["transferred"]) == 5
    second.tell("bob", "electronics", "new")
    assert len(Service(run, Journal(file)).history("bob")) == 1  # and told once


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"event": {"user": "a", "domain": "shoes", "item": "x", "time": 1}}', "no domain"),
        ('{"event": {"user": "a"}}', "another run"),
        ("[1]", "expected one JSON object"),
    ],
)
def test_a_file_of_another_run_is_refused(
    service: Service, tmp_path: Path, line: str, said: str
) -> None:
    file = tmp_path / "events.jsonl"
    file.write_text(line + "\n")
    with pytest.raises(UserError, match=rf"events.jsonl, line 1.*{said}"):
        Service(service.run, Journal(file))
