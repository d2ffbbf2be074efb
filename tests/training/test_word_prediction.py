"""A tiny network learns words from pictures: by hand, by chance, and from train items alone."""

import math
from pathlib import Path

import lightning as L
import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from crossrec.encoders.encode_media import encode_media
from crossrec.encoders.media_files import MediaFiles, find_files
from crossrec.encoders.media_model import MediaModel
from crossrec.encoders.words import word_labels
from crossrec.errors import UserError
from crossrec.training.shown import Shown
from crossrec.training.word_prediction import learn_words, log_odds, word_loss


def trainer(steps: int) -> L.Trainer:
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        max_steps=steps,
        max_epochs=-1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


def colored(folder: Path, n: int) -> tuple[MediaFiles, list[str | None]]:
    """Pictures that are red or blue with noise, and what is said of them."""
    rng = np.random.default_rng(0)
    for number in range(n):
        color = np.array([200, 40, 40] if number % 2 else [40, 40, 200])
        pixels = (color + rng.normal(0, 30, size=(24, 24, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    files = find_files("image", [f"{number}.png" for number in range(n)], [[folder]] * n)
    return files, ["A red pan" if number % 2 else "A blue pan" for number in range(n)]


def test_words_of_enough_texts_are_labels_and_what_all_have_is_none() -> None:
    texts = ["Red pan, red", "red PAN", "blue pan", None, *["red"] * 3, *["blue"] * 4, "odd"]
    words, labels = word_labels(texts)
    assert words == ["blue", "red"]  # equally many: by the alphabet; "pan" and "odd" are too rare
    assert labels[:4].tolist() == [[0, 1], [0, 1], [1, 0], [0, 0]]
    assert word_labels(["pan"] * 9)[0] == []


def test_the_loss_by_hand() -> None:
    """Two items, one with both words: log-odds 0 cost ln 2 a word, two words an item."""
    labels = torch.tensor([[1.0, 1.0], [0.0, 0.0]])
    assert word_loss(torch.zeros(2, 2), labels).item() == pytest.approx(2 * math.log(2))
    by_rates = word_loss(log_odds(torch.tensor([0.75, 0.5])).expand(2, -1), labels).item()
    expected = -(math.log(0.75) + math.log(0.25)) / 2 + math.log(2)
    assert by_rates == pytest.approx(expected, rel=1e-5)
    assert torch.isfinite(log_odds(torch.tensor([0.0, 1.0]))).all()


def test_batches_show_all_items_and_depend_on_their_number_alone() -> None:
    inputs = {"pixel_values": torch.arange(10.0)[:, None, None, None].expand(10, 3, 8, 8)}
    labels = torch.arange(10.0)[:, None]
    shown = Shown(inputs, labels, batch_size=4, n_batches=7, seed=0, moves=(-2, -1))
    epoch = torch.cat([shown[number][1] for number in range(3)])
    assert sorted(epoch.flatten().tolist()) == list(range(10))
    pictures, seen = shown[5]
    again, _ = Shown(inputs, labels, 4, 7, 0, (-2, -1))[5]
    assert torch.equal(pictures["pixel_values"], again["pixel_values"])
    # A constant picture stays one wherever it is moved, but for noise of mean zero.
    torch.testing.assert_close(
        pictures["pixel_values"].mean((1, 2, 3)), seen[:, 0], atol=0.05, rtol=0
    )


def test_only_time_moves_in_a_spectrogram() -> None:
    bands = torch.arange(50.0) * 10
    inputs = {"input_values": bands.expand(6, 40, 50)}
    shown = Shown(inputs, torch.zeros(6, 1), batch_size=6, n_batches=5, seed=0, moves=(-2,))
    for number in range(5):
        mean = shown[number][0]["input_values"].mean((0, 1))
        torch.testing.assert_close(mean, bands, atol=0.1, rtol=0)


def test_what_is_learned_is_seen_in_pictures_that_were_not(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    (tmp_path / "model").mkdir()
    files, texts = colored(tmp_path / "train", 60)
    account = learn_words(files, texts, tmp_path / "model", trainer(30), 3e-3, 16, seed=0)
    assert account["words"] == 2
    assert (account["files"], account["held_out"], account["steps"]) == (54, 6, 30)
    assert account["explained"] > 0.5
    model = MediaModel.open(tmp_path / "model", "image", "auto", torch.float32, "cpu")
    vectors, _ = encode_media(files, model, 16, 1.0)
    cosines = vectors @ vectors.T
    assert cosines[::2, ::2].mean() > cosines[::2, 1::2].mean() + 0.3


def test_the_same_seed_gives_the_same_weights(tmp_path: Path) -> None:
    files, texts = colored(tmp_path, 30)

    def weights(name: str, seed: int) -> bytes:
        (tmp_path / name).mkdir()
        learn_words(files, texts, tmp_path / name, trainer(2), 1e-3, 8, seed)
        return (tmp_path / name / "model.safetensors").read_bytes()

    assert weights("a", 0) == weights("b", 0) != weights("c", 1)


def test_too_little_to_learn_from_is_refused(tmp_path: Path) -> None:
    files, texts = colored(tmp_path, 24)
    nothing: list[str | None] = [None] * 24
    with pytest.raises(UserError, match=r"0 such items have both.*it needs 20 items"):
        learn_words(files, nothing, tmp_path, trainer(2), 1e-3, 8, 0)
    for name in range(10):
        (tmp_path / f"{name}.png").write_bytes(b"no")
    files = find_files("image", [f"{number}.png" for number in range(24)], [[tmp_path]] * 24)
    with pytest.raises(UserError, match="14 such items have both"):
        learn_words(files, texts, tmp_path, trainer(2), 1e-3, 8, 0)


def test_gradients_reach_every_weight(tmp_path: Path) -> None:
    from crossrec.encoders.tiny import tiny
    from crossrec.training.word_prediction import WordPrediction

    for medium, size in (("image", (3, 64, 64)), ("audio", (64, 64))):
        module = WordPrediction(tiny(medium, 0.64, 0), torch.tensor([0.5, 0.2]), 1e-3, 10)
        torch.nn.init.normal_(module.head.weight)
        name = "pixel_values" if medium == "image" else "input_values"
        batch: tuple[dict[str, Tensor], Tensor] = (
            {name: torch.randn(4, *size)},
            torch.eye(4)[:, :2],
        )
        module.training_step(batch).backward()
        without = [name for name, p in module.named_parameters() if p.grad is None]
        assert not without
