"""From text vectors to item vectors: parametric whitening, and a mixture of such experts."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from crossrec.models.interface import INITIAL_STD

NOISE_FLOOR = 0.01  # of the gates' noise, so that no expert is ever left out for good


class Adapter(nn.Module):
    """v = sum_k g_k (x - b_k) W_k with gates g = softmax(x W_g + noise); UniSRec, section 2.1.

    Each expert is a parametric whitening: a shift and a linear map that are learned. The noise is
    Gaussian with standard deviation softplus(x W_n), and is left out in evaluation. With one
    expert the gate is 1 and the adapter is linear.

    Args:
        content_dim: d_c of the text vectors x.
        dim: d of the item vectors v.
        n_experts: K.
        dropout: of the text vectors that the experts read.
    """

    def __init__(self, content_dim: int, dim: int, n_experts: int, dropout: float) -> None:
        super().__init__()
        self.shift = nn.Parameter(torch.zeros(n_experts, content_dim))
        self.weight = nn.Parameter(torch.randn(n_experts, content_dim, dim) * INITIAL_STD)
        self.gate = nn.Parameter(torch.zeros(content_dim, n_experts))
        self.noise = nn.Parameter(torch.zeros(content_dim, n_experts))
        self.dropout = nn.Dropout(dropout)

    def forward(self, content: Tensor) -> Tensor:
        """(..., d_c) -> (..., d)."""
        logits = content @ self.gate
        if self.training:
            scale = F.softplus(content @ self.noise) + NOISE_FLOOR
            logits = logits + torch.randn_like(scale) * scale
        mapped = torch.einsum("...c,kcd->...kd", self.dropout(content), self.weight)
        shifted = mapped - torch.einsum("kc,kcd->kd", self.shift, self.weight)
        return (logits.softmax(-1).unsqueeze(-1) * shifted).sum(-2)
