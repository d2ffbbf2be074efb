"""How much a trained model's loss depends on each of its weights: the diagonal of its Fisher."""

import torch
from torch import Tensor

from crossrec.data.domain import Domain
from crossrec.data.sequences import Batch
from crossrec.models.interface import Recommender
from crossrec.training.objectives import Objective
from crossrec.training.recommender import RecommenderTraining


def fisher(
    model: Recommender, domain: Domain, objective: Objective, n_cases: int, seed: int
) -> dict[str, Tensor]:
    """Diagonal of the empirical Fisher information, by parameter name, on the processor.

    The mean over training cases of the square of each case's own gradient: a case is one event,
    predicted from the events before it, as in training but without dropout. With the softmax over
    the whole catalog its loss is -log p(item | history), and this is the textbook's quantity with
    observed instead of drawn outcomes (Kunstner, Hennig and Balles, NeurIPS 2019, tell the two
    apart); with drawn negatives or another objective it is the same mean for that loss.

    Args:
        model: trained on `domain`; left as it was.
        domain: where its training cases are.
        objective: not yet prepared.
        n_cases: cases to draw, evenly from all and none twice; all, if there are fewer. Each costs
            one backward pass.
        seed: of the cases and of the objective's negatives.
    """
    module = RecommenderTraining(model, domain, objective, 0.0, 0.0)
    device = next(model.parameters()).device
    torch.manual_seed(seed)
    was_training = model.training
    model.eval()
    parameters = dict(model.named_parameters())
    total = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    own = domain.train.own.nonzero()[:, 0]
    drawn = own[torch.randperm(len(own))[:n_cases]]
    for event in drawn.tolist():
        loss = module.loss(case(domain, event, model.max_history).to(device))
        gradients = torch.autograd.grad(loss, list(parameters.values()), allow_unused=True)
        for name, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                total[name].addcmul_(gradient, gradient)
    model.train(was_training)
    return {name: (x / max(1, len(drawn))).cpu() for name, x in total.items()}


def case(domain: Domain, event: int, max_history: int) -> Batch:
    """A batch of one: an own training event as the only case, after the events before it.

    Args:
        event: its place in the training sequences, an own one.
        max_history: events in the batch, the case among them; 1 leaves the case alone.
    """
    sequences = domain.train
    row = torch.searchsorted(sequences.offsets, torch.tensor([event]), right=True) - 1
    start = torch.maximum(sequences.offsets[row], torch.tensor([event + 1 - max_history]))
    batch = sequences.batch(row, start, event + 1 - start)
    only = torch.zeros_like(batch.own)
    only[:, -1] = True
    return Batch(batch.users, batch.items, batch.ratings, only)
