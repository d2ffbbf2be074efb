"""Small networks for pictures and sounds, to be trained from scratch on a catalog's own files."""

import torch
from transformers import PreTrainedModel

from crossrec.data.columns import IMAGE
from crossrec.encoders.media_model import MediaModel

TINY = "tiny"
"""What a user writes as the model to have such a network."""
SIDE = 64  # pixels of a picture, however large it was
RATE = 16_000  # samples a second of a sound
FRAME = 0.01  # seconds of a frame of its spectrogram
BANDS = 64  # of the spectrogram
DIM = 128  # of its vectors


def tiny(medium: str, seconds: float, seed: int) -> MediaModel:
    """A fresh network and its processor; the same seed gives the same weights.

    Pictures: a residual network (He et al., CVPR 2016) of two stages with one block each, which
    sees a form wherever it lies. Sounds: an audio spectrogram transformer (Gong et al.,
    Interspeech 2021) of three layers on patches of 8 bands x 8 frames.

    Args:
        medium: "image" or "audio".
        seconds: length of a sound; the rest is cut off, shorter ones are padded.
        seed: of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        body, processor = _for_pictures() if medium == IMAGE else _for_sounds(seconds)
    return MediaModel(body, processor, medium, "auto", has_pooler=True)


def _for_pictures() -> tuple[PreTrainedModel, object]:
    from transformers.models.resnet import ResNetConfig, ResNetModel
    from transformers.models.vit.image_processing_pil_vit import ViTImageProcessorPil

    config = ResNetConfig(
        embedding_size=DIM // 4, hidden_sizes=[DIM // 2, DIM], depths=[1, 1], layer_type="basic"
    )
    return ResNetModel(config), ViTImageProcessorPil(size={"height": SIDE, "width": SIDE})


def _for_sounds(seconds: float) -> tuple[PreTrainedModel, object]:
    from transformers.models.audio_spectrogram_transformer import (
        ASTConfig,
        ASTFeatureExtractor,
        ASTModel,
    )

    frames = max(8, round(seconds / FRAME))
    config = ASTConfig(
        hidden_size=DIM,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=2 * DIM,
        patch_size=8,
        frequency_stride=8,
        time_stride=8,
        max_length=frames,
        num_mel_bins=BANDS,
    )
    extractor = ASTFeatureExtractor(sampling_rate=RATE, num_mel_bins=BANDS, max_length=frames)
    return ASTModel(config), extractor
