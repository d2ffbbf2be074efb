"""From rankings to the results table, by hand on four users and two items of catalog each."""

import io
import json
import math

import numpy as np
import polars as pl
import pytest
import torch
from rich.console import Console
from scipy import stats

from crossrec.errors import UserError
from crossrec.evaluation.evaluate import Panel
from crossrec.evaluation.ranking import Ranking
from crossrec.evaluation.ratings import RatingErrors
from crossrec.evaluation.results import (
    read_comparisons,
    read_results,
    read_values,
    write_results,
)
from crossrec.evaluation.summary import Results, metric_order, model_order
from crossrec.evaluation.tables import (
    addresses,
    cell,
    gain_lines,
    headline_metric,
    markdown,
    terminal,
)

N_ITEMS = 20


def ranking(ranks: list[int], lists: list[list[int]] | None = None) -> Ranking:
    n = len(ranks)
    top = torch.tensor(lists) if lists else torch.arange(10).expand(n, 10)
    return Ranking(torch.arange(n + 1), torch.tensor(ranks), torch.zeros(n), top, top.float())


def panel(n: int, cold: list[bool], **changes) -> Panel:
    arguments = {
        "user_ids": [f"u{i}" for i in range(n)],
        "n_train": np.arange(n),
        "cold": np.array(cold),
        "shared": np.ones(n, dtype=bool),
        "train_counts": torch.ones(N_ITEMS),
        "content": torch.eye(N_ITEMS),
        "truth_items": torch.arange(n),
        **changes,
    }
    return Panel(**arguments)


def four_users(**models: list[int]) -> pl.DataFrame:
    asked = panel(4, [True, True, False, False])
    return pl.concat(
        [asked.evaluate(name.replace("_", "-"), ranking(ranks)) for name, ranks in models.items()]
    )


def value(results: Results, model: str, users: str, metric: str) -> float:
    chosen = results.values.filter(
        pl.col("model") == model, pl.col("users") == users, pl.col("metric") == metric
    )
    return chosen["value"].item()


def test_one_row_a_user_with_every_metric():
    frame = panel(2, [True, False]).evaluate("scratch", ranking([3, 11]))
    assert frame["ndcg@10"].to_list() == [0.5, 0.0]
    assert frame["group"].to_list() == ["cold", "warm"]
    assert frame["novelty@10"].to_list() == pytest.approx([math.log2(20)] * 2)
    assert frame["diversity@10"].to_list() == pytest.approx([1.0, 1.0])
    assert frame["top_items"].to_list() == [list(range(10))] * 2


def test_without_content_there_is_no_diversity():
    frame = panel(1, [True], content=None).evaluate("scratch", ranking([1]))
    assert "diversity@10" not in frame.columns


def test_values_by_user_group():
    results = Results.of(four_users(scratch=[3, 11, 1, 1]), N_ITEMS)
    assert value(results, "scratch", "all", "ndcg@10") == pytest.approx(2.5 / 4)
    assert value(results, "scratch", "cold", "ndcg@10") == pytest.approx(0.25)
    assert value(results, "scratch", "warm", "mrr@10") == 1.0
    assert value(results, "scratch", "warm", "coverage@10") == 0.5
    assert results.sizes == {"all": 4, "cold": 2, "warm": 2}


def test_users_of_both_domains_stand_apart_where_there_are_others():
    asked = panel(4, [True, True, False, False], shared=np.array([True, False, True, False]))
    results = Results.of(asked.evaluate("scratch", ranking([3, 11, 1, 1])), N_ITEMS)
    assert value(results, "scratch", "shared", "ndcg@10") == pytest.approx(1.5 / 2)
    assert value(results, "scratch", "other", "ndcg@10") == 0.5
    assert results.sizes == {"all": 4, "cold": 2, "warm": 2, "shared": 2, "other": 2}
    nobody = panel(4, [True] * 4, shared=np.zeros(4, dtype=bool))
    results = Results.of(nobody.evaluate("scratch", ranking([3, 11, 1, 1])), N_ITEMS)
    assert results.sizes == {"all": 4, "cold": 4}


def test_several_list_lengths_and_coverage_of_each():
    lists = [[0, 1, 2], [0, 3, 4]]
    asked = panel(2, [False, False], ks=(1, 3))
    results = Results.of(asked.evaluate("scratch", ranking([1, 2], lists)), N_ITEMS)
    assert value(results, "scratch", "all", "coverage@1") == 1 / 20
    assert value(results, "scratch", "all", "coverage@3") == 5 / 20
    assert value(results, "scratch", "all", "hit@1") == 0.5
    assert "cold" not in results.sizes


def test_rating_columns_weigh_events():
    asked = panel(2, [True, False])
    errors = RatingErrors(
        np.array([3.0, 1.0]), np.array([3.0, 13.0]), np.array([3.0, 1.0]), np.array([3.0, 0.0])
    )
    rated, ranked = asked.evaluate("scratch", ranking([1, 1]), errors), ranking([1, 1])
    frame = pl.concat([rated, asked.evaluate("popularity", ranked)], how="diagonal")
    results = Results.of(frame, N_ITEMS)
    assert value(results, "scratch", "all", "rmse") == pytest.approx(2.0)  # sqrt(16 / 4)
    assert value(results, "scratch", "all", "mae") == pytest.approx(1.0)
    assert value(results, "scratch", "all", "like_accuracy") == pytest.approx(0.75)
    assert results.values.filter(model="popularity", metric="rmse").is_empty()


def test_comparisons_pair_users_whatever_the_order_of_rows():
    generator = np.random.default_rng(0)
    ours, theirs = generator.integers(1, 6, (2, 40)).tolist()
    asked = panel(40, [i % 2 == 0 for i in range(40)])
    frame = pl.concat(
        [
            asked.evaluate("transferred", ranking(ours)),
            asked.evaluate("scratch", ranking(theirs)),
        ]
    )
    results = Results.of(frame.sample(fraction=1.0, shuffle=True, seed=1), N_ITEMS)
    found = results.comparisons.filter(metric="mrr@10", users="all").row(0, named=True)
    a, b = 1 / np.array(ours), 1 / np.array(theirs)
    assert found["model"] == "transferred"
    assert found["gain"] == pytest.approx(a.mean() - b.mean())
    assert found["p"] == pytest.approx(stats.ttest_rel(a, b).pvalue)
    raw = results.comparisons.filter(metric="mrr@10")
    assert raw["p_holm"].max() <= 3 * raw["p"].max()
    smallest = raw.row(raw["p"].arg_min(), named=True)
    assert smallest["p_holm"] == pytest.approx(min(1.0, 3 * smallest["p"]))


def test_other_models_do_not_dilute_the_one_comparison_that_matters():
    generator = np.random.default_rng(1)
    draw = {m: generator.integers(1, 9, 4).tolist() for m in ("scratch", "transferred")}
    alone = Results.of(four_users(**draw), N_ITEMS)
    crowd = four_users(**draw, popularity=[9, 5, 3, 4], item_knn=[4, 4, 1, 2])
    both = Results.of(crowd, N_ITEMS).comparisons.filter(model="transferred")
    assert both.equals(alone.comparisons)


def test_equal_models_have_no_significant_gain():
    results = Results.of(four_users(scratch=[3, 1, 2, 5], transferred=[3, 1, 2, 5]), N_ITEMS)
    assert results.comparisons["p_holm"].to_list() == [1.0] * len(results.comparisons)
    lines = gain_lines(results)
    assert len(lines) == 3
    assert all(line.endswith("no significant difference") for line in lines)


def test_models_must_have_the_same_users():
    frame = four_users(scratch=[1, 1, 1, 1], popularity=[1, 1, 1, 1])
    with pytest.raises(ValueError, match="not asked about the same all users"):
        Results.of(frame.head(7), N_ITEMS)


def test_orders():
    models = ["oracle", "ewc", "transferred", "scratch", "item-knn", "zero-shot", "popularity"]
    assert sorted(models, key=model_order) == [
        *("popularity", "item-knn", "scratch", "zero-shot", "ewc", "transferred", "oracle")
    ]
    metrics = ["rmse", "coverage@5", "recall@10", "ndcg@10", "mrr@5", "ndcg@5"]
    assert sorted(metrics, key=metric_order) == [
        *("ndcg@5", "mrr@5", "coverage@5", "ndcg@10", "recall@10", "rmse")
    ]


@pytest.mark.parametrize(
    ("metrics", "headline"),
    [
        (["rmse", "recall@5", "ndcg@5", "ndcg@10"], "ndcg@10"),  # by which validation chose
        (["recall@5", "ndcg@20", "ndcg@5"], "ndcg@5"),
        (["mrr@5", "recall@3"], "recall@3"),
    ],
)
def test_what_a_run_is_judged_by(metrics, headline):
    assert headline_metric(pl.DataFrame({"metric": metrics * 2})) == headline


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metrics": ["ndgc"]}, "evaluation.metrics: no metric 'ndgc'; there are recall"),
        ({"beyond": ["serendipity"]}, "evaluation.beyond: no metric 'serendipity'"),
        ({"ks": [0]}, r"evaluation.ks must be list lengths >= 1, got \[0\]"),
    ],
)
def test_misspelt_metrics_are_named(changes, message):
    with pytest.raises(UserError, match=message):
        panel(1, [True], **changes)


def test_lists_must_be_long_enough_and_one_a_user():
    with pytest.raises(ValueError, match="lists of 10, but ks go to 20"):
        panel(1, [True], ks=(20,)).evaluate("scratch", ranking([1]))
    with pytest.raises(ValueError, match="2 lists for 1 users"):
        panel(1, [True]).evaluate("scratch", ranking([1, 2]))


def large() -> Results:
    """120 users: transferred puts the item first where scratch has it second, for warm users."""
    asked = panel(120, [i < 60 for i in range(120)])
    better = [2] * 60 + [1, 2, 1] * 20
    errors = RatingErrors(np.ones(120), np.ones(120), np.ones(120), np.ones(120))
    models = {"scratch": [2] * 120, "transferred": better, "popularity": [40] * 120}
    rows = [asked.evaluate(name, ranking(ranks), errors) for name, ranks in models.items()]
    return Results.of(pl.concat(rows), N_ITEMS)


def test_gain_lines_say_it_in_words():
    every, cold, warm = gain_lines(large())
    assert cold.startswith("transferred vs scratch, cold users: NDCG@10 +0.0% [+0.0%, +0.0%]")
    assert cold.endswith("p = 1.000: no significant difference")
    assert every.endswith("p < 0.001: significant gain")
    assert "+39.0%" in warm  # 2 of 3 users gain 1 - 1 / log2(3) on 1 / log2(3)


def test_gain_lines_with_too_few_users_and_with_nothing_to_divide_by():
    asked = panel(3, [True, False, False])
    rows = [
        asked.evaluate("scratch", ranking([50, 50, 50])),
        asked.evaluate("transferred", ranking([1, 1, 3])),
    ]
    every, cold, _ = gain_lines(Results.of(pl.concat(rows), N_ITEMS))
    assert "+0.8333 [" in every
    assert cold.endswith("too few users to test")


def test_cells():
    assert cell("ndcg@10", 0.01234, 0.0112, 0.0134) == ".0123±.0011"
    assert cell("novelty@10", 9.876, math.nan, math.nan) == "9.88"
    assert cell("rmse", 1.05, 1.0, 1.1) == "1.050±.050"


def test_the_terminal_table_fits_80_columns():
    console = Console(width=80, record=True, file=io.StringIO())
    console.print(terminal(large(), "marketplace, seed 0"))
    text = console.export_text()
    lines = text.splitlines()
    assert lines[0] == "marketplace, seed 0"
    assert "…" not in text
    blocks = [line.strip() for line in lines if line.strip().endswith(" users")]
    assert blocks == ["all users", "cold users", "warm users"] * 2
    first = [line.split()[0] for line in lines if line[:1].isalpha() and "±" in line]
    assert first == ["popularity", "scratch", "transferred"] * 6
    assert "60 cold, 60 warm" in text


def test_markdown_has_a_row_a_model():
    text = markdown(large(), "marketplace, seed 0")
    assert text.startswith("marketplace, seed 0\n")
    assert "| model | NDCG@10 | Recall@10 | Hit@10 | MRR@10 | Precision@10 |" in text
    assert "| scratch | .6309±.0000 | 1.0000±.0000 |" in text
    assert "- transferred vs scratch, all users: NDCG@10 +19.5%" in text


def test_addresses():
    found = addresses(large())
    assert found["test/target/ndcg@10"] > found["test/target/scratch/ndcg@10"]
    assert found["test/target/scratch/cold/rmse"] == 1.0
    assert found["test/target/cold/ndcg@10"] == pytest.approx(1 / math.log2(3))


def test_what_is_written_can_be_read(tmp_path):
    per_user = four_users(scratch=[3, 11, 1, 1], transferred=[1, 2, 1, 1])
    results = Results.of(per_user, N_ITEMS)
    write_results(tmp_path, per_user, results, "caption", N_ITEMS)
    values = read_values(tmp_path / "results.csv")
    assert values.columns == ["model", "users", "metric", "value", "low", "high"]
    assert values.equals(results.values, null_equal=True)
    comparisons = read_comparisons(tmp_path / "comparisons.csv")
    assert comparisons.drop("p", "p_holm").equals(results.comparisons.drop("p", "p_holm"))
    again, caption = read_results(tmp_path)
    assert again.values.equals(results.values)
    assert again.sizes == results.sizes
    assert caption == "caption"
    record = json.loads((tmp_path / "metrics.json").read_text())
    assert record["models"]["scratch"]["cold"]["ndcg@10"] == pytest.approx(0.25)
    assert (tmp_path / "results.md").read_text() == markdown(results, "caption")
    assert read_comparisons(tmp_path / "absent.csv").is_empty()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "cannot be read as results"),
        ("model,users,metric,value,low,high\n", "no row in it"),
        ("model,users\na,b\n", "lacks metric, value, low, high"),
        ("model,users,metric,value,low,high\na,all,ndcg@10,x,0,1\n", "cannot be read as results"),
    ],
)
def test_broken_results_are_named(tmp_path, content, message):
    path = tmp_path / "results.csv"
    path.write_text(content)
    with pytest.raises(UserError, match=message) as error:
        read_values(path)
    assert str(path) in str(error.value)


def test_broken_run_folders_are_named(tmp_path):
    with pytest.raises(UserError, match=r"metrics\.json: cannot be read"):
        read_results(tmp_path)
    (tmp_path / "metrics.json").write_text('{"caption": "c", "n_items": 3}')
    (tmp_path / "per_user.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match=r"per_user\.parquet: cannot be read"):
        read_results(tmp_path)
