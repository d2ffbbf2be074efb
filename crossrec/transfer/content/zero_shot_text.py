"""Ranking by likeness of text alone: nothing is trained."""

import torch
import torch.nn.functional as F
from torch import Tensor

from crossrec.data.pair import DomainPair, Side
from crossrec.data.sequences import Batch
from crossrec.encoders.content import Content
from crossrec.errors import UserError
from crossrec.models.interface import look_up
from crossrec.transfer.content.sequence_encoder import content_of
from crossrec.transfer.method import Overlap
from crossrec.transfer.pair_model import PairModel, Phase, Scores


class ZeroShotText(PairModel):
    """score(u, i) = cosine of c_i and the mean of c_j over what u did in either domain.

    c are the content vectors, one space for both domains. It is the content-based filter that
    methods on text have to beat.

    Args:
        max_history: events of history that are read, the last ones.

    Raises:
        UserError: max_history is below 1; in `build`, that there are no content vectors.
    """

    content: Tensor
    needs: Overlap = "none"
    reads_text = True
    phases: tuple[Phase, ...] = ()

    def __init__(self, max_history: int = 50) -> None:
        super().__init__()
        if max_history < 1:
            raise UserError(f"transfer.max_history must be >= 1, got {max_history}")
        self.max_history = max_history

    def build(self, pair: DomainPair, content: Content) -> None:
        """Lay out the content vectors; there are no parameters."""
        source, target = content_of(content, "zero_shot_text")
        self.n_items: dict[Side, int] = {"source": len(source), "target": len(target)}
        self.register_buffer("content", torch.cat([target, source]), persistent=False)

    def scorer(self, side: Side) -> Scores:
        """Cosines with the side's catalog."""
        text = self.content if side == "target" else self.content[self.n_items["target"] :]
        catalog = F.normalize(text[: self.n_items[side]], dim=1)

        def scores(histories: Batch) -> Tensor:
            total = look_up(text, histories.items).sum(1)  # its length does not matter
            return F.normalize(total, dim=1) @ catalog.T

        return scores
