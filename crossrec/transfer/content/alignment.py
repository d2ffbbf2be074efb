"""How differently the items of two domains are distributed: MMD and CORAL, as pure functions."""

from typing import cast

import torch
from torch import Tensor, nn

from crossrec.errors import UserError
from crossrec.models.interface import Recommender

SAMPLE = 256  # items of each domain that a step looks at: MMD's kernels are quadratic in them
BANDWIDTHS = (0.25, 0.5, 1.0, 2.0, 4.0)  # of MMD's kernels, in units of the median


def mmd(x: Tensor, y: Tensor) -> Tensor:
    """Squared maximum mean discrepancy with several Gaussian kernels; biased, so never negative.

    mean k(x, x') + mean k(y, y') - 2 mean k(x, y), k = mean over s of exp(-|a - b|^2 / (s * m)),
    m the median of all squared distances between different rows (Gretton et al., JMLR 2012,
    equation 5; Long et al., ICML 2015, where the kernels' weights are learned; here they are
    equal). The median is no part of the gradient.

    Args:
        x: (n, d).
        y: (m, d).
    """
    with torch.autocast(x.device.type, enabled=False):
        both = torch.cat([x, y]).float()
        norms = (both**2).sum(1)
        distances = (norms[:, None] + norms - 2 * both @ both.T).clamp(min=0)
        off = ~torch.eye(len(both), dtype=torch.bool, device=both.device)
        median = distances.detach()[off].median().clamp(min=torch.finfo(both.dtype).tiny)
        kernel = torch.stack([(-distances / (s * median)).exp() for s in BANDWIDTHS]).mean(0)
        n = len(x)
        within = kernel[:n, :n].mean() + kernel[n:, n:].mean()
        return within - kernel[:n, n:].mean() - kernel[n:, :n].mean()


def coral(x: Tensor, y: Tensor) -> Tensor:
    """|C_x - C_y|^2 / (4 d^2), Frobenius norm, of the covariances (Sun and Saenko, 2016, eq. 1).

    Args:
        x: (n, d), n >= 2.
        y: (m, d), m >= 2.
    """
    with torch.autocast(x.device.type, enabled=False):
        difference = covariance(x.float()) - covariance(y.float())
        return (difference**2).sum() / (4 * x.shape[1] ** 2)


def covariance(x: Tensor) -> Tensor:
    """(d, d) unbiased covariance of the columns of (n, d)."""
    centered = x - x.mean(0)
    return centered.T @ centered / (len(x) - 1)


def item_samples(model: nn.Module) -> tuple[Tensor, Tensor]:
    """Embeddings of up to SAMPLE items of the target and as many of the source, (n, d) and (m, d).

    Args:
        model: a recommender of the pair's target, whose histories hold the source's items.
    """
    recommender = cast(Recommender, model)
    embedded = recommender.embed_items()
    n_items = len(recommender.item_vectors(embedded))
    n_rows = len(recommender.get_parameter(recommender.item_tables[0]))  # rows after are no items
    return _sample(embedded[:n_items]), _sample(embedded[n_items:n_rows])


def _sample(rows: Tensor) -> Tensor:
    if len(rows) <= SAMPLE:
        return rows
    return rows[torch.randperm(len(rows), device=rows.device)[:SAMPLE]]


def check_alpha(alpha: float) -> None:
    """Refuse a weight that is no weight.

    Raises:
        UserError: alpha is negative, or no finite number.
    """
    if not 0 <= alpha < float("inf"):
        raise UserError(f"transfer.alpha must be >= 0 and finite, got {alpha}")
