"""One run of a sweep: composed, logged into its own folder, and mirrored as any other."""

import logging
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from crossrec.configuration.overrides import compose_overrides
from crossrec.train import run

if TYPE_CHECKING:  # both load torch, which a slip of the hand need not wait for
    from crossrec.stages.main_job import Outcome
    from crossrec.training.watching import Say

FORMAT = logging.Formatter("[%(asctime)s] %(message)s", "%H:%M:%S")


def execute(overrides: Sequence[str], folder: Path, watch: "Say | None", aloud: bool) -> "Outcome":
    """Run the main job as `python -m crossrec.train OVERRIDES hydra.run.dir=FOLDER` does.

    Args:
        watch: told of the transfer stage's validation.
        aloud: whether the log goes to the terminal, too, and not to train.log alone.

    Raises:
        UserError: the configuration is refused, or the run fails for a reason of the user's.
    """
    cfg, choices = compose_overrides(overrides)
    (folder / ".hydra").mkdir(parents=True, exist_ok=True)
    (folder / ".hydra" / "overrides.yaml").write_text(yaml.safe_dump(list(overrides)))
    handlers: list[logging.Handler] = [logging.FileHandler(folder / "train.log", "w", "utf-8")]
    with logging_to(
        [*handlers, *([logging.StreamHandler(sys.stdout)] if aloud else [])], "crossrec"
    ):
        return run(cfg, choices, folder, watch)


@contextmanager
def logging_to(handlers: Sequence[logging.Handler], name: str) -> Iterator[None]:
    """Let a logger's lines go to these handlers, which are closed at the end."""
    logger = logging.getLogger(name)
    level = logger.level
    logger.setLevel(logging.INFO)
    for handler in handlers:
        handler.setFormatter(FORMAT)
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        for handler in handlers:
            logger.removeHandler(handler)
            handler.close()
