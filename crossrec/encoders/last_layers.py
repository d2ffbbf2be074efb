"""The last layers of a language model as a network that learns, on states that are kept."""

import math
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.pytorch_utils import Conv1D

from crossrec.encoders.encode import length_buckets, pool
from crossrec.encoders.language_head import last_layers
from crossrec.encoders.language_model import open_body


class LastLayers(nn.Module):
    """Kept token states -> the last layers, each linear map plus B A -> pooled -> content vector.

    W + scale * B A stands for each linear map W of the last layers (Hu et al., ICLR 2022, section
    4.1): A (r, inputs) is drawn from `seed`, B (outputs, r) is zero, so the vectors are at first
    the language model's own. A and B alone are parameters. Everything else, the map of the vectors
    included, is fixed and comes from the folders: buffers that are not saved with the weights. The
    layers stay in evaluation mode, without dropout.

    It is not peft that does this: transfer=lora puts peft's layers around a recommender's linear
    maps and merges all of peft's layers at the end, these would be among them.

    Args:
        folder: the language model's.
        pooling: "mean", "cls" or "last".
        layers: k, how many of the last layers.
        rank: r.
        scale: a smaller one is a smaller learning rate of B A: Adam's steps do not see it.
        states: (tokens, d) input of the last k layers for all tokens of all texts, on the processor
            and possibly mapped from a file.
        offsets: (texts + 1,) text t is states[offsets[t] : offsets[t + 1]].
        mean, matrix: (d,) and (d, d_c), the map z = (x - mean) @ matrix of unit vectors.
        batch_tokens: most texts x longest text that are run at once.
        seed: of A.
    """

    def __init__(
        self,
        folder: Path,
        pooling: str,
        layers: int,
        rank: int,
        scale: float,
        states: Tensor,
        offsets: Tensor,
        mean: Tensor,
        matrix: Tensor,
        batch_tokens: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.pooling, self.batch_tokens = pooling, batch_tokens
        self.states, self.offsets = states, offsets  # no buffers: they stay where they are
        self.mean: Tensor
        self.matrix: Tensor
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)
        self.body = without_lower_layers(open_body(folder), layers)
        _freeze(self)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            _adapt(self.body, rank, scale)
        self.eval()

    def train(self, mode: bool = True) -> "LastLayers":
        """Nothing: dropout would only hide what the layers make of a text."""
        super().train(False)
        return self

    def batches(self, texts: Tensor) -> list[Tensor]:
        """Places in (R,) text numbers of each batch of texts of similar length."""
        lengths = self.offsets.diff()[texts.cpu()].tolist()
        buckets = length_buckets(lengths, self.batch_tokens)
        return [torch.tensor(bucket, device=texts.device) for bucket in buckets]

    def forward(self, texts: Tensor) -> Tensor:
        """(R,) text numbers -> (R, d_c) content vectors."""
        states, attention = self.padded(texts.cpu())
        states = states.to(self.mean.device, self.mean.dtype)
        attention = attention.to(self.mean.device)
        hidden = self.body(inputs_embeds=states, attention_mask=attention).last_hidden_state
        pooled = F.normalize(pool(hidden.to(self.mean.dtype), attention, self.pooling), dim=1)
        return (pooled - self.mean) @ self.matrix

    def padded(self, texts: Tensor) -> tuple[Tensor, Tensor]:
        """(R, L, d) states of texts, zero where padded, and their (R, L) attention mask."""
        starts, lengths = self.offsets[texts], self.offsets.diff()[texts]
        place = torch.arange(int(lengths.max()))
        real = place < lengths[:, None]
        index = (starts[:, None] + place).masked_fill(~real, 0)
        return self.states[index].masked_fill(~real[:, :, None], 0), real.long()


class LowRank(nn.Module):
    """A frozen linear map plus scale * B A.

    Args:
        base: nn.Linear, or GPT-2's Conv1D, which is one that holds its weight transposed.
        rank: r.
        scale: of B A.
    """

    def __init__(self, base: Any, rank: int, scale: float) -> None:
        super().__init__()
        outputs, inputs = base.weight.shape[:: -1 if type(base) is Conv1D else 1]
        self.base, self.scale = base, scale
        bound = 1 / math.sqrt(inputs)  # as nn.Linear starts
        self.A = nn.Parameter(torch.empty(rank, inputs).uniform_(-bound, bound))
        self.B = nn.Parameter(torch.zeros(outputs, rank))

    def forward(self, x: Tensor) -> Tensor:
        """(..., inputs) -> (..., outputs)."""
        difference: Tensor = F.linear(F.linear(x, self.A), self.B)
        return self.base(x) + self.scale * difference


class _Given(nn.Module):
    """Stands for the embeddings: the states are what the layers below have made already."""

    def forward(self, *unused: Any, inputs_embeds: Tensor, **also_unused: Any) -> Tensor:
        return inputs_embeds


def without_lower_layers(body: PreTrainedModel, layers: int) -> PreTrainedModel:
    """A body cut to its last layers, in place; its `inputs_embeds` are the states below them."""
    kept = last_layers(body, layers)
    stack = next(iter(kept)).rpartition(".")[0]
    body.set_submodule(stack, nn.ModuleList(kept.values()))
    body.config.num_hidden_layers = layers
    body.config.use_cache = False  # which decoders index by the layer's old number
    if hasattr(body, "embeddings"):  # BERT and its like add positions there
        body.embeddings = _Given()
    else:
        body.set_input_embeddings(nn.Identity())
    return body


def _freeze(network: nn.Module) -> None:
    """Make buffers that are not saved of all parameters and buffers."""
    for module in network.modules():
        for name, parameter in list(module._parameters.items()):
            if parameter is not None:
                del module._parameters[name]
                module.register_buffer(name, parameter.detach())
        module._non_persistent_buffers_set.update(module._buffers)


def _adapt(body: nn.Module, rank: int, scale: float) -> None:
    """Put `LowRank` around each linear map of the body's layers, in place."""
    stack = next(module for module in body.modules() if isinstance(module, nn.ModuleList))
    for name, module in list(stack.named_modules()):
        if type(module) in (nn.Linear, Conv1D):
            stack.set_submodule(name, LowRank(module, rank, scale))
