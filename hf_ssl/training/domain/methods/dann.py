"""Domain-adversarial training: a critic on the features, its gradient reversed."""

from __future__ import annotations

from typing import ClassVar

from hf_ssl.training.domain.methods.base import AdversarialMethod


class DomainAdversarial(AdversarialMethod):
    """DANN. The critic reads what the last linear layer reads.

    Formula: `task + CE(critic(reverse(features)), domain)`; the gradient that reaches the model is that of
    `task - strength * CE`.
    Reference: Ganin et al. 2016, "Domain-Adversarial Training of Neural Networks", arXiv:1505.07818.
    """

    paper: ClassVar = "arXiv:1505.07818"
