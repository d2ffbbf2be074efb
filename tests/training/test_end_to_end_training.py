"""Recommenders whose content learns: they start where the frozen ones are, and move from there."""

import pytest
import torch
from torch import Tensor, nn

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.pair import DomainPair
from crossrec.models.content import LearnedContent
from crossrec.models.interface import Recommender
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.models.sasrec import SASRec
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model
from crossrec.training.objectives import BPR, Objective, Softmax
from crossrec.training.recommender import RecommenderTraining


class Reader(nn.Module):
    """A stand-in for a language model: text t is x_t + B A x_t, B zero at first."""

    def __init__(self, fixed: Tensor) -> None:
        super().__init__()
        self.fixed = fixed
        self.A = nn.Parameter(torch.randn(2, fixed.shape[1]))
        self.B = nn.Parameter(torch.zeros(fixed.shape[1], 2))

    def batches(self, texts: Tensor) -> list[Tensor]:
        return list(torch.arange(len(texts)).split(16))

    def forward(self, texts: Tensor) -> Tensor:
        x = self.fixed[texts]
        return x + x @ self.A.T @ self.B.T


MAKERS = [
    lambda **sizes: TwoTower(dim=8, hidden=16, **sizes),
    lambda **sizes: SASRec(dim=8, n_heads=1, max_history=10, **sizes),
    lambda **sizes: MatrixFactorization(dim=8, use_content=True, **sizes),
]


def built(pair: DomainPair, make: object, learns: bool, per_step: int = 1000) -> Recommender:
    domain = pair.target
    torch.manual_seed(5)
    vectors = torch.randn(domain.n_items + domain.n_context, 6)
    content: Tensor | LearnedContent = vectors
    if learns:
        content = LearnedContent(Reader(vectors), torch.arange(len(vectors)), vectors, per_step)
    return build_model(make, domain, content, 0)


def loss_of(pair: DomainPair, model: Recommender, objective: Objective) -> Tensor:
    module = RecommenderTraining(model, pair.target, objective, 0.02, 0.0)
    window = model.max_history if model.sequential else 1
    batch = next(iter(DomainDataModule(pair.target, window, 10_000, 0).train_dataloader()))
    torch.manual_seed(3)
    return module.loss(batch)


@pytest.mark.parametrize("objective", [Softmax(), Softmax(full_below=1, n_negatives=20), BPR()])
@pytest.mark.parametrize("make", MAKERS)
def test_training_starts_at_the_frozen_model(
    small_pair: DomainPair, make: object, objective: Objective
) -> None:
    """The same loss, bit for bit, and the same gradient of all weights that both have."""
    frozen, learning = (built(small_pair, make, learns).train() for learns in (False, True))
    losses = [loss_of(small_pair, model, objective) for model in (frozen, learning)]
    assert torch.equal(*losses)
    for loss in losses:
        loss.backward()
    others = dict(learning.named_parameters())
    for name, parameter in frozen.named_parameters():
        assert parameter.grad is not None
        assert torch.equal(parameter.grad, others[name].grad)
    assert set(others) - set(dict(frozen.named_parameters())) == {
        "content.encoder.A",
        "content.encoder.B",
    }


@pytest.mark.parametrize("objective", [Softmax(), Softmax(full_below=1, n_negatives=20), BPR()])
@pytest.mark.parametrize("make", MAKERS)
def test_the_reader_gets_the_gradient_of_the_whole(
    small_pair: DomainPair, make: object, objective: Objective
) -> None:
    """Against a model that reads all texts in every step, by plain autograd."""
    model = built(small_pair, make, learns=True).train()
    content = model.content
    torch.nn.init.normal_(content.encoder.B, std=0.1)
    loss_of(small_pair, model, objective).backward()
    found = {name: p.grad.clone() for name, p in model.named_parameters()}

    class ReadsAll(nn.Module):
        dim, encoder = content.dim, content.encoder

        def forward(self) -> Tensor:
            return self.encoder(content.texts)

    model.content = ReadsAll()
    model.zero_grad()
    loss_of(small_pair, model, objective).backward()
    for name, parameter in model.named_parameters():
        assert torch.allclose(parameter.grad, found[name], atol=1e-6), name


@pytest.mark.parametrize("make", MAKERS)
def test_few_texts_a_step_lower_the_loss(small_pair: DomainPair, make: object) -> None:
    """Only what the reader learns moves: it alone can make the loss smaller."""
    model = built(small_pair, make, learns=True, per_step=10).eval()
    learned = list(model.content.encoder.parameters())
    optimizer = torch.optim.Adam(learned, 0.01)
    before = loss_of(small_pair, model, Softmax()).item()
    for _ in range(30):
        optimizer.zero_grad()
        loss_of(small_pair, model, Softmax()).backward()
        optimizer.step()
    assert loss_of(small_pair, model, Softmax()).item() < before
