"""The graph by hand, against dense algebra, and as a part of a module."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from crossrec.models.graph import Graph, normalized_adjacency, propagate, spread


def dense_adjacency(users: list[int], items: list[int], n_users: int, n_items: int) -> torch.Tensor:
    """The definition."""
    a = torch.zeros(n_users + n_items, n_users + n_items)
    for user, item in zip(users, items, strict=True):
        a[user, n_users + item] = a[n_users + item, user] = 1
    inverse_root = a.sum(1).clamp(min=1).rsqrt()
    return inverse_root[:, None] * a * inverse_root


def test_three_nodes_by_hand() -> None:
    # One user with both items: degrees 2, 1, 1. The edge that is named twice counts once.
    adjacency = normalized_adjacency(torch.tensor([0, 0, 0]), torch.tensor([1, 0, 1]), 1, 2)
    edge = 2**-0.5
    expected = torch.tensor([[0, edge, edge], [edge, 0, 0], [edge, 0, 0]])
    assert torch.allclose(adjacency.to_dense(), expected)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 5), st.integers(0, 12))
def test_equals_the_definition_for_any_edges(seed: int, n_u: int, n_i: int, n_edges: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    users = torch.randint(n_u, (n_edges,), generator=generator)
    items = torch.randint(n_i, (n_edges,), generator=generator)
    adjacency = normalized_adjacency(users, items, n_u, n_i)
    expected = dense_adjacency(users.tolist(), items.tolist(), n_u, n_i)
    assert torch.allclose(adjacency.to_dense(), expected)


def test_propagation_is_the_mean_over_layers_and_its_gradient_is_autograds() -> None:
    torch.manual_seed(0)
    users, items = torch.tensor([0, 0, 1, 2]), torch.tensor([0, 2, 2, 1])
    adjacency = normalized_adjacency(users, items, 4, 3)
    dense = adjacency.to_dense()
    embedded, weight = torch.randn(7, 2), torch.randn(7, 2)
    gradients = []
    for result in (
        lambda x: propagate(adjacency, x, 2),
        lambda x: (x + dense @ x + dense @ dense @ x) / 3,
    ):
        leaf = embedded.clone().requires_grad_()
        (result(leaf) * weight).sum().backward()
        gradients.append((result(leaf).detach(), leaf.grad))
    for one, other in zip(*gradients, strict=True):
        assert torch.allclose(one, other, atol=1e-6)


def test_a_node_without_edges_keeps_its_own_layer_alone() -> None:
    adjacency = normalized_adjacency(torch.tensor([0]), torch.tensor([0]), 2, 1)
    embedded = torch.tensor([[1.0], [6.0], [2.0]])
    assert propagate(adjacency, embedded, 2)[1].item() == pytest.approx(6 / 3)


def test_sums_are_exact_under_autocast() -> None:
    torch.manual_seed(0)
    adjacency = normalized_adjacency(torch.tensor([0, 0]), torch.tensor([0, 1]), 1, 2)
    embedded = torch.randn(3, 4)
    expected = spread(adjacency, embedded)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(spread(adjacency, embedded), expected)
    assert spread(adjacency, embedded.bfloat16()).dtype == torch.bfloat16


def test_a_graph_is_copied_with_its_module_and_is_no_weight() -> None:
    graph = Graph(torch.tensor([0, 1]), torch.tensor([0, 0]), 2, 1)
    copied = copy.deepcopy(graph)
    assert torch.equal(copied.adjacency().to_dense(), graph.adjacency().to_dense())
    assert not graph.state_dict()
    assert not any(buffer.is_sparse_csr for buffer in graph.buffers())  # DDP broadcasts buffers
