"""What a service answers: the run's own lists, until somebody does something new."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from crossrec.data.columns import ITEM, USER
from crossrec.serving.opening import Run
from crossrec.serving.problems import Refused, Unknown
from crossrec.serving.service import Service

MakeRun = Callable[..., Path]
# Runs share what they can: those with the same model share its source and scratch.
RUNS = {
    "two_tower": (("pretraining=default", "pretraining.max_steps=3", "trainer.max_epochs=3"), True),
    "mf": (("model=mf",), False),
    "guarded": (("transfer=guarded", "model=mf"), False),
    "joint_ease": (("transfer=joint_ease", "model=mf"), False),
    "interleaved": (("transfer=interleaved", "model=mf"), False),
    "sasrec": (("model=sasrec", "transfer=zero_shot_text", "trainer.max_epochs=1"), True),
}


@pytest.mark.parametrize("name", RUNS)
def test_who_did_nothing_new_gets_the_lists_of_the_run(make_run: MakeRun, name: str) -> None:
    overrides, text_too = RUNS[name]
    folder = make_run(*overrides, text_too=text_too)
    service = Service(Run(folder, None, "cpu"))
    written = pl.read_parquet(folder / "recommendations.parquet")
    for (domain, user), lists in written.group_by("domain", USER, maintain_order=True):
        answer = service.recommend(str(user), [], str(domain), 10)
        row = "transferred" if domain == "electronics" else "source"
        scores = [item["score"] for item in answer[row]]
        np.testing.assert_allclose(scores, lists["score"], rtol=1e-4, atol=1e-5)
        clear = np.abs(np.diff(lists["score"])).min(initial=1) > 1e-5  # equal scores: any order
        if clear:
            assert [item["item"] for item in answer[row]] == lists[ITEM].to_list()
        assert set(answer) == ({"transferred", "scratch"} if row == "transferred" else {"source"})


def test_an_event_changes_the_next_answer_as_training_would_have_read_it(service: Service) -> None:
    pair = service.run.pair
    lengths = (pair.target.known.lengths > 2) & (pair.target_only.known.lengths > 1)
    user = str(pair.target.user_ids[int(lengths.nonzero()[0])])
    before = service.recommend(user, [], "electronics", 10)
    best = before["transferred"][0]["item"]
    assert service.tell(user, "electronics", best) == 1
    after = service.recommend(user, [], "electronics", 10)
    for name in ("transferred", "scratch"):
        assert best not in [item["item"] for item in after[name]]
        assert after[name][0]["score"] != before[name][0]["score"]
    assert service.history(user)[-1]["item"] == best
    # What was told is read as a history that is sent along: both are the same past.
    other = Service(service.run)
    assert other.recommend(user, [("electronics", best)], "electronics", 10) == after
    assert other.recommend(user, [], "electronics", 10) == before


def test_an_event_in_the_source_is_past_for_the_target_but_not_for_scratch(
    service: Service,
) -> None:
    user = str(service.run.pair.target.user_ids[0])
    before = service.recommend(user, [], "target", 5)
    item = service.recommend(user, [], "home", 1)["source"][0]["item"]
    service.tell(user, "home", item)
    after = service.recommend(user, [], "electronics", 5)
    assert after["transferred"] != before["transferred"]
    assert after["scratch"] == before["scratch"]
    assert service.recommend(user, [], "home", 1)["source"][0]["item"] != item


def test_a_stranger_is_known_from_the_first_event_on(service: Service) -> None:
    with pytest.raises(Unknown, match="nobody knows user 'zoe'"):
        service.recommend("zoe", [], "electronics", 5)
    item = service.search("electronics", "", 1)[0]["item"]
    assert item is not None
    asked = service.recommend(None, [("electronics", item)], "electronics", 5)
    assert service.recommend("zoe", [("electronics", item)], "electronics", 5) == asked
    service.tell("zoe", "electronics", item)
    assert service.recommend("zoe", [], "electronics", 5) == asked


def test_a_model_of_ids_says_that_it_learns_nothing_from_an_event(make_run: MakeRun) -> None:
    service = Service(Run(make_run("model=mf"), None, "cpu"))
    item = service.search("electronics", "", 1)[0]["item"]
    assert item is not None
    with pytest.raises(Refused, match="by their ids alone"):
        service.tell("zoe", "electronics", item)
    with pytest.raises(Refused, match="by their ids alone"):
        service.recommend(None, [("electronics", item)], "electronics", 5)
    assert not service.about()["takes_events"]


def test_a_reason_is_the_exact_fall_of_the_score(service: Service) -> None:
    known = service.run.pair.target.known
    user = str(service.run.pair.target.user_ids[int(known.lengths.argmax())])
    history = [(did["domain"], did["item"]) for did in service.history(user)]
    answer = service.recommend(None, history, "electronics", 5, most_reasons=2)["transferred"]
    assert any(item["reasons"] for item in answer)
    for item in answer:
        falls = {}
        for left_out in set(history):
            rest = [event for event in history if event != left_out]
            lists = service.recommend(None, rest, "electronics", 1000)["transferred"]
            score = next(other["score"] for other in lists if other["item"] == item["item"])
            falls[left_out] = item["score"] - score
        for reason in item["reasons"]:
            fall = falls.pop((reason["domain"], reason["item"]))
            assert reason["drop"] == pytest.approx(fall, abs=1e-4)
            assert fall >= max(falls.values()) - 1e-4
        assert len(item["reasons"]) == 2 or max(falls.values()) < 1e-4


def test_hot_items_come_forward_and_cool_down(service: Service) -> None:
    user = str(service.run.pair.target.user_ids[0])
    all_items = service.recommend(user, [], "electronics", 1000)["transferred"]
    last = all_items[-1]["item"]
    now = 4e9  # long after the data
    service.memory.clock = lambda: now
    for visitor in ("ann", "bob", "cid"):
        service.tell(visitor, "electronics", last)
    service.tell("ann", "electronics", all_items[-2]["item"])
    hot = service.recommend(user, [], "electronics", 3, hot=1.0, half_life=60)["transferred"]
    assert [item["item"] for item in hot[:2]] == [last, all_items[-2]["item"]]
    assert [item["score"] for item in hot] == pytest.approx([1, 1 / 3, 0])
    mixed = service.recommend(user, [], "electronics", 1000, hot=0.3, half_life=60)
    scores = {item["item"]: item["score"] for item in mixed["transferred"]}
    assert scores[last] == pytest.approx(0.3 * 1, abs=0.05)  # the least of scores, the most of heat
    now += 600  # ten half-lives later, one event more counts as much as 1,024 of then
    service.tell("dan", "electronics", all_items[-3]["item"])
    cold = service.recommend(user, [], "electronics", 3, hot=1.0, half_life=60)["transferred"]
    assert cold[0]["item"] == all_items[-3]["item"]
    assert cold[1]["score"] == pytest.approx(3 / 1024)


def test_unknown_names_are_answered_with_advice(service: Service) -> None:
    user = str(service.run.pair.target.user_ids[0])
    with pytest.raises(Unknown, match="this run has electronics and home"):
        service.recommend(user, [], "shoes", 5)
    with pytest.raises(Unknown, match=r"has no item .x.*search="):
        service.tell(user, "home", "x")


def test_a_run_without_a_source_model_says_so(make_run: MakeRun) -> None:
    service = Service(Run(make_run("transfer=joint_ease", "model=mf"), None, "cpu"))
    user = str(service.run.pair.target.user_ids[0])
    with pytest.raises(Unknown, match="no model of 'home'"):
        service.recommend(user, [], "home", 5)


def test_many_threads_ask_and_tell_at_once(service: Service, tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    torch.set_num_threads(1)
    items = [str(item["item"]) for item in service.search("electronics", "", 20)]

    def visit(number: int) -> int:
        service.recommend("zoe" if number % 2 else None, [("home", home)], "electronics", 3)
        return service.tell("zoe", "electronics", items[number % len(items)])

    home = str(service.search("home", "", 1)[0]["item"])
    with ThreadPoolExecutor(8) as pool:
        counts = list(pool.map(visit, range(40)))
    assert sorted(counts) == list(range(1, 41))
    assert len(service.history("zoe")) == 40
