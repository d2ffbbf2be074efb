"""Linear maps that a processor computes faster than torch's own, for inference alone.

float32: torch gives float32 products to MKL, which takes the AVX2 path on processors that are not
Intel's; oneDNN, which torch carries too, uses what there is, on weights laid out for it once.
int8: both sides are rounded to 8 bits, and the products are sums of integers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

MIN_COSINE = 0.99  # of a text's vector to the float32 one, for a type to be admissible


class PackedLinear(nn.Module):
    """x (..., inputs) -> x W' + b in float32, by oneDNN.

    Args:
        weight: W (outputs, inputs).
        bias: b (outputs,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach().contiguous())
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.packed, self.bias, "none", [], "")
        return y


class Int8Linear(nn.Module):
    """x (..., inputs) -> x W' + b, both sides rounded to 8 bits.

    Symmetric: W by output, x by token (Yao et al., ZeroQuant, NeurIPS 2022, section 3.1), so that
    no text's scale depends on the other texts of its batch. x is quantized as it comes: there is
    nothing to calibrate.

    Args:
        weight: W (outputs, inputs).
        bias: b (outputs,).
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        super().__init__()
        weight = weight.detach().float()
        scales = weight.abs().amax(dim=1, keepdim=True).clamp_min(1e-12) / 127
        rounded = (weight / scales).round()
        # Strides of its own: those of a transposed column (one input) are read as another layout by
        # _int_mm, which then gives back memory that nobody wrote.
        self.quantized = torch.empty(rounded.t().shape, dtype=torch.int8).copy_(rounded.t())
        self.scales = scales[:, 0]  # (outputs,)
        self.bias = bias

    def forward(self, x: Tensor) -> Tensor:
        rows = x.reshape(-1, x.shape[-1])
        scales = rows.abs().amax(dim=1, keepdim=True).clamp_min_(1e-12).div_(127)
        y = torch._int_mm((rows / scales).round_().to(torch.int8), self.quantized) * scales
        if self.bias is None:
            y.mul_(self.scales)
        else:
            torch.addcmul(self.bias, y, self.scales, out=y)
        return y.view(*x.shape[:-1], -1)


def speed_up(body: nn.Module, dtype: str) -> None:
    """Put faster maps in the places of a float32 body's linear maps, on the processor.

    Args:
        body: changed in place; fit for inference alone from then on.
        dtype: "int8", or "float32" to change nothing but the last bits.
    """
    make = Int8Linear if dtype == "int8" else PackedLinear
    for name, module in list(body.named_modules()):
        if type(module) is nn.Linear:
            body.set_submodule(name, make(module.weight, module.bias))
        elif type(module) is Conv1D:  # GPT-2's, which stores W'
            body.set_submodule(name, make(module.weight.t(), module.bias))


def can_pack() -> bool:
    """Whether this torch has the operators of `PackedLinear`, and they run here."""
    try:
        ones = torch.ones(2, 2)
        return PackedLinear(ones, torch.zeros(2))(ones).tolist() == [[2.0, 2.0], [2.0, 2.0]]
    except (AttributeError, RuntimeError):
        return False


def fastest_dtype(device: str) -> str:
    """The type that a device is known to gain by: of its features, not of a measured time.

    A GPU with bfloat16 units, and a processor with such units: bfloat16. Another processor with
    8-bit units that torch uses: int8. Any other: float32.
    """
    if torch.device(device).type == "cuda":
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float32"
    features = _features()
    if features.get("avx512_bf16") or features.get("amx_bf16"):
        return "bfloat16"
    return "int8" if has_int8_units() else "float32"


def has_int8_units() -> bool:
    """Whether torch has a fast product of 8-bit numbers here; else a plain loop makes it, forty
    times slower than float32 (measured on a processor with AVX2 alone)."""
    features = _features()
    return bool(features.get("avx512_vnni") or features.get("amx_int8"))


def _features() -> dict[str, Any]:
    # Older torch cannot tell: nothing is known to be gained.
    return getattr(torch.cpu, "get_capabilities", dict)()
