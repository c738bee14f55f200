"""What makes the features of several domains alike: the contract of one method."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import nn
from torch.nn import functional

from hf_ssl.training.domain.critic import Critic, ReverseGradient


class DomainMethod(nn.Module, ABC):
    """Base class of `dann`, `cdan`, `coral`, `mmd` and of your own, given as `package.module:Class`.

    A method is computed in float32, whatever the model runs in. Its tensors are saved in checkpoints and never exported.

    Attributes:
        paper: where it comes from.
        needs_classes: whether it reads the logits as those of one class per example.

    Args:
        width: of the features.
        outputs: of the model's head.
        domains: how many domains there are.
        learning_rate: of a critic, where it has one.
        seed: of everything random in it.
    """

    paper: ClassVar[str]
    needs_classes: ClassVar[bool] = False

    def __init__(self, width: int, outputs: int, domains: int, *, learning_rate: float = 1e-3, seed: int = 0) -> None:
        super().__init__()
        self.width, self.outputs, self.domains = width, outputs, domains

    @abstractmethod
    def penalty(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, strength: float
    ) -> torch.Tensor:
        """What is added to the loss; its gradient makes the domains' features alike.

        Args:
            features: `(rows, width)`, what the model's last linear layer reads; every domain has as many rows.
            logits: `(rows, outputs)`, or `(rows, ..., outputs)` where a row has several answers.
            domains: `(rows,)`, numbers of the domains.
            strength: the weight that the schedule gives it now, above 0.
        """

    def observe(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, share: torch.Tensor | float
    ) -> torch.Tensor | None:
        """Learn from a batch without changing the model (critics do).

        Args:
            share: of this batch in the optimizer step.

        Returns:
            what it takes for the domain of each row, as logits; None where it has no opinion.
        """
        return None

    def step(self) -> None:
        """After each optimizer step."""

    @property
    def gathers(self) -> bool:
        """Whether it compares whole sets of rows, so that it has to see those of all processes."""
        return True


class AdversarialMethod(DomainMethod):
    """A method whose critic learns to tell the domains apart while the model learns, by the reversed gradient, to prevent it.

    Its loss is a mean over rows: cutting the batch of a step into pieces, or over processes, changes nothing.
    """

    def __init__(self, width: int, outputs: int, domains: int, *, learning_rate: float = 1e-3, seed: int = 0) -> None:
        super().__init__(width, outputs, domains, learning_rate=learning_rate, seed=seed)
        self.critic = Critic(self.critic_width, domains, learning_rate, seed)

    @property
    def critic_width(self) -> int:
        """Of what the critic reads."""
        return self.width

    def critic_inputs(self, features: torch.Tensor, logits: torch.Tensor) -> torch.Tensor:
        """What the critic reads, `(rows, critic_width)`."""
        return features

    def row_weights(self, logits: torch.Tensor) -> torch.Tensor | None:
        """How much each row counts."""
        return None

    def penalty(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, strength: float
    ) -> torch.Tensor:
        answers = self.critic(ReverseGradient.apply(self.critic_inputs(features, logits), strength))
        terms = functional.cross_entropy(answers, domains, reduction="none")
        weights = self.row_weights(logits)
        return (terms if weights is None else weights * terms).mean()

    def observe(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, share: torch.Tensor | float
    ) -> torch.Tensor:
        return self.critic.learn(self.critic_inputs(features, logits), domains, share, self.row_weights(logits))

    def step(self) -> None:
        self.critic.step()

    @property
    def gathers(self) -> bool:
        return False


def by_domain(features: torch.Tensor, domains: torch.Tensor) -> list[torch.Tensor]:
    """Rows of each domain that has two or more, scaled together to a mean square of 1.

    Without the scale a penalty on distances is brought down by shrinking all features, and its weight would mean something
    else for every checkpoint.
    """
    features = features / features.detach().square().mean().sqrt().clamp(min=1e-6)
    found = [features[domains == number] for number in domains.unique().tolist()]
    return [rows for rows in found if len(rows) > 1]
