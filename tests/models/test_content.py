"""Content that learns inside a recommender: what is drawn, what is exact, what stays."""

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from crossrec.models.content import LearnedContent, drawn


class Reader(nn.Module):
    """Text t is a fixed vector f_t; it is read as f_t + W f_t, W = 0 at first."""

    def __init__(self, n_texts: int = 7, dim: int = 3) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.fixed = torch.randn(n_texts, dim, generator=generator)
        self.weight = nn.Parameter(torch.zeros(dim, dim))
        self.n_read = 0

    def batches(self, texts: Tensor) -> list[Tensor]:
        return list(torch.arange(len(texts)).split(2))

    def forward(self, texts: Tensor) -> Tensor:
        self.n_read += len(texts)
        return self.fixed[texts] + self.fixed[texts] @ self.weight.T


TEXTS = torch.tensor([5, -1, 2, 5, 0])  # items 0 and 3 share a text, item 1 has none


def learned(texts_per_step: int = 10) -> tuple[LearnedContent, Reader]:
    reader = Reader()
    vectors = reader.fixed[TEXTS].masked_fill((TEXTS < 0)[:, None], 0)
    return LearnedContent(reader, TEXTS, vectors, texts_per_step).train(), reader


def everything(reader: Reader) -> Tensor:
    """What the reader makes of each item's text, differentiable in full."""
    return reader(TEXTS).masked_fill((TEXTS < 0)[:, None], 0)


def test_before_anything_is_learned_nothing_is_read() -> None:
    content, reader = learned()
    assert torch.equal(content(), everything(Reader()))
    assert torch.equal(content.eval()(), everything(Reader()))
    assert reader.n_read == 0


def test_the_gradient_is_that_of_reading_everything() -> None:
    content, reader = learned()
    with torch.no_grad():
        reader.weight.normal_()
    weigh = torch.randn(5, 3)
    (content() * weigh).square().sum().backward()
    assert reader.weight.grad is not None
    (wanted,) = torch.autograd.grad((everything(reader) * weigh).square().sum(), reader.weight)
    assert torch.allclose(reader.weight.grad, wanted, atol=1e-5)


def test_texts_without_a_gradient_are_not_read() -> None:
    content, reader = learned()
    content()[[1, 2]].sum().backward()
    assert reader.n_read == 1


def test_drawn_texts_give_the_gradient_in_expectation() -> None:
    content, reader = learned(texts_per_step=1)
    weigh = torch.tensor([1.0, 1.0, -3.0, 0.5, 2.0])[:, None]
    torch.manual_seed(0)
    n = 4000
    for _ in range(n):
        (content() * weigh).sum().backward()
    assert reader.n_read == pytest.approx(n, rel=0.1)
    assert reader.weight.grad is not None
    (wanted,) = torch.autograd.grad((everything(reader) * weigh).sum(), reader.weight)
    assert torch.allclose(reader.weight.grad / n, wanted, atol=0.05 * float(wanted.norm()))


def test_every_vector_is_new_after_a_change_of_mode() -> None:
    content, reader = learned(texts_per_step=1)
    content()
    with torch.no_grad():
        reader.weight.normal_()
    assert torch.equal(content(), everything(Reader()))  # within an epoch: as it was
    assert torch.allclose(content.eval()(), everything(reader))
    read = reader.n_read
    content()
    content.train()()
    assert reader.n_read == read  # and not twice
    with torch.no_grad():
        reader.weight.normal_()
    assert torch.allclose(content.train()(), everything(reader))


def test_what_a_step_read_is_kept() -> None:
    content, reader = learned()
    out = content()
    with torch.no_grad():
        reader.weight.normal_()
    out[2].sum().backward()
    assert torch.allclose(content()[2], everything(reader)[2])
    assert torch.equal(content()[0], Reader().fixed[5])


def test_a_validation_without_gradients_leaves_a_table_that_can_train() -> None:
    content, reader = learned()
    with torch.no_grad():
        reader.weight.normal_()
    with torch.inference_mode():
        content.eval()()
    content.train()().sum().backward()
    assert reader.weight.grad is not None


def test_weights_alone_are_saved() -> None:
    content, reader = learned()
    assert list(content.state_dict()) == ["encoder.weight"]
    again = copy.deepcopy(content)
    with torch.no_grad():
        reader.weight.normal_()
    again.load_state_dict(content.state_dict())
    assert torch.allclose(again.eval()(), everything(reader))


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-6, 1e6)), max_size=30),
    st.integers(1, 40),
)
def test_probabilities_sum_to_what_was_asked(sizes: list[float], n_drawn: int) -> None:
    torch.manual_seed(0)
    given_sizes = torch.tensor(sizes)
    able = int((given_sizes > 0).sum())
    rows, share = drawn(given_sizes, n_drawn)
    assert (given_sizes[rows] > 0).all()
    assert ((share > 0) & (share <= 1)).all()
    if able <= n_drawn:
        assert len(rows) == able
        return
    # c min'd at 1: from any row that is not sure, c follows, and with it all probabilities.
    unsure = share < 1
    if unsure.any():
        c = (share[unsure] / given_sizes[rows][unsure])[0]
        assert float((c * given_sizes).clamp(max=1).sum()) == pytest.approx(n_drawn, rel=1e-3)


def test_probabilities_by_hand() -> None:
    torch.manual_seed(0)
    counts = torch.zeros(4)
    for _ in range(4000):
        rows, share = drawn(torch.tensor([6.0, 0.0, 1.0, 1.0]), 2)
        counts[rows] += 1
        assert all(share[rows == 0] == 1)  # 6 c would exceed 1: the others share what is left
    assert torch.allclose(counts / 4000, torch.tensor([1.0, 0.0, 0.5, 0.5]), atol=0.03)
