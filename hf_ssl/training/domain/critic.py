"""Who tells the domains apart: a small network that learns from features but never changes them."""

from __future__ import annotations

import math

import torch
import torch.distributed as dist
from torch import nn
from torch.func import functional_call
from torch.nn import functional

from hf_ssl.training.gather import world

HIDDEN = 64
"""Small: with few labeled rows a larger critic learns them by heart, and its gradient says nothing of the domain."""
SMOOTHNESS = 1.0
"""Weight of the squared gradient with respect to the input (Mescheder et al. 2018, arXiv:1801.04406; DomainBed has it too).
Without it the two sides chase each other: on 512 rows with a shift of two standard deviations a probe's distance stays at 1.2
after 300 steps, with it .3 is left."""
WEIGHT_DECAY = 1.0
DECAYS = (0.5, 0.99)
"""Of the running means of gradients: short, because what the critic learns from moves (Adam as GANs use it)."""


class ReverseGradient(torch.autograd.Function):
    """The identity whose gradient comes back times `-strength` (Ganin & Lempitsky 2015, section 3.1)."""

    @staticmethod
    def forward(context: torch.autograd.function.FunctionCtx, features: torch.Tensor, strength: float) -> torch.Tensor:
        vars(context)["strength"] = strength
        return features.view_as(features)

    @staticmethod
    def backward(context: torch.autograd.function.FunctionCtx, *gradients: torch.Tensor) -> tuple[torch.Tensor, None]:
        return -vars(context)["strength"] * gradients[0], None


class Critic(nn.Module):
    """A classifier of domains with an optimizer of its own, so that it takes no part in anything of the model's.

    Its parameters need no gradient: the Trainer's optimizer, the clipping of gradients, DDP and loss scaling do not see
    them, and the model is trained as if it were not there. `learn` gathers its gradient over the batches and processes of a
    step, `step` uses it. Weights and moments are in the state dict, so a resumed run goes on exactly.

    Its loss is the cross-entropy and a penalty on the steepness of its answers.

    The input is normalized over its width: shrinking features does not hide a domain.

    Args:
        width: of its input.
        domains: how many there are.
        learning_rate: of its Adam.
        seed: of its first weights; torch's global generator is left alone.
    """

    first: torch.Tensor
    second: torch.Tensor
    taken: torch.Tensor

    def __init__(self, width: int, domains: int, learning_rate: float = 1e-3, seed: int = 0) -> None:
        super().__init__()
        sizes = [(width, HIDDEN), (HIDDEN, HIDDEN), (HIDDEN, domains)]
        linear = [nn.utils.skip_init(nn.Linear, fan_in, fan_out) for fan_in, fan_out in sizes]
        generator = torch.Generator().manual_seed(seed)
        for layer in linear:
            bound = (6 / layer.in_features) ** 0.5 if layer is not linear[-1] else layer.in_features**-0.5
            nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
            nn.init.zeros_(layer.bias)
        norm = nn.LayerNorm(width, elementwise_affine=False)
        self.layers = nn.Sequential(norm, linear[0], nn.ReLU(), linear[1], nn.ReLU(), linear[2])
        self.requires_grad_(False)
        self.learning_rate = learning_rate
        size = sum(weight.numel() for weight in self.layers.parameters())
        self.register_buffer("first", torch.zeros(size))
        self.register_buffer("second", torch.zeros(size))
        self.register_buffer("taken", torch.zeros((), dtype=torch.int64))
        self._gathered: torch.Tensor | None = None  # no buffer: DDP would overwrite it with that of the first process

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits of the domains, `(rows, domains)`."""
        answers: torch.Tensor = self.layers(inputs)
        return answers

    def learn(
        self, inputs: torch.Tensor, domains: torch.Tensor, share: torch.Tensor | float,
        weights: torch.Tensor | None = None,
    ) -> torch.Tensor:  # fmt: skip
        """Add a batch's gradient to those of the step.

        Args:
            inputs: `(rows, width)`; nothing reaches what made them.
            domains: `(rows,)`.
            share: of this batch in the step over all batches and processes.
            weights: of the rows.

        Returns:
            logits of the domains, as they were before.
        """
        names = [name for name, _ in self.layers.named_parameters()]
        with torch.enable_grad():
            current = [weight.detach().requires_grad_() for weight in self.layers.parameters()]
            seen = inputs.detach().requires_grad_()
            answers = functional_call(self.layers, dict(zip(names, current, strict=True)), (seen,))
            terms = functional.cross_entropy(answers, domains, reduction="none")
            terms = terms if weights is None else weights.detach() * terms
            (slopes,) = torch.autograd.grad(terms.sum(), seen, create_graph=True)
            loss = (terms.mean() + SMOOTHNESS * slopes.square().sum(1).mean()) * share
            gradients = torch.autograd.grad(loss, current)
        flat = torch.cat([gradient.flatten() for gradient in gradients])
        self._gathered = flat if self._gathered is None else self._gathered + flat
        return answers.detach()

    @torch.no_grad()
    def step(self) -> None:
        """Adam's update with what was gathered, the same in every process. All of them must call it."""
        gradient = torch.zeros_like(self.first) if self._gathered is None else self._gathered
        self._gathered = None
        if world()[0] > 1:
            dist.all_reduce(gradient)
        self.taken += 1
        self.first.lerp_(gradient, 1 - DECAYS[0])
        self.second.lerp_(gradient.square(), 1 - DECAYS[1])
        # 1 - decay ** taken, exact in float32; as a number it would make a GPU's host wait.
        biases = [-torch.expm1(self.taken * math.log(decay)) for decay in DECAYS]
        mean, square = self.first / biases[0], self.second / biases[1]
        update = self.learning_rate * mean / (square.sqrt() + 1e-8)
        sizes = [weight.numel() for weight in self.layers.parameters()]
        for weight, change in zip(self.layers.parameters(), update.split(sizes), strict=True):
            weight.mul_(1 - self.learning_rate * WEIGHT_DECAY).sub_(change.view_as(weight))
