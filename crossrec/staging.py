"""A stage of a run: an artifact that is found or made, and one line of log that says which."""

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from crossrec.artifacts import ArtifactStore, code_digest
from crossrec.lineage import PACKAGE

log = logging.getLogger(__name__)


class Staging:
    """The artifacts of one run.

    An artifact is keyed by the stage's own settings, by the artifacts that it reads and by the
    code that makes it: a run that changes only `transfer.lambda` repeats nothing before transfer.

    Args:
        artifacts: folder of artifacts that runs share.
    """

    def __init__(self, artifacts: Path) -> None:
        self.store = ArtifactStore(artifacts)
        self.used: dict[str, str] = {}

    def stage(
        self,
        name: str,
        code: tuple[str | Path, ...],
        inputs: dict[str, Any],
        make: Callable[[Path], None],
    ) -> Path:
        """The folder of a stage's artifact.

        Args:
            name: of the stage.
            code: what makes it: files, or packages as paths below that of crossrec.
            inputs: plain values that the artifact depends on.
            make: writes it into a folder.
        """
        start = time.monotonic()
        digest = code_digest(*(PACKAGE / part for part in code))
        folder, reused = self.store.get_or_make(name, {**inputs, "code": digest}, make)
        self.used[name] = folder.name
        seconds = time.monotonic() - start
        log.info("%-10s %s %s (%.1f s)", name, "reused" if reused else "made", folder.name, seconds)
        return folder
