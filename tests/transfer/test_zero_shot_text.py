"""Likeness of text: cosines by hand, both domains' history, and an account without training."""

from collections.abc import Callable

import lightning as L
import pytest
import torch

from crossrec.data.columns import PAD
from crossrec.data.pair import DomainPair
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.evaluation.metrics import ndcg
from crossrec.evaluation.ranking import rank
from crossrec.training.objectives import Softmax
from crossrec.training.pair_training import build_pair, fit_pair
from crossrec.transfer.content.zero_shot_text import ZeroShotText

TRAINING = {
    "learning_rate": 0.1,
    "weight_decay": 0.0,
    "events_per_batch": 64,
    "averaging": 0,
    "patience": 1,
}


def quiet_trainer(callbacks: list[L.Callback]) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def test_cosines_by_hand(apart_pair: DomainPair, content_of: Callable[..., Content]) -> None:
    content = content_of(apart_pair)
    assert content.source is not None
    assert content.target is not None
    content.target[0] = torch.tensor([3.0, 4.0, 0, 0, 0, 0])
    content.target[1] = torch.tensor([0.0, 2.0, 0, 0, 0, 0])
    content.source[5] = torch.tensor([4.0, 0.0, 0, 0, 0, 0])
    model = ZeroShotText()
    build_pair(model, apart_pair, content, seed=0)
    items = torch.tensor([[1, 18 + 5, PAD], [PAD, PAD, PAD]])
    batch = Batch(torch.tensor([0, 1]), items, items.float(), items < 18)
    scores = model.scorer("target")(batch)
    # Target item 1 and source item 5: the mean is (2, 1), of length sqrt 5.
    assert scores[0, 0].item() == pytest.approx((2 * 3 + 1 * 4) / (5**0.5 * 5))
    assert scores[0, 1].item() == pytest.approx(1 / 5**0.5)
    assert scores.shape == (2, 18)
    assert scores[1].tolist() == [0.0] * 18  # nothing is known of this user


def test_the_source_is_ranked_by_its_own_codes(
    apart_pair: DomainPair, content_of: Callable[..., Content]
) -> None:
    content = content_of(apart_pair)
    assert content.source is not None
    model = ZeroShotText()
    build_pair(model, apart_pair, content, seed=0)
    items = torch.tensor([[7]])
    scores = model.scorer("source")(Batch(torch.tensor([0]), items, items.float(), items < 24))
    assert scores.shape == (1, 24)
    expected = torch.cosine_similarity(content.source[7], content.source, dim=1)
    assert torch.allclose(scores[0], expected, atol=1e-6)


@pytest.mark.parametrize("name", ["users_pair", "items_pair", "apart_pair"])
def test_nothing_is_trained_and_validation_is_told(
    name: str, request: pytest.FixtureRequest, content_of: Callable[..., Content]
) -> None:
    pair = request.getfixturevalue(name)
    model = ZeroShotText()
    account = fit_pair(model, pair, content_of(pair), Softmax, quiet_trainer, TRAINING, seed=0)
    valid = pair.target.valid
    scores = model.scorer("target")(valid.history.last(torch.arange(len(valid)), 50))
    queries = valid.queries()
    ranking = rank(lambda rows: scores[rows], queries, pair.target.n_items, 10)
    expected = ndcg(ranking.truth_ranks, queries.truth_offsets, 10).mean().item()
    assert account == {
        "monitor": "valid/ndcg@10",
        "best": pytest.approx(expected, abs=1e-6),
        "best_epoch": -1,
        "epochs": 0,
        "steps": 0,
    }
    assert list(model.parameters()) == []


def test_without_text_there_is_nothing_to_compare(users_pair: DomainPair) -> None:
    with pytest.raises(UserError, match=r"transfer=zero_shot_text .* choose an encoder"):
        build_pair(ZeroShotText(), users_pair, Content(None, None, None), seed=0)


def test_bad_values_are_refused() -> None:
    with pytest.raises(UserError, match=r"transfer.max_history must be >= 1, got 0"):
        ZeroShotText(max_history=0)
