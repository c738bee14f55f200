"""Maximum mean discrepancy between domains."""

from __future__ import annotations

from typing import ClassVar

import torch

from hf_ssl.training.domain.methods.base import DomainMethod, by_domain

SCALES = (0.25, 0.5, 1.0, 2.0, 4.0)


class MaximumMeanDiscrepancy(DomainMethod):
    """Squared MMD with a sum of Gaussian kernels whose widths follow the mean squared distance in the batch.

    Formula: `mean k(x, x') + mean k(y, y') - 2 mean k(x, y)` over all pairs, never negative; the mean over pairs of domains.
    Reference: Gretton et al. 2012 (JMLR 13); Long et al. 2015, "Learning Transferable Features with Deep Adaptation
    Networks", arXiv:1502.02791.
    """

    paper: ClassVar = "arXiv:1502.02791"

    def penalty(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, strength: float
    ) -> torch.Tensor:
        parts = by_domain(features, domains)
        terms = [_squared(rows, other) for number, rows in enumerate(parts) for other in parts[:number]]
        return strength * torch.stack(terms).mean() if terms else features.sum() * 0


def _squared(rows: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    both = torch.cat([rows, other])
    squares = both.square().sum(1)
    distances = (squares.unsqueeze(0) + squares.unsqueeze(1) - 2 * both @ both.T).clamp(min=0)
    width = distances.detach().sum() / (len(both) * (len(both) - 1))
    kernel = torch.stack([torch.exp(-distances / (scale * width).clamp(min=1e-12)) for scale in SCALES]).sum(0)
    cut = len(rows)
    return kernel[:cut, :cut].mean() + kernel[cut:, cut:].mean() - 2 * kernel[:cut, cut:].mean()
