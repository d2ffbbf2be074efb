"""Lightning without its banners and advice, in this process and in the ranks that it spawns."""

import atexit
import logging
import os
import warnings
from collections.abc import Callable

import lightning as L
import torch.distributed

NOISE = (
    "does not have many workers",
    "GPU available but not used",
    "smaller than the logging interval",
    "Previous log files in this directory",
    "LeafSpec",
)


def hush() -> None:
    """Keep what is no news to a user out of the log; errors and our own lines stay."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)  # importing lightning set it lower
    for text in NOISE:
        warnings.filterwarnings("ignore", message=f".*{text}.*")
    # For spawned ranks, whose torch reads it at its start: DDP's advice on unused parameters.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")


class SpawnedRank(L.Callback):
    """What a spawned rank does besides training: it is quiet, and takes its leave at the end.

    A rank begins by unpickling its trainer and this callback with it. Lightning does not end
    gloo's process group, whose threads then abort about one process in thirty as it exits.
    """

    def __reduce__(self) -> tuple[Callable[[], "SpawnedRank"], tuple[()]]:
        return _arrive, ()


def _arrive() -> SpawnedRank:
    hush()
    atexit.register(_leave)
    return SpawnedRank()


def _leave() -> None:
    if torch.distributed.is_initialized():
        torch.distributed.destroy_process_group()
