"""From a domain to trained weights: build the model, fit it, keep what validation liked best."""

from collections.abc import Callable
from typing import Any

import lightning as L
import torch
from torch import Tensor

from crossrec.data.datamodule import DomainDataModule
from crossrec.data.domain import Domain
from crossrec.data.pair import DomainPair
from crossrec.errors import UserError
from crossrec.models.content import LearnedContent
from crossrec.models.interface import Recommender
from crossrec.training.accounting import plan
from crossrec.training.objectives import Objective
from crossrec.training.private import LastWeights, PrivateDataModule, PrivateTraining, generator
from crossrec.training.recommender import RecommenderTraining
from crossrec.training.resuming import Progress, stored_in
from crossrec.training.selection import MakeTrainer, fit
from crossrec.training.transfer import TransferTraining, anchor_for
from crossrec.transfer.method import TransferMethod
from crossrec.transfer.parameters.finetune import Finetune

MakeModel = Callable[..., Recommender]


def build_model(
    make: MakeModel, domain: Domain, content: Tensor | LearnedContent | None, seed: int
) -> Recommender:
    """A freshly initialized model of a domain; the same seed gives the same weights.

    Args:
        make: a model's constructor with its hyper-parameters filled in.
        content: (n_items + n_context, d_c) content vectors, or what makes and learns them; None for
            ids only.
    """
    torch.manual_seed(seed)
    model = make(
        n_users=domain.n_users,
        n_items=domain.n_items,
        n_context=domain.n_context,
        content=content,
    )
    model.observe(*domain.train_events()[:2])
    return model


def fit_source(
    model: Recommender,
    domain: Domain,
    objective: Objective,
    make_trainer: MakeTrainer,
    training: dict[str, Any],
    seed: int,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model on one domain, in place; returns an account of the training.

    A training that was killed goes on from its progress, and ends as it would have ended.
    """
    module = RecommenderTraining(
        model, domain, objective, training["learning_rate"], training["weight_decay"]
    )
    return _fit(module, make_trainer, training, seed, progress)


def fit_private(
    model: Recommender,
    domain: Domain,
    objective: Objective,
    make_trainer: Callable[..., L.Trainer],
    privacy: dict[str, Any],
    weight_decay: float,
    seed: int,
) -> dict[str, Any]:
    """Train a model on one domain with DP-SGD, in place; returns an account of the training.

    The steps are fixed beforehand, and the weights of the last one stay: validation, which is of
    the same users, is logged and decides nothing.

    Args:
        privacy: settings of conf/privacy.
        seed: of what depends on no user (initialization and dropout).
    """
    check_trainable(domain)
    n_users = len(domain.train.users)
    rate = min(1.0, privacy["users_per_step"] / n_users)
    steps = max(1, round(1 / rate))
    delta = privacy["delta"] or 1 / (10 * n_users)
    budget = plan(privacy["epsilon"], delta, privacy["clip"], rate, steps * privacy["epochs"])
    noise = generator(privacy["noise_seed"])
    L.seed_everything(seed, verbose=False)
    module = PrivateTraining(
        model,
        domain,
        objective,
        privacy["learning_rate"],
        weight_decay,
        budget,
        rate * n_users,
        noise,
    )
    data = PrivateDataModule(
        domain, model.max_history if model.sequential else 1, rate, steps, noise
    )
    trainer = make_trainer(
        [LastWeights(objective.monitor)], max_epochs=privacy["epochs"], gradient_clip_val=None
    )
    trainer.fit(module, datamodule=data)
    return module.account()


def fit_target(
    model: Recommender,
    pair: DomainPair,
    domain: Domain,
    weights: dict[str, Tensor],
    method: TransferMethod,
    objective: Objective,
    make_trainer: MakeTrainer,
    training: dict[str, Any],
    seed: int,
    importance: dict[str, Tensor] | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Train a model of the pair's target with a transfer method, in place.

    Args:
        model: of `domain`, freshly initialized.
        domain: `pair.target`, or `pair.target_only` for a method that does not read the source.
        weights: the source model's weights by parameter name.
        importance: of these weights, likewise, for a method that asks for it.
        progress: as in `fit_source`.

    Returns:
        The account of the training, with what the method says of itself.
    """
    anchor = anchor_for(model, weights, pair, domain, importance)
    module = TransferTraining(
        model,
        domain,
        objective,
        method,
        anchor,
        training["learning_rate"],
        training["weight_decay"],
    )
    account = _fit(module, make_trainer, training, seed, progress)
    return {**account, **method.finish(model, anchor.to(next(model.parameters()).device))}


@torch.no_grad()
def zero_shot(
    model: Recommender, pair: DomainPair, domain: Domain, weights: dict[str, Tensor]
) -> None:
    """Make a model of the target out of the source's weights alone, in place.

    What has no counterpart in the source (ids of target items) is zero: it has not been learned.

    Args:
        domain: `pair.target`, or `pair.target_only` if no source event may be read.
    """
    for name in (*model.item_tables, *model.user_tables):
        model.get_parameter(name).zero_()
    Finetune().start(model, anchor_for(model, weights, pair, domain))


def check_trainable(domain: Domain) -> None:
    """Refuse a domain with nothing to train or to validate on.

    Raises:
        UserError: says what there is, and what to change.
    """
    n_events = len(domain.train_events()[0])
    if n_events == 0 or len(domain.valid) == 0:
        raise UserError(
            f"domain {domain.name} has {n_events} interactions to train on "
            f"and {len(domain.valid)} users to validate on: both are needed. Users need at least "
            "three interactions: lower cleaning.min_item or cleaning.min_user, or choose another "
            "split"
        )


def _fit(
    module: RecommenderTraining,
    make_trainer: MakeTrainer,
    training: dict[str, Any],
    seed: int,
    progress: Progress | None,
) -> dict[str, Any]:
    check_trainable(module.domain)
    L.seed_everything(seed, verbose=False)
    model = module.model
    data = DomainDataModule(
        module.domain,
        model.max_history if model.sequential else 1,
        training["events_per_batch"],
        seed,
    )
    resumed = progress is not None and stored_in(progress.file) is not None
    return fit(module, data, make_trainer, training, progress, resumed)
