"""Losses that compare whole batches, as functions of tensors, right on any number of processes.

Each rank sums the terms of its own examples and divides by nothing: the caller divides by the number of terms of the
whole step. Gathering keeps the gradient: what another rank's loss says about this rank's vectors is summed on the way
back, so that the sum over ranks has the gradient of one process holding everything.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.training.gather import gathered


def nt_xent(first: torch.Tensor, second: torch.Tensor, temperature: float) -> torch.Tensor:
    """Normalized temperature-scaled cross-entropy (SimCLR, Chen et al. 2020, arXiv:2002.05709, eq. 1).

    `-log exp(cos(z_i, z_j) / t) / sum_{k != i} exp(cos(z_i, z_k) / t)`, mean over both directions of a pair, where k
    runs over both views of every example on every rank. Close to ln(2N - 1) for random vectors.

    Args:
        first, second: `(examples, width)`, row `i` of both are views of one example.
        temperature: of the softmax.

    Returns:
        scalar, the sum over this rank's examples.
    """
    own = len(first)
    views = functional.normalize(torch.stack([first, second]).float(), dim=-1)  # (2, own, width)
    everything, start = gathered(views.transpose(0, 1).flatten(1))
    total = len(everything)
    everything = everything.view(total, 2, -1).transpose(0, 1).flatten(0, 1)  # all first views, then all second ones
    place = torch.arange(start, start + own, device=first.device)
    cosines = views.flatten(0, 1) @ everything.T / temperature
    cosines = cosines.scatter(1, torch.cat([place, place + total]).unsqueeze(1), float("-inf"))  # not with itself
    positive = torch.cat([place + total, place])
    return functional.cross_entropy(cosines, positive, reduction="sum") / 2


def info_nce(left: torch.Tensor, right: torch.Tensor, temperature: float) -> torch.Tensor:
    """InfoNCE with in-batch negatives, both directions (van den Oord et al. 2018, arXiv:1807.03748).

    `-log exp(cos(a_i, b_i) / t) / sum_k exp(cos(a_i, b_k) / t)`, mean over both directions, where k runs over the
    examples of every rank. Unlike `nt_xent`, a view is never compared with views of its own side.

    Args:
        left, right: `(examples, width)`, row `i` of both are views of one example.
        temperature: of the softmax over cosines.

    Returns:
        scalar, the sum over this rank's examples.
    """
    views = functional.normalize(torch.stack([left, right], dim=1).float(), dim=-1)  # (own, 2, width)
    everything, start = gathered(views.flatten(1))
    lefts, rights = everything.unflatten(1, (2, -1)).unbind(1)
    place = torch.arange(start, start + len(left), device=left.device)
    there, back = views[:, 0] @ rights.T / temperature, views[:, 1] @ lefts.T / temperature
    total = functional.cross_entropy(there, place, reduction="sum")
    return (total + functional.cross_entropy(back, place, reduction="sum")) / 2


def vicreg(
    first: torch.Tensor, second: torch.Tensor, invariance: float, variance: float, covariance: float
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Variance-invariance-covariance regularization (Bardes et al. 2022, arXiv:2105.04906, eq. 1 to 6).

    Everything is computed in float32 over the examples of all ranks: the statistics of a part are not parts of the
    statistics.

    Args:
        first, second: `(examples, width)`.
        invariance, variance, covariance: weights of the three terms.

    Returns:
        scalar (the batch's loss times this rank's number of examples), and the three terms, detached.
    """
    own = len(first)
    with torch.autocast(first.device.type, enabled=False):
        a, b = gathered(first.float())[0], gathered(second.float())[0]
        alike = functional.mse_loss(a, b)
        spread = (_missing_spread(a) + _missing_spread(b)) / 2
        mixed = _off_diagonal(a) + _off_diagonal(b)
        loss = invariance * alike + variance * spread + covariance * mixed
    # Every rank computes the whole loss; weighting it by the rank's share makes the ranks' sum that loss once.
    terms = {"invariance": alike.detach(), "variance": spread.detach(), "covariance": mixed.detach()}
    return loss * own, terms


def _missing_spread(vectors: torch.Tensor) -> torch.Tensor:
    """Mean over dimensions of what their standard deviation lacks to 1."""
    return functional.relu(1 - (vectors.var(dim=0, unbiased=False) + 1e-4).sqrt()).mean()


def _off_diagonal(vectors: torch.Tensor) -> torch.Tensor:
    """Mean square of the covariances between dimensions, as a sum over pairs divided by the width."""
    centered = vectors - vectors.mean(dim=0)
    matrix = centered.T @ centered / max(1, len(vectors) - 1)
    return (matrix.square().sum() - matrix.diagonal().square().sum()) / vectors.shape[1]


def self_distillation(
    student: torch.Tensor, teacher: torch.Tensor, student_temperature: float, teacher_temperature: float
) -> torch.Tensor:
    """Cross-entropy from a teacher's soft assignment to a student's (DINO, Caron et al. 2021, arXiv:2104.14294, eq. 3).

    Args:
        student: `(..., prototypes)` scores.
        teacher: `(..., prototypes)` scores, centered already; gets no gradient.
        student_temperature, teacher_temperature: of the softmaxes.

    Returns:
        `(...)`, one term per vector.
    """
    target = torch.softmax(teacher.detach().float() / teacher_temperature, dim=-1)
    return -(target * functional.log_softmax(student.float() / student_temperature, dim=-1)).sum(dim=-1)


class Projector(nn.Sequential):
    """Linear layers with batch normalization and ReLU between them, as contrastive methods put on a backbone.

    Args:
        width: of the backbone's vector.
        hidden: of the layers in between.
        out: of the result.
        layers: number of linear layers.
        last_norm: normalize the result too, without scale and shift (SimCLR v1 code).
    """

    def __init__(self, width: int, hidden: int, out: int, layers: int = 2, last_norm: bool = False) -> None:
        parts: list[nn.Module] = []
        for place in range(layers):
            last = place == layers - 1
            size = out if last else hidden
            parts.append(nn.Linear(width if place == 0 else hidden, size, bias=last and not last_norm))
            if not last:
                parts += [nn.BatchNorm1d(size), nn.ReLU(inplace=True)]
            elif last_norm:
                parts.append(nn.BatchNorm1d(size, affine=False))
        super().__init__(*parts)
