"""Packed rows have no gap, and a text in them reads as it does alone."""

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, BertModel

from crossrec.encoders.language_head import open_with_head
from crossrec.encoders.token_batches import Batch, PackedBatches, plan_rows
from crossrec.encoders.token_targets import NO_TARGET, NextToken
from crossrec.errors import UserError
from crossrec.training.language_modeling import check_packing, pooled, predictions
from crossrec.training.text_vectors import MEAN, Pooling

Learn = Callable[..., dict[str, Any]]
FIRST_LAYER = Pooling("mean", (0, 1))


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=20),
    st.integers(1, 12),
    st.integers(2, 16),
    st.integers(0, 99),
)
def test_rows_are_full_and_texts_whole(
    lengths: list[int], n_rows: int, row_tokens: int, seed: int
) -> None:
    rows = plan_rows(lengths, n_rows, row_tokens, seed)
    assert len(rows) == n_rows
    assert all(sum(b - a for _, a, b in row) == row_tokens for row in rows)
    pieces = [piece for row in rows for piece in row]
    for (text, _, stop), (following, start, _) in pairwise(pieces):
        assert start == (stop if stop < lengths[text] else 0)
        assert following == text or start == 0
    first = [text for text, start, _ in pieces if start == 0][: len(lengths)]
    assert len(set(first)) == len(first)  # an epoch has every text once


def packed(tokens: list[list[int]], causal: bool) -> PackedBatches:
    return PackedBatches(tokens, [[(0, 0, 4), (1, 0, 2)], [(1, 2, 4), (2, 0, 4)]], 2, NextToken(),
                         causal, seed=0)  # fmt: skip


def test_a_packed_batch_by_hand() -> None:
    batch = packed([[5, 6, 7, 3], [8, 9, 10, 3], [11, 12, 13, 3]], causal=True)[0]
    assert batch.ids.tolist() == [[5, 6, 7, 3, 8, 9], [10, 3, 11, 12, 13, 3]]
    none = NO_TARGET
    assert batch.targets.tolist() == [
        [6, 7, 3, none, 9, none],
        [3, none, 12, 13, 3, none],
    ]
    assert batch.positions is not None
    assert batch.positions.tolist() == [[0, 1, 2, 3, 0, 1], [0, 1, 0, 1, 2, 3]]
    assert batch.lengths is not None
    assert batch.lengths.tolist() == [4, 2, 2, 4]
    assert (batch.attention[0, 0] == 0).int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [0, 0, 0, 0, 1, 0],
        [0, 0, 0, 0, 1, 1],
    ]
    assert batch.n_tokens == 12


@pytest.mark.parametrize("kind", ["causal", "masked"])
def test_a_text_reads_as_it_does_alone(bert: Path, gpt: Path, kind: str) -> None:
    network, _ = open_with_head(gpt if kind == "causal" else bert, kind, seed=0)
    tokens = [[5, 6, 7, 3], [8, 9, 10, 3], [11, 12, 13, 3]]
    batch = packed(tokens, kind == "causal")[0]
    check_packing(network, batch)
    with torch.no_grad():
        _, states = predictions(network, batch)
        together = {pooling: pooled(states, batch, pooling) for pooling in (MEAN, FIRST_LAYER)}
        for row, piece in enumerate((tokens[0], tokens[1][:2], tokens[1][2:], tokens[2])):
            ids = torch.tensor([piece])
            alone = Batch(ids, torch.ones_like(ids), ids, None, None)
            of_text = predictions(network, alone)[1]
            for pooling, vectors in together.items():
                vector = pooled(of_text, alone, pooling)[0]
                torch.testing.assert_close(vectors[row], vector, rtol=1e-4, atol=1e-5)
        assert not together[MEAN].allclose(together[FIRST_LAYER])
        for kind in ("cls", "last"):
            assert pooled(states, batch, Pooling(kind)).shape == together[MEAN].shape


def test_a_network_whose_texts_see_each_other_is_refused(bert: Path) -> None:
    """A body that leaves the mask out, as an architecture might."""

    class Careless(BertModel):
        def forward(self, input_ids: torch.Tensor, **given: Any) -> Any:
            return super().forward(input_ids)

    batch = packed([[5, 6, 7, 3], [8, 9, 10, 3], [11, 12, 13, 3]], causal=False)[0]
    with pytest.raises(UserError, match="packing=true: in this bert model, texts of one row see"):
        check_packing(Careless.from_pretrained(bert).eval(), batch)


def test_packed_texts_are_learned(
    learn: Learn, gpt: Path, texts: list[str], tmp_path: Path
) -> None:
    options = {"packing": True, "max_length": 20, "batch_tokens": 400, "learning_rate": 1e-2}
    account = learn(texts, gpt, tmp_path, 40, meaning_weight=1.0, **options)
    assert account["perplexity_after"] < 0.5 * account["perplexity_before"]
    assert account["tokens"] == 40 * 400  # nothing of it is padding
    assert AutoModelForCausalLM.from_pretrained(tmp_path).config.n_layer == 2
