"""Words, titles and nearest texts: two by two by hand, and against dense arithmetic."""

from math import log, sqrt

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.data.columns import ITEM, ITEM_COLUMNS
from crossrec.data.statistics import text_match
from crossrec.data.statistics.text_match import TextMatch, match_texts, normalize

Titles = list[str | None]


def catalog(titles: Titles, prefix: str = "i", **columns: Titles) -> pl.DataFrame:
    ids = [f"{prefix}{k}" for k in range(len(titles))]
    table = pl.DataFrame(
        {ITEM: ids, "title": titles, **columns},
        schema_overrides={"title": pl.String, **dict.fromkeys(columns, pl.String)},
    )
    return table.with_columns(
        pl.lit(None, dtype=pl.String).alias(column)
        for column in ITEM_COLUMNS
        if column not in table.columns
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Women’s  CAFÉ-Set", "womens café set"),
        ("women's cafe\u0301 set!", "womens café set"),
        ("STRASSE", "strasse"),
        ("Straße", "strasse"),
        ("ﬁx  №5 ＡＢ", "fix no5 ab"),
        ("红楼梦 2", "红 楼 梦 2"),
        ("a_b\nc\té", "a b c é"),
        (" -- ", ""),
        (None, ""),
        ("हिन्दी", "हिन्दी"),
    ],
)
def test_words_are_folded_and_punctuation_is_out(text: str | None, expected: str) -> None:
    assert normalize(pl.Series([text], dtype=pl.String)).to_list() == [expected]


@settings(deadline=None)
@given(st.lists(st.text(max_size=8) | st.none(), max_size=8))
def test_each_text_is_normalized_for_itself(texts: Titles) -> None:
    together = normalize(pl.Series(texts, dtype=pl.String)).to_list()
    alone = [normalize(pl.Series([text], dtype=pl.String)).to_list()[0] for text in texts]
    assert together == alone
    assert all("  " not in text and text == text.strip(" ") for text in together)


def test_a_match_by_hand() -> None:
    source = catalog(["Red cup", None])
    target = catalog(["red CUP!", "blue cup", "", None])
    # Three texts: red in two of them, cup in three, blue in one.
    red, blue = 1 + log(4 / 3), 1 + log(4 / 2)
    cosine = 1 / sqrt((1 + red**2) * (1 + blue**2))  # of "red cup" and "blue cup"
    assert match_texts(source, target) == TextMatch(
        source_items=1,
        target_items=2,
        source_words=2,
        target_words=3,
        shared_words=2,
        known_words=3 / 4,
        equal_titles=1,
        of_titles=1 / 2,
        sampled=2,
        to_source=pytest.approx((1 + cosine) / 2, rel=1e-6),
        to_target=pytest.approx(cosine, rel=1e-6),
    )


def test_text_is_title_categories_and_brand_or_else_keywords() -> None:
    source = catalog(["mug"], brand=["acme"], categories=["Home > Kitchen"], keywords=["never"])
    words = catalog(["mug", "acme", "home kitchen", None], keywords=[None, None, None, "never"])
    found = match_texts(source, words)
    assert (found.source_words, found.target_items, found.target_words) == (4, 4, 5)
    assert found.shared_words == 4
    assert match_texts(words, source).known_words == 1.0


def test_a_word_counts_as_often_as_it_occurs() -> None:
    assert match_texts(catalog(["a"]), catalog(["a a a b"])).known_words == 3 / 4


def test_limits() -> None:
    some = catalog(["red cup", "blue cup", "tall glass"])
    same = match_texts(some, some)
    assert (same.known_words, same.of_titles) == (1.0, 1.0)
    assert same.to_source == pytest.approx(1, abs=1e-6)
    assert same.to_target is not None
    assert same.to_target < 0.6  # an item is not its own neighbor
    foreign = match_texts(catalog(["perro gato"]), some)
    assert (foreign.known_words, foreign.to_source, foreign.equal_titles) == (0.0, 0.0, 0)


@pytest.mark.parametrize("titles", [[], [None], ["..."]])
def test_without_text(titles: Titles) -> None:
    nothing, some = catalog(titles), catalog(["red cup"])
    found = match_texts(some, nothing)
    assert (found.known_words, found.of_titles, found.sampled) == (None, None, 0)
    assert (found.to_source, found.to_target) == (None, None)
    found = match_texts(nothing, some)
    assert (found.known_words, found.to_source, found.to_target) == (0.0, None, None)


TITLES = st.lists(st.lists(st.sampled_from("abcdef"), max_size=5).map(" ".join), max_size=8)


def dense_nearest(catalog_titles: list[str], titles: list[str], others: list[str]) -> float:
    """Mean best cosine of `titles` in `catalog_titles`, by dense TF-IDF over both and `others`."""
    texts = [title.split() for title in [*catalog_titles, *others]]
    texts = [text for text in texts if text]
    words = sorted({word for text in texts for word in text})
    having = np.array([sum(word in text for text in texts) for word in words])
    rarity = 1 + np.log((1 + len(texts)) / (1 + having))

    def vectors(of: list[str]) -> np.ndarray:
        counts = np.array([[title.split().count(word) for word in words] for title in of])
        weights = counts.reshape(len(of), len(words)) * rarity
        return weights / np.maximum(np.linalg.norm(weights, axis=1, keepdims=True), 1e-30)

    cosines = vectors([title for title in titles if title]) @ vectors(catalog_titles).T
    if catalog_titles is titles:
        rows = [row for row, title in enumerate(titles) if title]
        cosines[np.arange(len(rows)), rows] = 0
    return float(cosines.max(axis=1).mean())


@settings(max_examples=60, deadline=None)
@given(TITLES, TITLES, st.randoms(use_true_random=False))
def test_nearest_texts_are_those_of_dense_arithmetic_in_any_order(
    source: list[str], target: list[str], random
) -> None:
    found = match_texts(catalog(source, "s"), catalog(target, "t"))
    if found.to_source is not None:
        assert found.to_source == pytest.approx(dense_nearest(source, target, target), abs=1e-5)
    if found.to_target is not None:
        assert found.to_target == pytest.approx(dense_nearest(target, target, source), abs=1e-5)
    rows = [random.sample(range(len(titles)), len(titles)) for titles in (source, target)]
    assert match_texts(catalog(source, "s")[rows[0]], catalog(target, "t")[rows[1]]) == found


def test_not_one_bit_depends_on_the_order_of_rows() -> None:
    generator = np.random.default_rng(0)
    source, target = (
        catalog(
            [" ".join(f"w{word}" for word in row) for row in generator.integers(0, 99, (60, 20))]
        )
        for _ in range(2)
    )
    found = match_texts(source, target)
    for seed in range(5):
        shuffled = (table.sample(fraction=1, shuffle=True, seed=seed) for table in (source, target))
        assert match_texts(*shuffled) == found


def test_the_sample_is_bounded_and_chosen_by_id(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_match, "MAX_SAMPLE", 3)
    source = catalog(["a b", "c d"])
    target = catalog([" ".join("abcdefgh"[k:]) for k in range(7)])
    found = match_texts(source, target)
    assert found.sampled == 3
    for seed in range(5):
        assert match_texts(source, target.sample(fraction=1, shuffle=True, seed=seed)) == found
    monkeypatch.setattr(text_match, "MAX_SAMPLE", 7)
    assert match_texts(source, target).to_source != found.to_source


def test_blocks_make_no_difference(monkeypatch: pytest.MonkeyPatch) -> None:
    source, target = catalog(["a b", "c d a"]), catalog(["a", "b c", "d", "e a", "b"])
    whole = match_texts(source, target)
    monkeypatch.setattr(text_match, "BLOCK_BYTES", 1)  # one text at a time
    assert match_texts(source, target) == whole
