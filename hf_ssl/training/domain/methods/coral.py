"""Mean and covariance of the features made alike across domains."""

from __future__ import annotations

from typing import ClassVar

import torch

from hf_ssl.training.domain.methods.base import DomainMethod, by_domain


class Coral(DomainMethod):
    """Deep CORAL with the means, as DomainBed has it; the mean over pairs of domains.

    Formula: `mean((m_i - m_j)^2) + mean((C_i - C_j)^2)` of features scaled to a mean square of 1.
    Reference: Sun & Saenko 2016, arXiv:1607.01719; Gulrajani & Lopez-Paz 2021, arXiv:2007.01434.
    """

    paper: ClassVar = "arXiv:1607.01719"

    def penalty(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, strength: float
    ) -> torch.Tensor:
        moments = []
        for rows in by_domain(features, domains):
            centered = rows - rows.mean(0)
            moments.append((rows.mean(0), centered.T @ centered / (len(rows) - 1)))
        terms = [
            (first[0] - other[0]).square().mean() + (first[1] - other[1]).square().mean()
            for number, first in enumerate(moments)
            for other in moments[:number]
        ]
        return strength * torch.stack(terms).mean() if terms else features.sum() * 0
