"""Random views on the device that trains: a batch brings what they are made of and, in numbers, what is to be done to each.

All random choices are drawn on the host, per example, from its own counter-based generator (`hf_ssl.modalities.rng`). So a view
is the same wherever it is computed, within rounding, and does not depend on how a batch is split.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TypeAlias

import torch

from hf_ssl.modalities.encoder import Batch, Encoder

PLAN = "@views"
"""Entry of a batch: as JSON, which of its entries are still to be made, and how."""
Facts: TypeAlias = Mapping[str, int]
"""What views of one group have in common."""


class Deferred:
    """Views that are drawn now and made later, by `DefersViews.rendered`, from the batch that `packed` gives."""

    def __init__(self) -> None:
        self.content: dict[str, torch.Tensor] = {}
        self.groups: list[tuple[Batch, Mapping[str, torch.Tensor], Facts]] = []

    def add(
        self, content: Mapping[str, torch.Tensor], numbers: Mapping[str, torch.Tensor], facts: Facts,
        shapes: Mapping[str, tuple[int, ...]],
    ) -> Batch:  # fmt: skip
        """Tensors without content, of the views' shapes, that stand for them until `packed`; see `DefersViews.make_views`."""
        stand_ins = {name: torch.empty(shape, device="meta") for name, shape in shapes.items()}
        self.content |= content
        self.groups.append((stand_ins, numbers, facts))
        return dict(stand_ins)

    def packed(self, batch: Mapping[str, torch.Tensor]) -> Batch | None:
        """The batch with content and numbers instead of stand-ins; None: something was computed from one."""
        found: Batch = {}
        wanted: list[dict[str, str]] = [{} for _ in self.groups]
        for name, value in batch.items():
            if not value.is_meta:
                found[name] = value
                continue
            group, part = self._place(value)
            if part is None:
                return None
            wanted[group][name] = part
        if not any(wanted):
            return found
        plan = [{"facts": facts, "entries": wanted[number]} for number, (_, _, facts) in enumerate(self.groups)]
        packed = {**found, **{f"{PLAN}.{name}": value for name, value in self.content.items()}}
        for number, (_, numbers, _) in enumerate(self.groups):
            packed |= {f"{PLAN}.{number}.{name}": value for name, value in numbers.items()}
        return {**packed, PLAN: json.dumps(plan)}  # type: ignore[dict-item]

    def _place(self, value: torch.Tensor) -> tuple[int, str | None]:
        for number, (stand_ins, _, _) in enumerate(self.groups):
            for part, stand_in in stand_ins.items():
                if stand_in is value:
                    return number, part
        return 0, None


class DefersViews(Encoder):
    """An encoder whose random views can be made later, on the device where training is.

    Attributes:
        deferred: collects the views that are drawn, where they are to be made later.
    """

    deferred: Deferred | None = None

    @property
    def defers(self) -> bool:
        """Whether this checkpoint's views can be made later."""
        return True

    @abstractmethod
    def make_views(self, content: Batch, numbers: Batch, facts: Facts) -> Batch:
        """Views of one group, on the device where their content is.

        Args:
            content: what all views of a batch are made of.
            numbers: what is to be done, `(views, examples, ...)` each.
            facts: what the views have in common.

        Returns:
            Inputs of the model, `(views * examples, ...)`.
        """

    def shown(self, content: Batch, numbers: Batch, facts: Facts, shapes: Mapping[str, tuple[int, ...]]) -> Batch:
        """Views as the model's inputs, of these shapes: made now, or to be made later (`deferring`)."""
        if self.deferred is not None:
            return self.deferred.add(content, numbers, facts, shapes)
        with torch.autocast("cpu", enabled=False):  # the same whatever precision the model runs in
            return self.make_views(content, numbers, facts)

    @contextmanager
    def deferring(self) -> Iterator[Deferred]:
        """Inside, views are drawn but not made."""
        self.deferred = Deferred()
        try:
            yield self.deferred
        finally:
            self.deferred = None

    def rendered(self, batch: Batch) -> Batch:
        """The batch with its views, made where their content is; a batch without deferred ones stays as it is."""
        if PLAN not in batch:
            return batch
        plan = json.loads(str(batch[PLAN]))
        made = {name: value for name, value in batch.items() if not name.startswith(PLAN)}
        parts = {name.removeprefix(f"{PLAN}."): batch[name] for name in batch if name.startswith(f"{PLAN}.")}
        content = {name: value for name, value in parts.items() if "." not in name}
        device = next(iter(content.values())).device.type
        with torch.autocast(device, enabled=False):
            for number, group in enumerate(plan):
                prefix = f"{number}."
                own = {name.removeprefix(prefix): parts[name] for name in parts if name.startswith(prefix)}
                views = self.make_views(content, own, group["facts"])
                made |= {name: views[part] for name, part in group["entries"].items()}
        return made
