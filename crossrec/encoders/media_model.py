"""Networks that look at pictures or listen to sounds: Hugging Face folders, as language models are.

An image model is opened with its own image processor (Pillow alone, no torchvision), an audio model
with its own feature extractor. Only safetensors are read and `trust_remote_code` is off.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModel, PreTrainedModel

from crossrec.data.columns import IMAGE
from crossrec.encoders.language_model import MODEL_FILES
from crossrec.encoders.quiet import quiet
from crossrec.errors import UserError

POOLINGS = ("auto", "cls", "mean")


def locate_media_model(name: str, medium: str) -> Path:
    """The folder of a model: a local one, or one fetched from the Hugging Face hub by its name.

    Raises:
        UserError: it cannot be had, or is no folder of such a model.
    """
    key, folder = f"content.{medium}.model={name}", Path(name).expanduser()
    if not folder.is_dir():
        if name.startswith((".", "/", "~")) or name.count("/") != 1:
            raise UserError(
                f"{key}: there is no such folder. Use a Hugging Face folder, a name on its hub "
                f"(OWNER/NAME), or content.{medium}.model=tiny"
            )
        folder = _from_hub(name, key)
    for pattern in ("config.json", "preprocessor_config.json", "*.safetensors"):
        if not any(folder.glob(pattern)):
            raise UserError(
                f"{key}: {folder} has no {pattern}; expected a Hugging Face folder with "
                "config.json, preprocessor_config.json and *.safetensors (other formats can run "
                "code)"
            )
    return folder


def _from_hub(name: str, key: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        return Path(
            snapshot_download(name, allow_patterns=list(MODEL_FILES), ignore_patterns=["onnx/*"])
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"{key}: not a local folder, and the Hugging Face hub did not give it ({reason}). "
            "Check the name and the connection, or use a local folder or model=tiny"
        ) from error


@dataclass(frozen=True)
class MediaModel:
    """An opened model of pictures or sounds.

    Attributes:
        body: the network, in evaluation mode.
        processor: its image processor, or its feature extractor.
        medium: "image" or "audio".
        pooling: "cls" the first token, "mean" of all tokens, or "auto" (see `pooled`).
        has_pooler: whether the folder holds the weights of a pooler, or the network's pooler has
            none.
    """

    body: PreTrainedModel
    processor: Any
    medium: str
    pooling: str
    has_pooler: bool

    @classmethod
    def open(
        cls, folder: Path, medium: str, pooling: str, dtype: torch.dtype, device: str
    ) -> "MediaModel":
        """Open a folder.

        Raises:
            UserError: it is no model of that medium, or weights are missing in it.
        """
        from transformers import AutoFeatureExtractor, AutoImageProcessor

        key = f"content.{medium}.model"
        options: dict[str, Any] = {"trust_remote_code": False}
        try:
            with quiet(), torch.random.fork_rng(devices=[]):  # an absent pooler is drawn
                if medium == IMAGE:
                    processor = AutoImageProcessor.from_pretrained(folder, backend="pil", **options)
                else:
                    processor = AutoFeatureExtractor.from_pretrained(folder, **options)
                body, report = AutoModel.from_pretrained(
                    folder, dtype=dtype, use_safetensors=True, output_loading_info=True, **options
                )
        except (OSError, ValueError, KeyError, ImportError) as error:
            reason = " ".join(str(error).split())[:300]
            raise UserError(f"{key}: {folder} cannot be opened: {reason}") from error
        absent = sorted(report["missing_keys"])
        if unknown := [name for name in absent if "pooler" not in name]:
            raise UserError(
                f"{key}: {folder} lacks weights of its own network ({len(unknown)}, such as "
                f"{unknown[0]})"
            )
        if medium != IMAGE and not hasattr(processor, "sampling_rate"):
            raise UserError(
                f"{key}: {folder} is no audio model: its processor has no sampling_rate"
            )
        if hasattr(body, "get_encoder") and body.config.is_encoder_decoder:
            body = body.get_encoder()  # Whisper: what was said is not asked
        return cls(nn.Module.to(body.eval(), device), processor, medium, pooling, not absent)

    def inputs(self, batch: list[Any]) -> dict[str, Tensor]:
        """What the network reads of pictures, or of sounds of equal length.

        Raises:
            UserError: the processor makes inputs of different sizes of pictures.
        """
        if self.medium == IMAGE:
            try:
                return dict(self.processor(images=batch, return_tensors="pt"))
            except ValueError as error:
                reason = " ".join(str(error).split())[:200]
                raise UserError(f"content.image.model: its processor says: {reason}") from error
        rate = self.processor.sampling_rate
        return dict(self.processor(batch, sampling_rate=rate, return_tensors="pt"))

    def pooled(self, inputs: dict[str, Tensor], share: float = 1.0) -> Tensor:
        """(batch, d) vectors.

        With "auto", the model's own image or audio features if it is one of two towers (CLIP,
        SigLIP, CLAP), else what its trained pooler gives (ViT, DINOv2, AST, ResNet), else the first
        token where it is a class token, else the mean of tokens (wav2vec 2.0, Whisper).

        Args:
            share: of the input that is no padding; "mean" reads that share of the tokens, by time.

        Raises:
            UserError: the model has no tokens to pool in that way.
        """
        weights = next(self.body.parameters())
        inputs = {
            name: value.to(weights.device, weights.dtype if value.is_floating_point() else None)
            for name, value in inputs.items()
        }
        features = getattr(self.body, f"get_{self.medium}_features", None)
        if features is not None:
            if self.pooling != "auto":
                raise UserError(
                    f"content.{self.medium}.pooling={self.pooling}: a "
                    f"{self.body.config.model_type} model has features of its own: use auto"
                )
            out = features(**inputs)
            return (out if isinstance(out, Tensor) else out.pooler_output).float()
        out = self.body(**inputs)
        hidden = out.last_hidden_state
        pooler = out.get("pooler_output")
        if self.pooling == "auto" and pooler is not None and self.has_pooler:
            return pooler.flatten(1).float()
        if hidden.dim() == 4:  # (batch, channels, height, width): a convolutional network
            if self.pooling == "cls":
                raise UserError(
                    f"content.{self.medium}.pooling=cls: a {self.body.config.model_type} model has "
                    "no class token: use auto or mean"
                )
            return hidden.float().mean((2, 3))
        by_class = pooler is not None if self.pooling == "auto" else self.pooling == "cls"
        if by_class:
            return hidden[:, 0].float()
        return hidden[:, : max(1, round(share * hidden.shape[1]))].float().mean(1)
