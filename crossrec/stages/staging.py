"""A stage of a run: an artifact that is found or made, and one line of log that says which."""

import json
import logging
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crossrec import world
from crossrec.artifacts import ArtifactStore, code_digest, key_of
from crossrec.cost import measured
from crossrec.errors import UserError
from crossrec.integrity import RECORD, fault
from crossrec.lineage import PACKAGE

log = logging.getLogger(__name__)
Cost = dict[str, float | bool | None]
MODELS = ("weights.safetensors", "model.safetensors")  # of recommenders, of language models


class Staging:
    """The artifacts of one run.

    An artifact is keyed by the stage's own settings, by the artifacts that it reads and by the
    code that makes it: a run that changes only `transfer.lambda` repeats nothing before transfer.

    Args:
        artifacts: folder of artifacts that runs share.

    Attributes:
        followed: whether other ranks go through the same stages now.
        used: stage -> name of its artifact.
        costs: stage -> seconds, joules and peak_memory (bytes) of making it, in whichever run that
            was, and whether it was reused; bytes on disk and trained parameters, where it has any.
    """

    def __init__(self, artifacts: Path) -> None:
        self.store = ArtifactStore(artifacts)
        self.followed = False
        self.used: dict[str, str] = {}
        self.costs: dict[str, Cost] = {}

    def stage(
        self,
        name: str,
        code: tuple[str | Path, ...],
        inputs: dict[str, Any],
        make: Callable[[Path], None],
        together: bool = False,
        kind: str | None = None,
    ) -> Path:
        """The folder of a stage's artifact.

        Args:
            name: of the stage.
            code: what makes it: files, or packages as paths below that of crossrec.
            inputs: plain values that the artifact depends on.
            make: writes it into a folder.
            together: whether all ranks of a run that several processes share make it at once, and
                rank 0 writes it; else rank 0 alone makes it.
            kind: begins the folder's name, where stages of several names make the same; None: the
                stage's name.
        """
        kind = kind or name
        if not world.leads():
            return self._follow(name, kind, _keyed(code, inputs), make)
        start = time.monotonic()

        def with_others(folder: Path) -> None:
            world.tell(world.MAKE)
            make(folder)

        folder, reused = self.store.get_or_make(
            kind, _keyed(code, inputs), with_others if self.followed and together else make
        )
        if self.followed:
            world.tell(world.READY)
        self.progress(kind, code, inputs).unlink(missing_ok=True)
        self.used[name] = folder.name
        self.costs[name] = {"reused": reused, **_cost(folder)}
        seconds = time.monotonic() - start
        log.info("%-10s %s %s (%.1f s)", name, "reused" if reused else "made", folder.name, seconds)
        return folder

    def _follow(
        self, name: str, kind: str, inputs: dict[str, Any], make: Callable[[Path], None]
    ) -> Path:
        """What rank 0 has, once it has it; what this rank writes meanwhile is thrown away.

        Raises:
            UserError: it does not lie where rank 0 says that it is.
        """
        while world.hear() == world.MAKE:
            with TemporaryDirectory() as folder:
                make(Path(folder))
        place = self.store.place(kind, inputs)
        if fault(place) is not None:
            raise UserError(
                f"rank {world.rank()} does not find {place}, which rank 0 made: all machines must "
                "see the same paths.artifacts, and have the same code"
            )
        self.used[name] = place.name
        return place

    def progress(self, kind: str, code: tuple[str | Path, ...], inputs: dict[str, Any]) -> Path:
        """The file in which a stage may write how far it is: what a killed process leaves there is
        for the next one, and once the stage is done the file is removed.

        Args:
            kind, code, inputs: as in `stage`.
        """
        # An artifact is whole or not there; how far a killed process came lies beside it.
        return self.store.folder / f".{kind}-{key_of(_keyed(code, inputs))}.safetensors"

    @contextmanager
    def timed(self, name: str) -> Iterator[None]:
        """Counts the cost of a stage that leaves no artifact."""
        with measured() as cost:
            yield
        self.costs[name] = {"reused": False, **cost}


def _keyed(code: tuple[str | Path, ...], inputs: dict[str, Any]) -> dict[str, Any]:
    return {**inputs, "code": code_digest(*(PACKAGE / part for part in code))}


def _cost(artifact: Path) -> Cost:
    record = json.loads((artifact / RECORD).read_text())
    models = [name for name in record["files"] if Path(name).name in MODELS]
    return {
        "seconds": record.get("seconds"),  # artifacts of earlier versions did not count
        "joules": record.get("joules"),
        "peak_memory": record.get("peak_memory"),
        "bytes": sum(entry["bytes"] for entry in record["files"].values()),
        "parameters": sum(_parameters(artifact / name) for name in models) if models else None,
    }


def _parameters(weights: Path) -> int:
    """Numbers in a safetensors file; its header is JSON behind 8 bytes that say how long it is."""
    with weights.open("rb") as stream:
        header = json.loads(stream.read(int.from_bytes(stream.read(8), "little")))
    return sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
