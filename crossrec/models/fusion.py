"""How a model reads several modalities of an item: side by side, by gates, or by experts.

The content vector of an item is c = [c_1, ..., c_M] / sqrt(k) with k the number of modalities that
it has and a block of zeros for every other one (see `encoders.content`). A model maps it to d
dimensions with a linear map A without bias, sum_m A_m c_m / sqrt(k); what an item lacks adds
nothing, and vectors are as long with one modality as with all.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.models.interface import Recommender

FUSIONS = ("concatenate", "gate", "mixture")
EXPERTS = 4


class Gate(nn.Module):
    """v = sum_m a_m A_m c_m / ||a||, with a the softmax of <w_m, c_m> + b_m over those present.

    ||a|| is the Euclidean length: v stays as long whether one gate or all are open. With equal
    gates, where training starts, v = A c: concatenation. A modality alone has gate 1: v = A_m c_m.

    Args:
        linear: A, which is used and trained.
        blocks: sizes of the modalities' blocks.
    """

    block_of: Tensor

    def __init__(self, linear: nn.Linear, blocks: Sequence[int]) -> None:
        super().__init__()
        self.linear = linear
        self.gates = nn.Parameter(torch.zeros(linear.in_features))
        self.gate_bias = nn.Parameter(torch.zeros(len(blocks)))
        block_of = torch.repeat_interleave(torch.arange(len(blocks)), torch.tensor(blocks))
        self.register_buffer("block_of", block_of, persistent=False)

    def forward(self, content: Tensor) -> Tensor:
        """(items, d_c) -> (items, d)."""
        fused: Tensor = self.linear(content * self.shares(content)[:, self.block_of])
        return fused

    def shares(self, content: Tensor) -> Tensor:
        """(items, M) sqrt(k) a_m / ||a||, by which each block is multiplied; 0 where it is missing.

        The root takes back what the blocks were divided by; it is 0 for an item without content.
        """
        zeros = content.new_zeros(len(content), len(self.gate_bias))
        index = self.block_of.expand_as(content)
        present = zeros.scatter_add(1, index, (content != 0).to(content.dtype)) > 0
        n_present = present.sum(1, keepdim=True)
        products = content * n_present.sqrt() * self.gates
        logits = zeros.to(products.dtype).scatter_add(1, index, products) + self.gate_bias
        lowest = torch.finfo(logits.dtype).min
        gates = logits.masked_fill(~present, lowest).softmax(1)
        return n_present.sqrt() * gates / gates.norm(dim=1, keepdim=True)


class Mixture(nn.Module):
    """v = sum_k g_k A_k c with g the softmax of G c: experts that share the items among them.

    A mixture-of-experts adapter as UniSRec's (Hou et al., KDD 2022, section 2.1), but without its
    shifts, which would stand for what an item lacks, and without noise.

    Args:
        linear: its shape and scale are those of the experts.
        n_experts: K.
    """

    def __init__(self, linear: nn.Linear, n_experts: int = EXPERTS) -> None:
        super().__init__()
        self.experts = nn.Linear(linear.in_features, n_experts * linear.out_features, bias=False)
        # Equal gates average K independent maps: that keeps the scale of one.
        nn.init.normal_(
            self.experts.weight, std=linear.weight.detach().std().item() * n_experts**0.5
        )
        self.gate = nn.Linear(linear.in_features, n_experts, bias=False)
        nn.init.zeros_(self.gate.weight)

    def forward(self, content: Tensor) -> Tensor:
        """(items, d_c) -> (items, d)."""
        gates = self.gate(content).softmax(-1)
        mapped = self.experts(content).unflatten(-1, (gates.shape[-1], -1))
        fused: Tensor = (gates.unsqueeze(-1) * mapped).sum(-2)
        return fused


def fuse(model: Recommender, blocks: Sequence[int], fusion: str) -> None:
    """Let a model, just made, read its content by gates or experts instead of side by side.

    Args:
        blocks: sizes of the modalities' blocks; fewer than two leave the model as it is.
        fusion: one of FUSIONS.

    Raises:
        UserError: the model does not map content.
    """
    if fusion == "concatenate" or len(blocks) < 2:
        return
    maps = [name for name in model.content_maps if getattr(model, name) is not None]
    if not maps:
        raise UserError(
            f"content.fusion={fusion}: {type(model).__name__} reads no content that could be "
            "fused; use content.fusion=concatenate, or model=two_tower or model=sasrec"
        )
    for name in maps:
        linear: nn.Linear = getattr(model, name)
        setattr(model, name, Gate(linear, blocks) if fusion == "gate" else Mixture(linear))
