"""A task's module that also learns to look at several domains alike."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.jsonfiles import read_lines
from hf_ssl.core.run import append_jsonl
from hf_ssl.models.structure import evaluating
from hf_ssl.training.domain.methods.base import DomainMethod
from hf_ssl.training.gather import gathered, world
from hf_ssl.training.module import LossOutput, TrainingModule

STEEPNESS = 10.0
"""Of the rise of the weight, as in the paper of DANN."""
COMPANY = "company_"
"""Before the names of the inputs that have no labels."""
ANSWERS = ("labels", "soft_labels")
NOTED = 10
"""Steps between two lines of the journal."""


def strength_at(step: int, total: int, weight: float) -> float:
    """Weight of the domains' loss in an optimizer step: from 0 to `weight`, `2 / (1 + exp(-10 p)) - 1` of it at the part `p`.

    Ganin et al. 2016, section 5.2. A function of the optimizer step alone: accumulation, processes and resuming do not
    change it.

    Args:
        step: optimizer steps taken so far.
        total: of the whole run.
        weight: at the end.
    """
    return weight * (2 / (1 + math.exp(-STEEPNESS * step / max(1, total))) - 1)


class DomainModule(TrainingModule):
    """A module with labels, and a `DomainMethod` on what its last layer reads.

    Two passes: the labeled rows exactly as without domains, then their company, drawing from a copy of the random state. So
    with the weight 0 the model comes out bit for bit as from labels alone, while the critic still learns, which says how
    different the domains are. Features are those of the training pass, mixed pictures included.

    Args:
        inner: the module with labels; the model, its head and its loss are all its.
        tap: the last linear layer; what goes into it is compared.
        method: of the comparison.
        weight: of the domains' loss at the end.
        journal: file for the weight, the loss and the critic's accuracy along the way.
    """

    progress: torch.Tensor

    def __init__(
        self,
        inner: TrainingModule,
        tap: nn.Module,
        method: DomainMethod,
        *,
        weight: float,
        journal: Path | None = None,
    ) -> None:
        super().__init__()
        self.inner, self.method, self.weight, self.journal = inner, method, weight, journal
        vars(self)["unit"] = inner.unit  # of the class, for other modules
        self._taps = [tap]  # in a list: it is a part of `inner` already
        self.register_buffer("progress", torch.zeros(2, dtype=torch.int64))
        self._step, self._total = 0, 1
        self._noted: list[tuple[torch.Tensor, torch.Tensor]] = []

    @property
    def model(self) -> Any:
        """The wrapped transformers model."""
        return self.inner.model

    @property
    def strength(self) -> float:
        """The weight of this step."""
        return strength_at(self._step, self._total, self.weight)

    def collate(self, rows: Sequence[Any]) -> dict[str, torch.Tensor]:
        """Labeled rows and their company, apart; rows of any other form go to the inner module."""
        if "company" not in rows[0]:
            return self.inner.collate(rows)
        batch = self.inner.collate([row["row"] for row in rows])
        company = [one for row in rows for one in row["company"]]
        bare = [{name: value for name, value in features.items() if name not in ANSWERS} for _, features in company]
        batch.update({f"{COMPANY}{name}": tensor for name, tensor in self.inner.collate(bare).items()})
        batch["domains"] = torch.tensor([row["domain"] for row in rows] + [domain for domain, _ in company])
        return batch

    def count_units(self, batch: Mapping[str, torch.Tensor]) -> torch.Tensor | int:
        return self.inner.count_units(batch)

    def metrics(self, loss: float) -> dict[str, float]:
        return self.inner.metrics(loss)

    def forward(
        self, labels: torch.Tensor | None = None, num_items_in_batch: torch.Tensor | int | None = None,
        domains: torch.Tensor | None = None, **inputs: torch.Tensor,
    ) -> LossOutput:  # fmt: skip
        """The labeled rows' loss and the domains'; without `domains`, what the inner module says."""
        company = {name.removeprefix(COMPANY): inputs.pop(name) for name in list(inputs) if name.startswith(COMPANY)}
        if domains is None or labels is None:
            output: LossOutput = self.inner(labels=labels, num_items_in_batch=num_items_in_batch, **inputs)
            return output
        strength = self.strength
        with self._tapped() as seen:
            labeled: LossOutput = self.inner(labels=labels, num_items_in_batch=num_items_in_batch, **inputs)
            features = _pooled(seen[0], inputs.get("attention_mask"))
            if self.training and torch.is_grad_enabled() and not features.requires_grad:
                raise ConfigError(
                    "Nothing below the last layer is trained, so the domains' features cannot change. Take --peft lora or full."
                )
            first = len(seen)
            with _aside(self.inner, learns=strength > 0):
                others: LossOutput = self.inner(**company)
            features = torch.cat([features, _pooled(seen[first], company.get("attention_mask"))]).float()
        assert labeled.loss is not None and labeled.logits is not None and others.logits is not None
        logits = torch.cat([_rows(labeled.logits), _rows(others.logits)]).float()
        share = self._share(labels, num_items_in_batch)
        with torch.autocast(features.device.type, enabled=False):
            penalty = self._compare(features, logits, domains, share, strength)
        return LossOutput(loss=labeled.loss + share * penalty, logits=labeled.logits)

    def _compare(
        self, features: torch.Tensor, logits: torch.Tensor, domains: torch.Tensor, share: torch.Tensor | float,
        strength: float,
    ) -> torch.Tensor:  # fmt: skip
        opinion = self.method.observe(features.detach(), logits.detach(), domains, share)
        if strength == 0:
            penalty = features.new_zeros(())
        elif self.method.gathers and world()[0] > 1:
            own = slice(0, 0 if self.idle else len(features))
            everyone = gathered(domains[own].unsqueeze(1).to(features.dtype))[0].squeeze(1).long()
            all_features, all_logits = gathered(features[own])[0], gathered(logits[own])[0]
            penalty = self.method.penalty(all_features, all_logits, everyone, strength)
        else:
            penalty = self.method.penalty(features, logits, domains, strength)
        if self.training and not self.idle:
            right = features.new_full((), math.nan) if opinion is None else _balanced(opinion, domains)
            self._noted.append((penalty.detach(), right))
        return penalty

    def _share(self, labels: torch.Tensor, of_step: torch.Tensor | int | None) -> torch.Tensor | float:
        """Part of this batch in the loss of the optimizer step, over all batches and processes."""
        if self.idle:
            return 0.0
        if of_step is None:
            return 1.0
        return (labels != -100).sum() / (
            of_step.clamp(min=1) if isinstance(of_step, torch.Tensor) else max(1, of_step)
        )

    def on_optimizer_step(self, step: int, total: int) -> None:
        self.inner.on_optimizer_step(step, total)
        self.method.step()
        if self.journal is not None and (step % NOTED == 0 or step == total) and self._noted:
            penalties, right = (torch.stack(values).nanmean().item() for values in zip(*self._noted, strict=True))
            line = {"step": step, "weight": self.strength, "domain_loss": penalties, "critic_accuracy": right}
            if distributed.is_main():
                append_jsonl(self.journal, {name: value for name, value in line.items() if value == value})
        if step % NOTED == 0:
            self._noted = []
        self._step, self._total = step, total
        for place, value in enumerate((step, total)):
            self.progress[place].fill_(value)  # a tensor of them would have to be brought to the device

    def kept_whole(self) -> list[nn.Module]:
        return [self.method]

    def saved_tensors(self) -> Iterator[tuple[str, torch.Tensor]]:
        yield from super().saved_tensors()
        for name, weight in self.method.named_parameters():
            if not weight.requires_grad:  # a critic trains itself
                yield f"method.{name}", weight.detach()

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        found = super().load_state_dict(state_dict, strict, assign)
        self._step, self._total = (int(value) for value in self.progress)
        return found

    def read(
        self, rows: Sequence[dict[str, Any]], batch_size: int, bf16: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """What the last layer reads of rows, `(rows, width)`, and what it answers, `(rows, outputs)`; nothing is trained.

        Args:
            rows: features of examples; labels in them are left aside.
        """
        device = next(self.inner.parameters()).device
        found: tuple[list[torch.Tensor], list[torch.Tensor]] = ([], [])
        with evaluating(self.inner), torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
            for start in range(0, len(rows), batch_size):
                part = rows[start : start + batch_size]
                bare = [{name: value for name, value in row.items() if name not in ANSWERS} for row in part]
                batch = {name: tensor.to(device) for name, tensor in self.inner.collate(bare).items()}
                with self._tapped() as seen:
                    logits = self.inner(**batch).logits
                found[0].append(_pooled(seen[0], batch.get("attention_mask")).float().cpu())
                found[1].append(_rows(logits).float().cpu())
        return torch.cat(found[0]).numpy(), torch.cat(found[1]).numpy()

    @contextmanager
    def _tapped(self) -> Iterator[list[torch.Tensor]]:
        """What goes into the last layer, call by call."""
        seen: list[torch.Tensor] = []
        handle = self._taps[0].register_forward_pre_hook(lambda layer, given: seen.append(given[0]))
        try:
            yield seen
        finally:
            handle.remove()


@contextmanager
def _aside(module: nn.Module, learns: bool) -> Iterator[None]:
    """Random draws inside are not missing outside; without `learns` running statistics stay as they are, too."""
    norms = [] if learns else [m for m in module.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    kept = [(norm, norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm, _, counted in kept:
        norm.momentum = 0.0
        norm.num_batches_tracked = None if counted is None else counted.clone()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    try:
        with torch.random.fork_rng(devices), torch.set_grad_enabled(learns and torch.is_grad_enabled()):
            yield
    finally:
        for norm, momentum, counted in kept:
            norm.momentum, norm.num_batches_tracked = momentum, counted


def _pooled(features: torch.Tensor, mask: torch.Tensor | None) -> torch.Tensor:
    """One vector per row, where a head reads one per token: their mean over what is no padding."""
    if features.dim() == 2:
        return features
    features = features.flatten(1, -2)
    if mask is None or mask.shape != features.shape[:2]:
        return features.mean(1)
    share = mask.unsqueeze(2).to(features.dtype)
    return (features * share).sum(1) / share.sum(1).clamp(min=1)


def _rows(logits: torch.Tensor) -> torch.Tensor:
    """Logits with one row per example; several answers of one (tags of words) are averaged, as only their width is read."""
    return logits if logits.dim() <= 2 else logits.flatten(1, -2).mean(1)


def _balanced(opinion: torch.Tensor, domains: torch.Tensor) -> torch.Tensor:
    """Mean over domains of the share of rows that are taken for what they are."""
    right = (opinion.argmax(-1) == domains).float()
    among = (domains.unsqueeze(1) == torch.arange(opinion.shape[-1], device=domains.device)).float()
    counts = among.sum(0)
    return ((right @ among) / counts.clamp(min=1)).sum() / (counts > 0).sum()  # nothing that a GPU's host waits for


def journal_lines(journal: Path) -> list[dict[str, float]]:
    """Of the journal, in the first process (a resumed run may have written one twice)."""
    return read_lines(journal) if distributed.is_main() else []


def last_critic_accuracy(journal: Path) -> float | None:
    """Of the critic, from the last lines of the journal."""
    last = [line["critic_accuracy"] for line in journal_lines(journal) if "critic_accuracy" in line][-5:]
    told = distributed.broadcast(float(np.mean(last)) if last else None)
    return None if told is None else round(float(told), 4)
