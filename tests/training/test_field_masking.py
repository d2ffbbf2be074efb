"""Fields are found in texts and tokens, hidden whole, and told from the rest."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from crossrec.encoders.field_spans import field_spans, token_spans
from crossrec.encoders.language_model import open_tokenizer
from crossrec.encoders.text import compose
from crossrec.encoders.token_targets import NO_TARGET, MaskedFields
from crossrec.errors import UserError
from crossrec.training.material import Material

Learn = Callable[..., dict[str, Any]]


def test_where_fields_stand() -> None:
    items = pl.DataFrame(
        {
            "item_id": ["a", "b", "c", "d"],
            "title": ["Red &amp; big lamp of Acme", "Pan", None, "Oak chair"],
            "brand": ["acme", "Steelworks", "One brand that fills the text", None],
            "categories": ["Home > Light", None, None, None],
        }
    )
    texts = compose(items)
    spans = field_spans(items, texts)
    assert texts[0] == "Red & big lamp of Acme. Home > Light"
    assert [texts[0][a:b] for a, b in spans[texts[0]]] == ["Acme", "Home > Light"]
    assert spans["Pan. Steelworks"] == []  # more than half of it: Pan does not tell
    assert spans["One brand that fills the text"] == []
    assert spans["Oak chair"] == []


def test_the_same_in_tokens(bert: Path) -> None:
    tokenizer = open_tokenizer(bert)
    text = "red lamp number one and two"
    fields = {text: [(4, 8), (16, 27)]}  # "lamp", "one and two"
    assert token_spans(tokenizer, [text, "blue pan"], fields, 64) == [[(2, 3), (4, 7)], []]
    assert token_spans(tokenizer, [text], fields, 6) == [[(2, 3), (4, 5)]]  # cut off
    assert token_spans(tokenizer, [text], fields, 4) == [[(2, 3)]]
    assert token_spans(tokenizer, [], fields, 4) == []


def test_one_field_is_hidden_whole(bert: Path) -> None:
    tokenizer = open_tokenizer(bert)
    ids = torch.tensor([[2, 7, 8, 9, 10, 3, 0]] * 2)
    segments = (ids > 0).long()
    targets = MaskedFields(tokenizer, 0.5, [[(1, 2), (3, 5)], []])
    seen = set()
    for seed in range(20):
        read, wanted = targets(ids, segments, [0, 1], torch.Generator().manual_seed(seed))
        hidden = (wanted != NO_TARGET).nonzero()
        first = tuple(hidden[hidden[:, 0] == 0][:, 1].tolist())
        second = hidden[hidden[:, 0] == 1][:, 1].tolist()
        seen.add(first)
        assert second in ([1, 2], [2, 3], [3, 4])  # a run of half of the four words
        assert read[wanted != NO_TARGET].eq(tokenizer.mask_token_id).all()
        assert wanted[wanted != NO_TARGET].equal(ids[wanted != NO_TARGET])
        assert read[wanted == NO_TARGET].equal(ids[wanted == NO_TARGET])
    assert seen == {(1,), (3, 4)}


@given(st.lists(st.integers(0, 12), min_size=1, max_size=8), st.integers(0, 99))
def test_a_span_is_a_run_of_the_words(bert: Path, lengths: list[int], seed: int) -> None:
    ids = torch.zeros(len(lengths), 14, dtype=torch.long)
    for row, length in enumerate(lengths):
        ids[row, : length + 2] = torch.tensor([2, *[9] * length, 3])
    segments = (ids > 0).long()
    targets = MaskedFields(open_tokenizer(bert), 0.3, [[]] * len(lengths))
    wanted = targets(ids, segments, range(len(lengths)), torch.Generator().manual_seed(seed))[1]
    for row, length in enumerate(lengths):
        places = (wanted[row] != NO_TARGET).nonzero()[:, 0].tolist()
        assert len(places) == (max(1, round(0.3 * length)) if length else 0)
        assert places == list(range(places[0], places[-1] + 1)) if places else True
        assert all(1 <= place <= length for place in places)


def test_what_is_hidden_is_learned(
    learn: Learn, bert: Path, texts: list[str], tmp_path: Path
) -> None:
    """The color, which the thing tells, is the field: it can be told for sure."""
    fields = {text: [(0, len(text.split()[0]))] for text in texts}
    options = {"objective": "masked", "masking": "fields", "meaning_weight": 0.0}
    options |= {"learning_rate": 1e-2, "head_learning_rate": 1e-2}
    account = learn(Material(texts, fields), bert, tmp_path, 100, **options)
    assert account["perplexity_after"] < 1.2
    assert account["accuracy_after"] == 1.0


def test_fields_need_masks(
    learn: Learn, bert: Path, gpt: Path, texts: list[str], tmp_path: Path
) -> None:
    for model, options in ((gpt, {}), (bert, {"packing": True})):
        with pytest.raises(UserError, match="masking=fields hides words that a masked language"):
            learn(texts, model, tmp_path, 1, masking="fields", **options)
