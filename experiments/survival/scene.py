"""A small run that downloads, reads, pretrains, trains and writes; started, killed, compared.

Book-Crossing's format is the source, fetched over http from a slow server on loopback (the client's
http_proxy leads there); a folder of tables is the target. All of it is drawn, nobody in it exists.
"""

import hashlib
import http.server
import io
import os
import re
import shutil
import subprocess
import sys
import threading
import time
import zipfile
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

STAGES = ("collect", "pretrain", "encode", "source", "scratch", "transfer", "baselines")
WORDS = [
    "red",
    "blue",
    "old",
    "new",
    "small",
    "sea",
    "hill",
    "road",
    "house",
    "night",
    "war",
    "love",
]
SAME = ("results.csv", "recommendations.parquet", "per_user.parquet", "comparisons.csv")
WEIGHTS = ("weights.safetensors", "model.safetensors", "content.safetensors")
BYTES_PER_SECOND = 60_000


def shelf(folder: Path) -> None:
    """The target: 80 readers, 40 books."""
    rng = np.random.default_rng(1)
    place = folder / "shelf"
    place.mkdir(parents=True)
    events = [
        f"book_crossing_{user},s{item},{rng.integers(1, 11)}"
        for user in range(80)
        for item in rng.permutation(40)[: rng.integers(4, 9)]
    ]
    (place / "interactions.csv").write_text("\n".join(["user_id,item_id,rating", *events]) + "\n")
    titles = [f"s{item}\t{' '.join(rng.choice(WORDS, 4))}" for item in range(40)]
    (place / "items.tsv").write_text("\n".join(["item_id\ttitle", *titles]) + "\n")


def archive() -> bytes:
    """The source: 120 readers, 60 books, as BX-CSV-Dump.zip; about 120 kB."""
    rng = np.random.default_rng(2)
    ratings = ['"User-ID";"ISBN";"Book-Rating"'] + [
        f'"{user}";"{item:010}";"{rng.integers(0, 11)}"'
        for user in range(120)
        for item in rng.permutation(60)[: rng.integers(5, 15)]
    ]
    books = ['"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher"'] + [
        f'"{item:010}";"{" ".join(rng.choice(WORDS, 4))}";"A {item % 7}";"19{item:02}";"P"'
        for item in range(60)
    ]
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as target:
        for name, lines in (("BX-Book-Ratings.csv", ratings), ("BX-Books.csv", books)):
            target.writestr(zipfile.ZipInfo(name), "\r\n".join(lines) + "\r\n")
        target.writestr(zipfile.ZipInfo("padding.bin"), rng.bytes(80_000))
    return held.getvalue()


def language_model(folder: Path) -> None:
    """A BERT of one layer that knows the letters."""
    import torch

    torch.manual_seed(0)
    special = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
    letters = "abcdefghijklmnopqrstuvwxyz"
    pieces = [*special, *letters, *(f"##{letter}" for letter in letters)]
    tokenizer = Tokenizer(models.WordPiece(dict(zip(pieces, range(57), strict=True))))
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    names = ("pad_token", "unk_token", "cls_token", "sep_token", "mask_token")
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, **dict(zip(names, special, strict=True)), model_max_length=64
    ).save_pretrained(folder)
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    network = BertConfig(vocab_size=57, intermediate_size=32, max_position_embeddings=64, **sizes)
    BertModel(network).save_pretrained(folder)


def serve(content: bytes) -> str:
    """Serve the archive, slowly, in a thread; the address of the server."""

    class Slow(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            start = int(asked[1]) if asked else 0
            self.send_response(206 if asked else 200)
            if asked:
                self.send_header("Content-Range", f"bytes {start}-/{len(content)}")
            self.send_header("ETag", '"1"')
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            try:
                for place in range(start, len(content), 4096):
                    self.wfile.write(content[place : place + 4096])
                    time.sleep(4096 / BYTES_PER_SECOND)
            except OSError:
                pass  # the client was killed

        def log_message(self, *of: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Slow)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return f"http://127.0.0.1:{server.server_port}"


class Scene:
    """One folder with all that a run reads and writes.

    Args:
        folder: everything in it is removed by `clear`.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder.absolute()
        self.reader = self.folder.with_name(f"{self.folder.name}-reader")
        if not self.reader.exists():
            language_model(self.reader)
        self.server = serve(archive())

    def clear(self) -> None:
        """Begin anew."""
        shutil.rmtree(self.folder, ignore_errors=True)
        self.tables()

    def tables(self) -> None:
        """Write what is not downloaded."""
        shelf(self.folder / "data")

    def command(self, *more: str, run: str = "run") -> list[str]:
        """The main job."""
        f = self.folder
        own = f"{{_target_: crossrec.data.sources.tables.Tables, folder: {f}/data}}"
        return [
            *(sys.executable, "-m", "crossrec.train"),
            *("data=book_crossing_library_thing", "data.target=shelf"),
            *(f"+data.reader.readers.shelf={own}", "cleaning=keep_all", f"paths.data={f}/data"),
            *("encoder=huggingface", f"encoder.model={self.reader}", "encoder.whiten_dim=8"),
            *("pretraining.max_steps=12", "pretraining.checkpoint_every=2"),
            *("pretraining.batch_tokens=256", "trainer.max_epochs=8", "training.patience=8"),
            *("training.checkpoint_minutes=0", "training.events_per_batch=128"),
            *(f"paths.artifacts={f}/artifacts", f"hydra.run.dir={f}/{run}", *more),
        ]

    def start(self, command: list[str]) -> "subprocess.Popen[str]":
        """Start a command in a session of its own; what it says can be read line by line."""
        environment = {**os.environ, "http_proxy": self.server, "OMP_NUM_THREADS": "1"}
        return subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment,
            start_new_session=True,
        )  # fmt: skip

    def finish(self, command: list[str]) -> tuple[int, list[str]]:
        """Run a command to its end: exit code, and what it said."""
        said, _ = (process := self.start(command)).communicate()
        return process.returncode, said.splitlines()

    def files(self) -> set[str]:
        """All that lies in the folder, by its path."""
        return {
            path.relative_to(self.folder).as_posix()
            for path in self.folder.rglob("*")
            if path.is_file()
        }

    def results(self) -> dict[str, str]:
        """Digests of what must be equal to the byte: results, lists and weights."""
        return {
            name: hashlib.sha256((self.folder / name).read_bytes()).hexdigest()
            for name in sorted(self.files())
            if Path(name).name in (*SAME, *WEIGHTS) and "/reader" not in name
        }


def stages_said(said: list[str], how: str) -> list[str]:
    """The stages that a log says were "made" or "reused"."""
    pattern = re.compile(rf"\[[\d:]+\] ({'|'.join(STAGES)}) +{how} ")
    return [found[1] for line in said if (found := pattern.match(line))]
