"""Conditional domain-adversarial training: the critic sees features together with the predicted class."""

from __future__ import annotations

from typing import ClassVar

import torch

from hf_ssl.training.domain.methods.base import AdversarialMethod

MOST_INPUTS = 4096
RANDOM_INPUTS = 1024


class ConditionalAdversarial(AdversarialMethod):
    """CDAN+E. The critic reads the outer product of features and class probabilities, random projections of the two where
    that is wider than 4,096. Rows count by how sure the model is of them, `1 + exp(-entropy)`.

    Not scaled to a mean of 1 over the batch as the authors' code does: a row then counts the same however the batch of a
    step is cut.
    Reference: Long et al. 2018, "Conditional Adversarial Domain Adaptation", arXiv:1705.10667.
    """

    paper: ClassVar = "arXiv:1705.10667"
    needs_classes: ClassVar = True

    features_map: torch.Tensor | None
    classes_map: torch.Tensor | None

    def __init__(self, width: int, outputs: int, domains: int, *, learning_rate: float = 1e-3, seed: int = 0) -> None:
        super().__init__(width, outputs, domains, learning_rate=learning_rate, seed=seed)
        wide = width * outputs > MOST_INPUTS
        generator = torch.Generator().manual_seed(seed)
        # In the state dict: a resumed run must project as before.
        for name, size in (("features_map", width), ("classes_map", outputs)):
            drawn = torch.randn(size, RANDOM_INPUTS, generator=generator) if wide else None
            self.register_buffer(name, drawn)

    @property
    def critic_width(self) -> int:
        product = self.width * self.outputs
        return RANDOM_INPUTS if product > MOST_INPUTS else product

    def critic_inputs(self, features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        chances = logits.detach().softmax(-1)  # as in the authors' code: the head learns from labels alone
        if self.features_map is not None and self.classes_map is not None:
            return (features @ self.features_map) * (chances @ self.classes_map) / RANDOM_INPUTS**0.5
        return (chances.unsqueeze(2) * features.unsqueeze(1)).flatten(1)

    def row_weights(self, logits: torch.Tensor) -> torch.Tensor:
        logs = logits.detach().log_softmax(-1)
        return 1 + torch.exp((logs.exp() * logs).sum(-1))
