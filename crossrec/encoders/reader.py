"""Token ids -> vectors: the network at work, in this process or in several."""

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.progress import Progress
from torch import Tensor
from torch.nn.functional import normalize as unit_length
from transformers import AutoConfig

from crossrec.encoders.batching import equal_lengths, mean_of_layers, pool
from crossrec.encoders.language_model import open_body
from crossrec.encoders.linear import can_pack, speed_up
from crossrec.encoders.sentence_folder import head_of, width_after
from crossrec.errors import UserError

_FEWEST_ROWS = 16
"""Matrix products of fewer rows take other paths, whose last bits differ."""


@dataclass(frozen=True)
class Reading:
    """How a text's tokens become its vector.

    Attributes:
        folder: of the language model.
        pooling: see `pool`.
        layers: hidden layers whose mean is pooled: 0 the embeddings, -1 the last.
        dtype: "float32", "bfloat16", "float16" or, on a processor, "int8".
        normalize: scale each vector to length 1, so that inner products are cosines.
    """

    folder: Path
    pooling: str
    layers: tuple[int, ...]
    dtype: str
    normalize: bool


class Reader:
    """An opened language model; its vectors do not depend on what else is in a batch.

    Args:
        reading: how it reads.
        device: where to compute, as torch names it.

    Raises:
        UserError: the network has no such layer.
    """

    def __init__(self, reading: Reading, device: str) -> None:
        self.reading, self.device = reading, torch.device(device)
        dtype = torch.float32 if reading.dtype == "int8" else getattr(torch, reading.dtype)
        self.body = open_body(reading.folder, dtype, device)
        check_layers(reading.layers, self.body.config.num_hidden_layers, reading.folder)
        on_processor = self.device.type == "cpu" and dtype == torch.float32
        if on_processor and (reading.dtype == "int8" or can_pack()):
            speed_up(self.body, reading.dtype)
        self.head = head_of(reading.folder).to(device)

    @torch.inference_mode()
    def __call__(self, tokens: Sequence[Sequence[int]]) -> Tensor:
        """Token ids of texts of one length -> vectors (texts, d) float32, on the device."""
        ids = torch.tensor(tokens)
        if self.device.type == "cuda":
            ids = ids.pin_memory().to(self.device, non_blocking=True)
        else:
            ids = ids.repeat(math.ceil(_FEWEST_ROWS / ids.numel()), 1)
        # Without padding there is no mask, and attention takes its fastest path.
        if self.reading.layers == (-1,):
            hidden = self.body(input_ids=ids).last_hidden_state.float()
        else:
            states = self.body(input_ids=ids, output_hidden_states=True).hidden_states
            hidden = mean_of_layers(states, self.reading.layers)
        pooled = pool(hidden, torch.ones_like(ids), self.reading.pooling)[: len(tokens)]
        few = pooled[:1].expand(_FEWEST_ROWS, -1)
        pooled = self.head(torch.cat([pooled, few]))[: len(tokens)]
        return unit_length(pooled, dim=1) if self.reading.normalize else pooled

    def read(
        self, tokens: Sequence[Sequence[int]], batches: Sequence[list[int]]
    ) -> Iterator[tuple[list[int], np.ndarray]]:
        """Rows and vectors (rows, d) of batch after batch; a GPU runs one batch ahead."""
        before: tuple[list[int], Tensor] | None = None
        for rows in batches:
            vectors = self([tokens[row] for row in rows])
            if before is not None:
                yield before[0], before[1].cpu().numpy()
            before = rows, vectors
        if before is not None:
            yield before[0], before[1].cpu().numpy()


def check_layers(layers: Sequence[int], n_layers: int, folder: Path) -> None:
    """Refuse layers that a network of `n_layers` layers does not have.

    Raises:
        UserError: names those that there are.
    """
    if not all(-n_layers - 1 <= layer <= n_layers for layer in layers):
        raise UserError(
            f"encoder.layers={list(layers)}: {folder} has {n_layers} layers, of which 0 (the "
            f"embeddings) to {n_layers} (or -1, the last) can be named"
        )


def width_of(folder: Path) -> int:
    """Length of a folder's vectors."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False)
    return width_after(head_of(folder), config.hidden_size)


def read_alone(reader: Reader, tokens: Sequence[Sequence[int]], batch_tokens: int) -> np.ndarray:
    """Token ids of each text -> vectors (texts, d), with a bar on a terminal."""
    vectors = np.empty((len(tokens), width_of(reader.reading.folder)), dtype=np.float32)
    console = Console(stderr=True)
    bar = Progress(console=console, transient=True, disable=not console.is_interactive)
    with bar as progress:
        task = progress.add_task(f"{'encode':<10}", total=len(tokens))
        batches = equal_lengths([len(ids) for ids in tokens], batch_tokens)
        for rows, of_rows in reader.read(tokens, batches):
            vectors[rows] = of_rows
            progress.advance(task, len(rows))
    return vectors


def read_together(
    reading: Reading,
    device: str,
    workers: int,
    tokens: Sequence[Sequence[int]],
    batch_tokens: int,
) -> np.ndarray:
    """What `read_alone` gives, by several processes that share the threads or the GPUs.

    The batches are those of one process, dealt out one by one, the longest texts first: so the
    vectors are the same, and the shares take equally long.
    """
    batches = equal_lengths([len(ids) for ids in tokens], batch_tokens)
    threads = max(1, torch.get_num_threads() // workers)
    shape = (len(tokens), width_of(reading.folder))
    with tempfile.TemporaryDirectory(prefix="crossrec-") as folder:
        file = Path(folder) / "vectors"
        np.memmap(file, np.float32, "w+", shape=shape)
        arguments = (workers, threads, reading, device, file, shape, tokens, batches)
        torch.multiprocessing.spawn(_work, arguments, nprocs=workers)
        return np.fromfile(file, np.float32).reshape(shape)


def _work(
    rank: int,
    workers: int,
    threads: int,
    reading: Reading,
    device: str,
    file: Path,
    shape: tuple[int, int],
    tokens: Sequence[Sequence[int]],
    batches: Sequence[list[int]],
) -> None:
    torch.set_num_threads(threads)
    if torch.device(device).type == "cuda":
        device = f"cuda:{rank % torch.cuda.device_count()}"
    vectors = np.memmap(file, np.float32, "r+", shape=shape)
    for rows, of_rows in Reader(reading, device).read(tokens, batches[rank::workers]):
        vectors[rows] = of_rows
    vectors.flush()
