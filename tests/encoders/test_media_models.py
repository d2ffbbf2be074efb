"""Image and audio models: tiny ones of every kind with random weights, opened as users' are."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import wavfile
from transformers import PreTrainedModel

from crossrec.encoders.encode_media import encode_media
from crossrec.encoders.media_files import MediaFiles, find_files
from crossrec.encoders.media_model import MediaModel, locate_media_model
from crossrec.encoders.quiet import quiet
from crossrec.encoders.tiny import tiny
from crossrec.errors import UserError

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 32}


def vit() -> tuple[PreTrainedModel, object]:
    from transformers.models.vit import ViTConfig, ViTModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    model = ViTModel(ViTConfig(image_size=32, patch_size=8, **SIZES))
    return model, ViTImageProcessorPil(size={"height": 32, "width": 32})


def vit_without_pooler() -> tuple[PreTrainedModel, object]:
    from transformers.models.vit import ViTModel

    model, processor = vit()
    return ViTModel(model.config, add_pooling_layer=False), processor


def clip() -> tuple[PreTrainedModel, object]:
    from transformers.models.clip import CLIPConfig, CLIPModel, CLIPTextConfig, CLIPVisionConfig
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    text = CLIPTextConfig(vocab_size=20, max_position_embeddings=8, **SIZES)
    vision = CLIPVisionConfig(image_size=32, patch_size=8, **SIZES)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=12
    )
    crop = {"height": 32, "width": 32}
    return CLIPModel(config), CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=crop)


def wav2vec2() -> tuple[PreTrainedModel, object]:
    from transformers.models.wav2vec2 import (
        Wav2Vec2Config,
        Wav2Vec2FeatureExtractor,
        Wav2Vec2Model,
    )

    config = Wav2Vec2Config(
        conv_dim=(8, 8),
        conv_stride=(5, 4),
        conv_kernel=(10, 4),
        num_conv_pos_embeddings=4,
        num_conv_pos_embedding_groups=2,
        **SIZES,
    )
    return Wav2Vec2Model(config), Wav2Vec2FeatureExtractor(sampling_rate=8000)


def clap() -> tuple[PreTrainedModel, object]:
    from transformers.models.clap import (
        ClapAudioConfig,
        ClapConfig,
        ClapFeatureExtractor,
        ClapModel,
        ClapTextConfig,
    )

    audio = ClapAudioConfig(
        patch_embeds_hidden_size=8,
        depths=[1, 1],
        num_attention_heads=[1, 2],
        hidden_size=16,
        window_size=4,
        spec_size=128,
        num_hidden_layers=1,
    )
    text = ClapTextConfig(vocab_size=20, max_position_embeddings=8, **SIZES)
    config = ClapConfig(text_config=text.to_dict(), audio_config=audio.to_dict(), projection_dim=12)
    extractor = ClapFeatureExtractor(sampling_rate=8000, truncation="rand_trunc", max_length_s=1)
    return ClapModel(config), extractor


def whisper() -> tuple[PreTrainedModel, object]:
    from transformers.models.whisper import WhisperConfig, WhisperFeatureExtractor, WhisperModel

    config = WhisperConfig(
        **{f"{side}_{what}": n for side in ("encoder", "decoder") for what, n in (
            ("layers", 1), ("attention_heads", 2), ("ffn_dim", 16))},
        **dict.fromkeys(("pad_token_id", "bos_token_id", "eos_token_id"), 1),
        d_model=16,
        vocab_size=20,
        decoder_start_token_id=1,
        max_source_positions=50,
        begin_suppress_tokens=None,
    )  # fmt: skip
    return WhisperModel(config), WhisperFeatureExtractor(chunk_length=1)


MAKERS: dict[str, tuple[str, Callable[[], tuple[PreTrainedModel, object]], int]] = {
    "vit": ("image", vit, 16),
    "vit_without_pooler": ("image", vit_without_pooler, 16),
    "clip": ("image", clip, 12),
    "wav2vec2": ("audio", wav2vec2, 16),
    "clap": ("audio", clap, 12),
    "whisper": ("audio", whisper, 16),
}


def saved(name: str, folder: Path) -> Path:
    torch.manual_seed(0)
    with quiet():
        for part in MAKERS[name][1]():
            part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> dict[str, MediaFiles]:
    """Seven items: a file twice, none, a damaged one, and three more of several sizes."""
    folder = tmp_path_factory.mktemp("media")
    rng = np.random.default_rng(0)
    for number, size in enumerate((40, 33, 40)):
        pixels = rng.integers(256, size=(size, 50, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
        sound = rng.standard_normal(100 * size) * 2000
        wavfile.write(folder / f"{number}.wav", 8000, sound.astype(np.int16))
    for ending in ("png", "wav"):
        (folder / f"damaged.{ending}").write_bytes(b"no")
    names = ["0", "1", None, "damaged", "2", "0"]
    return {
        medium: find_files(
            medium,
            [f"{name}.{ending}" if name else None for name in names],
            [[folder]] * len(names),
        )
        for medium, ending in (("image", "png"), ("audio", "wav"))
    }


@pytest.mark.parametrize("name", MAKERS)
def test_every_kind_of_model_is_opened_and_each_item_has_its_own_vector(
    name: str, tmp_path: Path, media: dict[str, MediaFiles], caplog: pytest.LogCaptureFixture
) -> None:
    medium, _, dim = MAKERS[name]
    folder = locate_media_model(str(saved(name, tmp_path)), medium)
    model = MediaModel.open(folder, medium, "auto", torch.float32, "cpu")
    vectors, mask = encode_media(media[medium], model, batch_size=3, max_seconds=1.0)
    assert vectors.shape == (6, dim)
    assert mask.tolist() == [True, True, False, False, True, True]
    assert "1 damaged files count as missing" in caplog.text
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), mask, atol=1e-5)
    np.testing.assert_array_equal(vectors[0], vectors[5])
    alone, _ = encode_media(media[medium], model, batch_size=1, max_seconds=1.0)
    np.testing.assert_allclose(alone, vectors, atol=1e-4)


def test_an_absent_pooler_is_not_read(tmp_path: Path) -> None:
    """It would be drawn anew: the class token stands for it."""
    saved("vit_without_pooler", tmp_path)
    model = MediaModel.open(tmp_path, "image", "auto", torch.float32, "cpu")
    assert not model.has_pooler
    inputs = {"pixel_values": torch.randn(2, 3, 32, 32)}
    hidden = model.body(**inputs).last_hidden_state
    torch.testing.assert_close(model.pooled(inputs), hidden[:, 0])
    mean = MediaModel.open(tmp_path, "image", "mean", torch.float32, "cpu")
    torch.testing.assert_close(mean.pooled(inputs), hidden.mean(1))


def test_a_share_of_the_frames_is_the_sound_and_the_rest_padding(tmp_path: Path) -> None:
    saved("whisper", tmp_path)
    model = MediaModel.open(tmp_path, "audio", "auto", torch.float32, "cpu")
    inputs = model.inputs([np.ones(8000, dtype=np.float32)])
    hidden = model.body(**inputs).last_hidden_state
    torch.testing.assert_close(model.pooled(inputs, share=0.5), hidden[:, :25].mean(1))


def test_a_processor_that_was_saved_with_torchvision_is_read_by_pillow(tmp_path: Path) -> None:
    saved("clip", tmp_path)
    file = tmp_path / "preprocessor_config.json"
    stated = json.loads(file.read_text())
    del stated["image_processor_type"]
    for named in (
        {"image_processor_type": "CLIPImageProcessor"},
        {"image_processor_type": "CLIPImageProcessorFast"},
        {"feature_extractor_type": "CLIPFeatureExtractor"},
    ):
        file.write_text(json.dumps({**stated, **named}))
        model = MediaModel.open(tmp_path, "image", "auto", torch.float32, "cpu")
        assert type(model.processor).__name__ == "CLIPImageProcessorPil"


@pytest.mark.parametrize("medium", ["image", "audio"])
def test_a_tiny_model_is_a_folder_like_any_other(tmp_path: Path, medium: str) -> None:
    made = tiny(medium, 0.64, seed=1)
    made.body.save_pretrained(tmp_path)
    made.processor.save_pretrained(tmp_path)
    opened = MediaModel.open(tmp_path, medium, "auto", torch.float32, "cpu")
    rng = np.random.default_rng(0)
    batch = (
        [Image.fromarray(rng.integers(256, size=(64, 64, 3), dtype=np.uint8))]
        if medium == "image"
        else [rng.standard_normal(10_240).astype(np.float32)]
    )
    made.body.eval()
    with torch.inference_mode():
        torch.testing.assert_close(
            opened.pooled(opened.inputs(batch)), made.pooled(made.inputs(batch))
        )
    again = tiny(medium, 0.64, seed=1).body.state_dict()
    assert all(torch.equal(value, again[name]) for name, value in made.body.state_dict().items())


def test_mistakes_are_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"content\.image\.model=\./gone: there is no such folder"):
        locate_media_model("./gone", "image")
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"has no preprocessor_config\.json"):
        locate_media_model(str(tmp_path), "audio")
    folder = saved("vit", tmp_path / "vit")
    with pytest.raises(UserError, match=r"content\.audio\.model: "):
        MediaModel.open(folder, "audio", "auto", torch.float32, "cpu")
    clip_folder = saved("clip", tmp_path / "clip")
    model = MediaModel.open(clip_folder, "image", "mean", torch.float32, "cpu")
    with pytest.raises(UserError, match=r"content\.image\.pooling=mean: a clip model"):
        model.pooled({"pixel_values": torch.zeros(1, 3, 32, 32)})
