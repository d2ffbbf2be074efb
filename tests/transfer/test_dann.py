"""DANN: the reversed gradient and its schedule by hand; who learns what; alpha 0 is finetuning."""

import math
from functools import partial

import pytest
import torch

from crossrec.data.pair import DomainPair
from crossrec.errors import UserError
from crossrec.models.matrix_factorization import MatrixFactorization
from crossrec.training.fitting import build_model
from crossrec.training.objectives import Softmax
from crossrec.training.transfer import TransferTraining, anchor_for
from crossrec.transfer.content.dann import DANN, ReversedGradient
from crossrec.transfer.parameters.finetune import Finetune


def training(pair: DomainPair, method: Finetune) -> TransferTraining:
    """A training whose source items lie elsewhere than its target items."""
    model = build_model(partial(MatrixFactorization, dim=4), pair.target, None, seed=0)
    source = {"item_embedding": torch.randn(24, 4) + 1}
    anchor = anchor_for(model, source, pair, pair.target)
    return TransferTraining(model, pair.target, Softmax(), method, anchor, 0.05, 0.0)


def take_steps(module: TransferTraining, pair: DomainPair, n: int) -> list[float]:
    """Penalties (0 without one) over some steps on one batch."""
    optimizer = module.configure_optimizers()
    own = pair.target.train
    batch = own.batch(
        torch.repeat_interleave(torch.arange(len(own.users)), own.lengths)[own.own],
        own.own.nonzero()[:, 0],
        torch.ones(int(own.own.sum()), dtype=torch.int64),
    )
    penalties = []
    for _ in range(n):
        optimizer.zero_grad()
        penalty = module.method.penalty(module.model, module.anchor)
        penalties.append(0.0 if penalty is None else penalty.item())
        module.loss(batch).backward()
        optimizer.step()
        module.method.after_step(module.model, module.anchor, 0.05)
    return penalties


def test_the_reversed_gradient_by_hand() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    y = ReversedGradient.apply(x, 0.5)
    assert torch.equal(y, x)
    (y * torch.tensor([3.0, -4.0])).sum().backward()
    assert x.grad.tolist() == [-1.5, 2.0]


def test_the_schedule_by_hand() -> None:
    method = DANN(alpha=3.0, warm_up=10)
    assert method.weight() == 0.0
    method.steps = 5
    assert method.weight() == pytest.approx(3 * (2 / (1 + math.exp(-5)) - 1))
    method.steps = 10
    at_end = method.weight()
    assert at_end == pytest.approx(3 * (2 / (1 + math.exp(-10)) - 1))
    method.steps = 1000
    assert method.weight() == at_end


def test_each_domain_is_half_of_the_loss(apart_pair: DomainPair) -> None:
    method = DANN()
    module = training(apart_pair, method)
    last = method.discriminator[2]
    with torch.no_grad():
        last.weight.zero_()
        last.bias.fill_(math.log(3))  # every item is of the target with probability 3/4
    penalty = method.penalty(module.model, module.anchor)
    assert penalty is not None
    assert penalty.item() == pytest.approx(-(math.log(3 / 4) + math.log(1 / 4)) / 2)


def test_embeddings_climb_where_the_discriminator_descends(apart_pair: DomainPair) -> None:
    """The items' gradient is -weight times the plain one; the discriminator's is the plain one."""
    method = DANN(alpha=2.0, warm_up=1)
    module = training(apart_pair, method)
    model = module.model
    assert isinstance(model, MatrixFactorization)
    method.steps = 1
    penalty = method.penalty(model, module.anchor)
    assert penalty is not None
    first = method.discriminator[0].weight
    reversed_items, discriminating = torch.autograd.grad(penalty, [model.item_embedding, first])
    logits = method.discriminator(model.item_embedding)[:, 0]
    plain = (
        -(torch.sigmoid(logits[:18]).log().mean() + torch.sigmoid(-logits[18:]).log().mean()) / 2
    )
    items, expected = torch.autograd.grad(plain, [model.item_embedding, first])
    assert torch.allclose(reversed_items, -method.weight() * items, atol=1e-7)
    assert torch.allclose(discriminating, expected, atol=1e-7)


def test_the_discriminator_learns_while_items_stay(apart_pair: DomainPair) -> None:
    module = training(apart_pair, DANN(alpha=1.0, warm_up=10**9))
    penalties = take_steps(module, apart_pair, 20)
    assert penalties[-1] < 0.7 * penalties[0]


@pytest.mark.parametrize("name", ["users_pair", "items_pair", "apart_pair"])
def test_misled_discriminators_know_less(name: str, request: pytest.FixtureRequest) -> None:
    """After as many steps a discriminator tells the domains apart less well where it is misled."""
    pair = request.getfixturevalue(name)
    kept, misled = (
        take_steps(training(pair, DANN(alpha, warm_up=1)), pair, 80)[-1] for alpha in (1e-9, 10.0)
    )
    assert misled > kept + 0.1


def test_alpha_zero_is_finetuning(apart_pair: DomainPair) -> None:
    ends = []
    for method in (DANN(alpha=0.0), Finetune()):
        torch.manual_seed(0)
        module = training(apart_pair, method)
        take_steps(module, apart_pair, 5)
        ends.append(module.model.state_dict())
    for name, value in ends[0].items():
        assert torch.equal(value, ends[1][name])


def test_it_starts_at_the_source_and_keeps_the_models_weights_apart(
    apart_pair: DomainPair,
) -> None:
    module = training(apart_pair, DANN(hidden=3))
    assert module.model.item_embedding[18:].mean().item() == pytest.approx(1, abs=0.3)
    assert not any("discriminator" in name for name, _ in module.model.named_parameters())
    optimized = {
        id(p) for group in module.configure_optimizers().param_groups for p in group["params"]
    }
    assert {id(p) for p in module.method.discriminator.parameters()} < optimized


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"alpha": -1.0}, "transfer.alpha must be >= 0 and finite, got -1"),
        ({"alpha": math.nan}, "transfer.alpha must be >= 0 and finite, got nan"),
        ({"hidden": 0}, "transfer.hidden must be >= 1, got 0"),
        ({"warm_up": 0}, "transfer.warm_up must be >= 1, got 0"),
    ],
)
def test_bad_values_are_refused(changed: dict[str, float], message: str) -> None:
    with pytest.raises(UserError, match=message):
        DANN(**changed)
