"""DP-SGD whose unit of privacy is a user: all that one user did is one example.

Abadi et al., "Deep Learning with Differential Privacy", CCS 2016, algorithm 1, with the users of
McMahan et al., "Learning Differentially Private Recurrent Language Models", ICLR 2018.
"""

import secrets
from collections.abc import Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap
from torch.utils.data import DataLoader, Dataset, Sampler

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.domain import Domain
from crossrec.data.sequences import Batch, windows
from crossrec.models.interface import Recommender, before_last
from crossrec.training.accounting import Budget
from crossrec.training.objectives import Objective
from crossrec.training.recommender import RecommenderTraining

USERS_AT_ONCE = 32  # each has a gradient of their own in memory


class PrivateTraining(RecommenderTraining):
    """A step: clip each drawn user's gradient, add them, add noise, divide by the expected number.

    A user's loss is the mean full softmax over their own events.

    Args:
        model, domain, objective, learning_rate, weight_decay: as in any training.
        budget: what is spent.
        users_per_step: users that are drawn on average, by which the sum is divided: how many were
            drawn is nobody's business.
        noise: draws the noise.
    """

    def __init__(
        self,
        model: Recommender,
        domain: Domain,
        objective: Objective,
        learning_rate: float,
        weight_decay: float,
        budget: Budget,
        users_per_step: float,
        noise: torch.Generator,
    ) -> None:
        super().__init__(model, domain, objective, learning_rate, weight_decay)
        self.automatic_optimization = False
        self.budget, self.users_per_step, self.noise = budget, users_per_step, noise
        still = tables_that_stay(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(name not in still)

    def row_tables(self) -> list[nn.Parameter]:
        """None: noise moves every row at every step."""
        return []

    def training_step(self, batch: list[Batch], batch_idx: int) -> None:  # type: ignore[override]
        """One step over the drawn users, in parts that fit into memory."""
        learned = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
        total = {name: torch.zeros_like(p) for name, p in learned.items()}
        losses = []
        for part in batch:
            gradients, loss = user_gradients(self.model, learned, part)
            losses.append(loss)
            for name, clipped in clipped_sum(gradients, self.budget.clip).items():
                total[name] += clipped
        deviation = self.budget.noise_multiplier * self.budget.clip
        for name, parameter in learned.items():
            drawn = torch.randn(parameter.shape, generator=self.noise).to(parameter.device)
            parameter.grad = (total[name] + deviation * drawn) / self.users_per_step
        optimizer = self.optimizers()
        assert isinstance(optimizer, L.pytorch.core.optimizer.LightningOptimizer)
        optimizer.step()
        if losses:
            loss = torch.cat(losses)
            self.note(loss.mean(), len(loss))

    def account(self) -> dict[str, Any]:
        """What the training came to, and what it spent."""
        return {**super().account(), "privacy": self.budget.to_dict()}


class PrivateDataModule(DomainDataModule):
    """The users of a domain, drawn anew for every step; its validation queries as ever.

    Args:
        domain, max_history: see `DomainDataModule`.
        sample_rate: with which probability each user takes part in a step.
        steps: of an epoch.
        lots: draws the users.
    """

    def __init__(
        self,
        domain: Domain,
        max_history: int,
        sample_rate: float,
        steps: int,
        lots: torch.Generator,
    ) -> None:
        super().__init__(domain, max_history, events_per_batch=1, seed=0)
        self.sample_rate, self.steps, self.lots = sample_rate, steps, lots

    def train_dataloader(self) -> DataLoader[Any]:
        """The steps of an epoch, each a list of batches of users (see `Users`)."""
        users = Users(self.domain, self.max_history)
        sampler = PoissonSampler(len(users), self.sample_rate, self.steps, self.lots)
        return DataLoader(users, sampler=sampler, batch_size=None)


class Users(Dataset[list[Batch]]):
    """All training windows of users, by a list of the users' numbers.

    Gives batches of up to USERS_AT_ONCE users, those of like many windows, and of like long ones,
    together, so that little is padding: users (B, W), and items, ratings, own (B, W, L), padded
    with PAD.
    """

    def __init__(self, domain: Domain, max_history: int) -> None:
        self.sequences = domain.train
        self.rows, self.starts, self.lengths = windows(domain.train, max_history)
        n_windows = np.bincount(self.rows, minlength=len(domain.train.users))
        self.first = np.concatenate([[0], np.cumsum(n_windows)])
        self.longest = np.zeros(len(n_windows), dtype=np.int64)
        np.maximum.at(self.longest, self.rows, self.lengths)

    def __len__(self) -> int:
        return len(self.sequences.users)

    def __getitem__(self, drawn: Tensor) -> list[Batch]:
        users = drawn.numpy()
        order = users[np.lexsort((self.longest[users], np.diff(self.first)[users]))]
        parts = [order[i : i + USERS_AT_ONCE] for i in range(0, len(order), USERS_AT_ONCE)]
        return [self._part(part) for part in parts]

    def _part(self, users: np.ndarray) -> Batch:
        counts = np.diff(self.first)[users]
        width = max(1, int(counts.max()))
        place = np.arange(width)
        real = place < counts[:, None]  # (B, W)
        last = max(len(self.rows) - 1, 0)
        index = np.minimum(self.first[users][:, None] + place, last)
        starts, lengths = self.starts[index], self.lengths[index] * real
        flat = self.sequences.batch(
            torch.from_numpy(users.repeat(width)),
            torch.from_numpy(starts.reshape(-1)),
            torch.from_numpy(lengths.reshape(-1)),
        )
        shape = len(users), width, -1
        items, ratings, own = (x.view(shape) for x in (flat.items, flat.ratings, flat.own))
        return Batch(flat.users.view(len(users), width), items, ratings, own)


class PoissonSampler(Sampler[Tensor]):
    """Numbers of the users of each step: everyone takes part by a lot of their own."""

    def __init__(self, n_users: int, rate: float, steps: int, lots: torch.Generator) -> None:
        self.n_users, self.rate, self.steps, self.lots = n_users, rate, steps, lots

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(self.steps):
            drawn = torch.rand(self.n_users, generator=self.lots, dtype=torch.float64) < self.rate
            yield drawn.nonzero().flatten()


class LastWeights(Callback):
    """Leaves the weights of the last step: to choose some by validation would tell of its users."""

    def __init__(self, monitor: str) -> None:
        self.monitor = monitor

    def on_train_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Say what they came to."""
        score = trainer.callback_metrics[self.monitor]
        for name, value in (
            ("best_score", float(score)),
            ("best_epoch", trainer.current_epoch - 1),
            ("n_epochs", trainer.current_epoch),
            ("n_steps", trainer.global_step),
        ):
            pl_module.get_buffer(name).fill_(value)


class _UserLoss(nn.Module):
    """The loss of one user as a forward pass, which is what `functional_call` takes."""

    def __init__(self, model: Recommender) -> None:
        super().__init__()
        self.model = model

    def forward(self, users: Tensor, items: Tensor, own: Tensor) -> Tensor:
        """Mean over the own events of -log softmax(scores)[item], of (W, L) windows."""
        embedded = self.model.embed_items()
        candidates = self.model.item_vectors(embedded)
        state = self.model.user_vectors(users, before_last(items, own), embedded)[:, :-1]
        scores = state @ candidates.T  # (W, L, n_items)
        chosen = scores.gather(-1, items.clamp(min=0)[..., None]).squeeze(-1)
        loss = (scores.logsumexp(-1) - chosen) * own
        return loss.sum() / own.sum().clamp(min=1)


def user_gradients(
    model: Recommender, learned: dict[str, nn.Parameter], batch: Batch
) -> tuple[dict[str, Tensor], Tensor]:
    """(B, ...) the gradient of each user's loss by parameter name, and the (B,) losses.

    Args:
        learned: the parameters that it is taken by.
        batch: of `Users`.
    """
    network = _UserLoss(model)

    def loss(weights: dict[str, Tensor], *user: Tensor) -> Tensor:
        value: Tensor = functional_call(network, weights, user)
        return value

    weights = {f"model.{name}": p.detach() for name, p in learned.items()}
    each = vmap(grad_and_value(loss), in_dims=(None, 0, 0, 0), randomness="different")
    gradients, losses = each(weights, batch.users, batch.items, batch.own)
    return {name.removeprefix("model."): g.detach() for name, g in gradients.items()}, losses


def clipped_sum(gradients: dict[str, Tensor], clip: float) -> dict[str, Tensor]:
    """The sum over (B, ...) users' gradients, each cut to an L2 norm, over all weights, of clip."""
    squares = [g.flatten(1).square().sum(1) for g in gradients.values()]
    norms = torch.stack(squares).sum(0).sqrt()
    factor = clip / norms.clamp(min=clip)
    return {name: torch.tensordot(factor, g, dims=1) for name, g in gradients.items()}


def tables_that_stay(model: Recommender) -> set[str]:
    """Tables that noise would drown and that nobody needs: of a model that reads content.

    Rows of items are learned from the few who had them. Where content and the history say who an
    item and a user are, they stay as they were initialized, and add no noise. A model that knows
    ids alone learns them.
    """
    if not model.sequential or getattr(model, "content", None) is None:
        return set()
    return {*model.item_tables, *model.user_tables}


def generator(seed: int | None) -> torch.Generator:
    """Random numbers from a seed; from the system's entropy if it is None."""
    return torch.Generator().manual_seed(secrets.randbits(63) if seed is None else seed)
