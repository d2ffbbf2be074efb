"""The bar of a training stage: there while it trains, gone when it ends."""

import io
import re

import lightning as L
import torch
from rich.console import Console
from torch.utils.data import DataLoader

from crossrec.training.progress import StageBar


class Line(L.LightningModule):
    """Fits y = w x."""

    def __init__(self, stop_at: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))
        self.stop_at = stop_at

    def training_step(self, batch: torch.Tensor, batch_idx: int) -> torch.Tensor:
        if self.global_step == self.stop_at:
            raise ValueError("stopped")
        loss = (self.weight - batch).square().mean()
        self.log("line/mean_error", 0.5, prog_bar=True)
        return loss

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


def drawn(terminal: bool, stop_at: int = -1) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)
    trainer = L.Trainer(
        max_epochs=2,
        accelerator="cpu",
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[StageBar("source", console)],
    )
    try:
        trainer.fit(Line(stop_at), DataLoader(torch.ones(6), batch_size=2))
    except ValueError:
        assert stop_at >= 0
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_it_says_the_stage_the_steps_and_the_metrics_and_vanishes() -> None:
    text = drawn(terminal=True)
    assert "source" in text
    assert "6/6" in text  # three batches in each of two epochs
    assert "mean error 0.5" in text
    # The last that is written takes the line away and shows the cursor again.
    assert re.search(r"\x1b\[\?25h\r\x1b\[1A\x1b\[2K$", text), repr(text[-60:])


def test_it_vanishes_when_training_fails() -> None:
    assert re.search(r"\x1b\[\?25h\r\x1b\[1A\x1b\[2K$", drawn(terminal=True, stop_at=2))


def test_a_file_gets_none_of_it() -> None:
    assert drawn(terminal=False) == ""
