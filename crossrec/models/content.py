"""Content vectors inside a recommender: fixed, or learned together with it."""

from collections.abc import Iterator
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from crossrec.models.interface import look_up


class FixedContent(nn.Module):
    """Vectors that stay as they are: an input, kept as an artifact, and no part of the weights.

    Args:
        vectors: (n_items + n_context, d_c), zero where an item has no content.
    """

    def __init__(self, vectors: Tensor) -> None:
        super().__init__()
        self.dim = vectors.shape[1]
        self.vectors: Tensor
        self.register_buffer("vectors", vectors, persistent=False)

    def forward(self) -> Tensor:
        """(n_items + n_context, d_c)."""
        return self.vectors


class TextEncoder(Protocol):
    """A network that reads texts by their numbers; its parameters are what it learns."""

    def parameters(self) -> Iterator[nn.Parameter]: ...

    def __call__(self, texts: Tensor) -> Tensor:
        """(R,) text numbers -> (R, d_c) content vectors."""

    def batches(self, texts: Tensor) -> list[Tensor]:
        """Places in (R,) text numbers of each batch that fits into memory; all of them once."""


class LearnedContent(nn.Module):
    """Vectors that a text encoder makes, and that train it through the recommender's own loss.

    A step of the recommender looks at every vector (as history, as candidate), but to run the
    encoder on all texts in each step would cost as much as encoding the catalog. So:

    - Forward, the vectors come from a table. It is made anew wherever the encoder has changed
      since, on the first forward pass after the model was set to `train()` or `eval()`, that is
      before each validation and each epoch, and before ranking. In a validation every vector is
      therefore what the encoder makes now; within an epoch a row is as old as its last use.
    - Backward, the loss's gradient with respect to every row is known before the encoder is asked.
      Text j is read again, with the encoder's present weights, with probability
      pi_j = min(1, c |g_j|), c such that `texts_per_step` are read on average, and its gradient
      counts 1 / pi_j times: the encoder's gradient is that of all rows in expectation (Horvitz and
      Thompson, 1952), with the smallest variance there is for so many rows where their Jacobians
      are alike. Rows without a gradient (what is neither in the batch's histories nor among its
      targets and negatives) cost nothing; under the full softmax a candidate that nobody in the
      batch has is drawn now and then, and then counts more. Cutting such rows off instead would
      leave positives without their counterweight. What was read again goes into the table.

    With `texts_per_step` >= the texts there are nothing is drawn, and after a fresh start the
    gradient is exactly that of the encoder applied to all texts.

    Args:
        encoder: the text encoder, an nn.Module.
        texts: (n_items + n_context,) int64 number of each item's text, negative where it has none.
        vectors: (n_items + n_context, d_c) what the encoder as it stands makes of them.
        texts_per_step: texts that a backward pass reads on average.
    """

    def __init__(
        self, encoder: TextEncoder, texts: Tensor, vectors: Tensor, texts_per_step: int
    ) -> None:
        super().__init__()
        self.dim = vectors.shape[1]
        self.encoder = encoder
        self.texts_per_step = texts_per_step
        described = texts >= 0
        distinct, place = torch.unique(texts[described], return_inverse=True)
        rows = torch.full_like(texts, -1)
        rows[described] = place
        table = torch.zeros(len(distinct), self.dim)
        table[place] = vectors[described]
        self.texts: Tensor
        self.rows: Tensor
        self.table: Tensor
        self.made_of: Tensor
        buffers = {"texts": distinct, "rows": rows, "table": table, "made_of": self.weights()}
        for name, value in buffers.items():
            self.register_buffer(name, value, persistent=False)
        self.checked = False

    def train(self, mode: bool = True) -> "LearnedContent":
        """The weights may have changed since: the next forward pass looks."""
        super().train(mode)
        self.checked = False
        return self

    def forward(self) -> Tensor:
        """(n_items + n_context, d_c)."""
        if not (self.checked and self.training):
            self.refresh()
        learned = [p for p in self.encoder.parameters() if p.requires_grad]
        table: Tensor = _Read.apply(self, *learned)
        return look_up(table, self.rows)

    def weights(self) -> Tensor:
        """(P,) all that the encoder has learned, copied."""
        return torch.cat([p.detach().flatten() for p in self.encoder.parameters()])

    @torch.no_grad()
    def refresh(self) -> None:
        """Make the table anew, unless it is what the encoder would make."""
        self.checked = True
        weights = self.weights()
        if torch.equal(weights, self.made_of):
            return
        for batch in self.encoder.batches(self.texts):
            self.table[batch] = self.encoder(self.texts[batch]).to(self.table.dtype)
        self.made_of.copy_(weights)


Content = Tensor | FixedContent | LearnedContent


def as_module(content: Content | None) -> FixedContent | LearnedContent | None:
    """What a model holds of the content that it is given."""
    return FixedContent(content) if isinstance(content, Tensor) else content


class _Read(torch.autograd.Function):
    """The table, whose gradient goes to the encoder's weights."""

    @staticmethod
    def forward(ctx: Any, content: LearnedContent, *weights: nn.Parameter) -> Tensor:
        ctx.content, ctx.weights = content, weights
        device = content.table.device.type
        ctx.autocast = {
            "device_type": device,
            "dtype": torch.get_autocast_dtype(device),
            "enabled": torch.is_autocast_enabled(device),
        }
        return content.table.clone()  # the table itself moves on before the backward pass is over

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        content, weights = ctx.content, ctx.weights
        rows, share = drawn(gradient.norm(dim=1), content.texts_per_step)
        counted = gradient[rows] / share[:, None]
        total = [torch.zeros_like(weight) for weight in weights]
        for batch in content.encoder.batches(content.texts[rows]):
            with torch.enable_grad(), torch.autocast(**ctx.autocast):
                vectors = content.encoder(content.texts[rows[batch]])
            grown = torch.autograd.grad(vectors, weights, counted[batch].to(vectors.dtype))
            for one, more in zip(total, grown, strict=True):
                one += more
            content.table[rows[batch]] = vectors.detach().to(content.table.dtype)
        return None, *total


def drawn(sizes: Tensor, n_drawn: int) -> tuple[Tensor, Tensor]:
    """Rows drawn with probability pi = min(1, c * size), and the pi of each.

    c is such that the probabilities sum to `n_drawn`; where no more rows than that have a size
    above zero, all of these are drawn for sure.

    Args:
        sizes: (n,) >= 0.
        n_drawn: rows on average, >= 1.

    Returns:
        (R,) rows in ascending order, and (R,) probabilities.
    """
    able = sizes.nonzero()[:, 0]
    sizes = sizes[able].double()
    if len(able) <= n_drawn:
        return able, torch.ones_like(sizes).to(torch.float32)
    ordered = sizes.sort(descending=True).values
    rest = ordered.flip(0).cumsum(0).flip(0)  # (n,) the sum from each place on
    left = n_drawn - torch.arange(len(ordered), device=sizes.device)
    # The k largest are sure, the others share what is left: the first k where that is below 1 each.
    sure = int((ordered * left <= rest).nonzero()[0, 0])
    share = (sizes * (left[sure] / rest[sure])).clamp(max=1)
    chosen = torch.rand(len(able), device=sizes.device) < share
    return able[chosen], share[chosen].float()
