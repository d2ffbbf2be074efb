"""The average over the steps' weights is validated and kept; training goes on beside it."""

from typing import Any

import lightning as L
import pytest
import torch
from torch import Tensor

from crossrec.data.pair import DomainPair
from crossrec.models.interface import Recommender
from crossrec.models.two_tower import TwoTower
from crossrec.training.fitting import build_model, fit_source
from crossrec.training.objectives import Softmax

TRAINING = {"learning_rate": 0.05, "weight_decay": 0.01, "events_per_batch": 64, "patience": 9}


class Watch(L.Callback):
    """Weights after every step, and as they are when they are validated."""

    def __init__(self) -> None:
        self.steps: list[Tensor] = []
        self.validated: list[tuple[int, Tensor]] = []  # after how many steps, and what

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *_: object
    ) -> None:
        self.steps.append(flat(pl_module.model))

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self.validated.append((len(self.steps), flat(pl_module.model)))


def flat(model: Any) -> Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def fitted(pair: DomainPair, averaging: float) -> tuple[Recommender, Watch, dict[str, Any]]:
    watch = Watch()

    def make(callbacks: list[L.Callback]) -> L.Trainer:
        return L.Trainer(
            accelerator="cpu",
            max_epochs=4,
            callbacks=[*callbacks, watch],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
        )

    model = build_model(lambda **sizes: TwoTower(dim=8, **sizes), pair.source, None, 0)
    training = TRAINING | {"averaging": averaging}
    account = fit_source(model, pair.source, Softmax(), make, training, 0)
    return model, watch, account


def by_hand(steps: list[Tensor], decay: float) -> Tensor:
    average = torch.zeros_like(steps[0])
    for t, weights in enumerate(steps, start=1):
        kept = min(decay, (1 + t) / (10 + t)) if t > 1 else 0.0  # nothing is to be kept before
        average = kept * average + (1 - kept) * weights
    return average


@pytest.mark.parametrize("decay", [0.3, 0.9])
def test_the_average_is_validated_and_kept(small_pair: DomainPair, decay: float) -> None:
    plain, seen, _ = fitted(small_pair, 0.0)
    model, averaged, account = fitted(small_pair, decay)
    assert len(seen.steps) == len(averaged.steps) > 8
    for one, other in zip(seen.steps, averaged.steps, strict=True):
        assert torch.equal(one, other)  # training knows nothing of it
    real = averaged.validated[1:]  # Lightning looks at untrained weights first
    assert len(real) == 4
    for n_steps, weights in real:
        assert torch.allclose(weights, by_hand(averaged.steps[:n_steps], decay), atol=1e-6)
    assert torch.equal(flat(model), real[account["best_epoch"]][1])
    assert not torch.allclose(flat(model), flat(plain), atol=1e-3)


def test_without_it_the_weights_are_validated(small_pair: DomainPair) -> None:
    _, watch, _ = fitted(small_pair, 0.0)
    for n_steps, weights in watch.validated[1:]:
        assert torch.equal(weights, watch.steps[n_steps - 1])
