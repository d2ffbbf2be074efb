"""One progress bar a training stage, gone when the stage ends: its line of log replaces it."""

from math import isfinite
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import ProgressBar
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)


class StageBar(ProgressBar):
    """Optimizer steps of those that there are at most, and what is logged for a progress bar.

    Args:
        stage: begins the line.
        console: where it is drawn; standard error unless told.
    """

    def __init__(self, stage: str, console: Console | None = None) -> None:
        super().__init__()
        self.stage = stage
        self._console = console
        self._shown = True
        self._bar: Progress | None = None

    def disable(self) -> None:
        """Draw nothing (ranks other than the first)."""
        self._shown = False

    def enable(self) -> None:
        """Draw."""
        self._shown = True

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin at no step of so many; early stopping may need fewer. Files get no bars."""
        console = self._console or Console(stderr=True)
        if not self._shown or not console.is_interactive:
            return
        steps = trainer.estimated_stepping_batches
        self._bar = Progress(
            TextColumn(f"{self.stage:<10}"),
            BarColumn(bar_width=24),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[says]}"),
            console=console,
            transient=True,
        )
        self._bar.start()
        self._task = self._bar.add_task("", total=steps if isfinite(steps) else None, says="")

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """One step further."""
        self._update(trainer)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """What validation says."""
        self._update(trainer)

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Vanish."""
        self._stop()

    def on_exception(
        self, trainer: L.Trainer, pl_module: L.LightningModule, exception: BaseException
    ) -> None:
        """Vanish, so that the message stands alone."""
        self._stop()

    def _update(self, trainer: L.Trainer) -> None:
        if self._bar is not None:
            says = (
                f"{address.rpartition('/')[2].replace('_', ' ')} {value:.4g}"
                for address, value in trainer.progress_bar_metrics.items()
                if isinstance(value, int | float)
            )
            self._bar.update(self._task, completed=trainer.global_step, says="  ".join(says))

    def _stop(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None
