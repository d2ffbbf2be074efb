"""Fusion of modalities: by hand, in its limits, and with modalities that are missing."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from crossrec.encoders.content import Content, join
from crossrec.errors import UserError
from crossrec.models.fusion import Gate, Mixture, fuse
from crossrec.models.lightgcn import LightGCN
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower

BLOCKS = (2, 3)


def linear(dim: int = 4) -> nn.Linear:
    torch.manual_seed(0)
    return nn.Linear(sum(BLOCKS), dim, bias=False)


def joined(first: Tensor, second: Tensor) -> Content:
    """Two modalities of the same items, in source and target alike."""
    return join([Content(first, first, "a"), Content(second, second, "b")], "gate")


def items(n: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    first = torch.randn(n, 2, generator=generator)
    second = torch.randn(n, 3, generator=generator)
    return first, second


def test_side_by_side_by_hand() -> None:
    first = torch.tensor([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0], [0.0, 0.0]])
    second = torch.tensor([[0.0, 0.0, 2.0], [0.0, 0.0, 0.0], [1.0, 1.0, 1.0], [0.0, 0.0, 0.0]])
    content = joined(first, second)
    root = 2**0.5
    expected = [
        [3 / root, 4 / root, 0, 0, 2 / root],
        [3, 4, 0, 0, 0],  # what has one modality keeps its length
        [0, 0, 1, 1, 1],
        [0, 0, 0, 0, 0],
    ]
    assert content.target is not None
    torch.testing.assert_close(content.target, torch.tensor(expected))
    assert (content.blocks, content.artifact, content.fusion) == ((2, 3), "a+b", "gate")


def test_one_modality_is_left_as_it_is() -> None:
    alone = Content(*items(3), "a")
    assert join([alone], "mixture") is alone
    assert join([], "gate") == Content(None, None, None)


def test_equal_gates_are_concatenation() -> None:
    content = joined(*items(6)).target
    assert content is not None
    plain = linear()
    torch.testing.assert_close(Gate(plain, BLOCKS)(content), plain(content))


def test_gates_by_hand() -> None:
    """Logits ln 3 and 0 open the gates by 3/4 and 1/4, of length sqrt(10) / 4."""
    first, second = torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0, 0.0]])
    gate = Gate(linear(), BLOCKS)
    with torch.no_grad():
        gate.gates[0] = torch.log(torch.tensor(3.0))
    content = joined(first, second).target
    assert content is not None
    weight = gate.linear.weight
    expected = (3 * weight[:, 0] + 1 * weight[:, 3]) / 10**0.5
    torch.testing.assert_close(gate(content)[0], expected)


def test_what_is_missing_adds_nothing_and_takes_nothing() -> None:
    """Whatever its gate, an item with one modality is the map of that one, as without the other."""
    first, second = items(5)
    gate = Gate(linear(), BLOCKS)
    with torch.no_grad():
        gate.gates.normal_()
        gate.gate_bias.copy_(torch.tensor([-3.0, 50.0]))
    content = joined(first, torch.zeros_like(second)).target
    assert content is not None
    torch.testing.assert_close(gate(content), first @ gate.linear.weight[:, :2].T)
    nothing = gate(torch.zeros(2, 5))
    assert nothing.abs().sum() == 0
    nothing.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in gate.parameters() if p.grad is not None)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_open_gates_choose_a_modality_and_lengths_stay(seed: int) -> None:
    first, second = items(4, seed)
    gate = Gate(linear(), BLOCKS)
    with torch.no_grad():
        gate.gate_bias.copy_(torch.tensor([60.0, 0.0]))
    content = joined(first, second).target
    assert content is not None
    torch.testing.assert_close(gate(content), first @ gate.linear.weight[:, :2].T)
    with torch.no_grad():
        gate.gates.normal_(generator=torch.Generator().manual_seed(seed))
    shares = gate.shares(content)
    np.testing.assert_allclose(shares.detach().norm(dim=1), 2**0.5, rtol=1e-5)


def test_experts_by_hand() -> None:
    """Gates 3/4 and 1/4 of two experts."""
    mixture = Mixture(linear(), n_experts=2)
    content = torch.tensor([[1.0, 0.0, 0.0, 0.0, 0.0]])
    with torch.no_grad():
        mixture.gate.weight[0, 0] = torch.log(torch.tensor(3.0))
    first, second = mixture.experts.weight[:4, 0], mixture.experts.weight[4:, 0]
    torch.testing.assert_close(mixture(content)[0], 0.75 * first + 0.25 * second)
    assert mixture(torch.zeros(1, 5)).abs().sum() == 0


def test_a_mixture_starts_at_the_scale_of_one_map() -> None:
    torch.manual_seed(0)
    plain = nn.Linear(40, 400, bias=False)
    content = torch.randn(200, 40)
    assert Mixture(plain)(content).std().item() == pytest.approx(
        plain(content).std().item(), rel=0.05
    )


@pytest.mark.parametrize("fusion", ["concatenate", "gate", "mixture"])
@pytest.mark.parametrize("make", [TwoTower, SASRec, MatrixFactorization])
def test_models_train_with_every_fusion(make: type, fusion: str) -> None:
    content = joined(*items(7)).target
    torch.manual_seed(0)
    options = {"use_content": True} if make is MatrixFactorization else {}
    model = make(n_users=3, n_items=5, n_context=2, content=content, dim=4, **options)
    before = model.embed_items().detach()
    fuse(model, BLOCKS, fusion)
    embedded = model.embed_items()
    assert embedded.shape == (7, 4)
    if fusion != "mixture":
        torch.testing.assert_close(embedded.detach(), before)
    embedded.pow(2).sum().backward()
    learned = [name for name, p in model.named_parameters() if p.grad is not None and p.grad.any()]
    assert fusion != "gate" or any(name.endswith("gates") for name in learned)
    assert fusion != "mixture" or any("experts" in name for name in learned)


def test_one_block_needs_no_fusion() -> None:
    model = TwoTower(n_users=1, n_items=2, n_context=0, content=torch.ones(2, 5), dim=4)
    fuse(model, (), "gate")
    assert isinstance(model.adapter, nn.Linear)


def test_a_model_without_content_is_refused() -> None:
    model = LightGCN(n_users=1, n_items=2, n_context=0, content=torch.ones(2, 5))
    with pytest.raises(UserError, match=r"content\.fusion=gate: LightGCN reads no content"):
        fuse(model, BLOCKS, "gate")
