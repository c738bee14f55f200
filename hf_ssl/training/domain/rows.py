"""Labeled rows, each with company from every other domain: equal numbers of each in any batch, on any process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from hf_ssl.training.module import SizedDataset


class LabeledRows(Protocol):
    """What the labeled rows must be (`hf_ssl.tasks.base.TaskRows`)."""

    features: list[dict[str, Any]]
    order: np.ndarray | None
    batch: int

    def set_epoch(self, epoch: int) -> None: ...

    def group(self, batch: int) -> None: ...

    def __len__(self) -> int: ...


class DomainRows(SizedDataset):
    """The labeled rows in their own order, as without domains, and beside each one row of every other domain.

    Who keeps company with whom depends on (seed, epoch, place in the epoch) only: the same on any number of processes and
    workers, and after a resume. Of a small domain rows come again, all of them equally often.

    Args:
        rows: labeled rows; what they draw and how they order themselves stays theirs.
        domain_of: domain of each labeled row `(len(rows.features),)`.
        others: unlabeled rows, ready for the model, by domain.
        seed: of the company.
    """

    def __init__(
        self, rows: LabeledRows, domain_of: Sequence[int], others: Mapping[int, Sequence[dict[str, Any]]], seed: int
    ) -> None:
        self.rows, self.domain_of, self.others, self.seed = rows, domain_of, others, seed
        self.epoch = 0
        self._drawn: dict[tuple[int, int], np.ndarray] = {}

    @property
    def batch(self) -> int:
        """Size of the groups of similar length, 0 where there are none."""
        return self.rows.batch

    def group(self, batch: int) -> None:
        """As `TaskRows.group`."""
        self.rows.group(batch)

    def set_epoch(self, epoch: int) -> None:
        """Other company in another epoch."""
        self.epoch = epoch
        self.rows.set_epoch(epoch)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> dict[str, Any]:
        row = int(index) if self.rows.order is None else int(self.rows.order[index])
        own = int(self.domain_of[row])
        place = self.epoch * len(self.rows) + int(index)
        company = [(domain, self._at(domain, place)) for domain in self.others if domain != own]
        return {"row": self.rows.features[row], "domain": own, "company": company}

    def _at(self, domain: int, place: int) -> dict[str, Any]:
        found = self.others[domain]
        cycle, position = divmod(place, len(found))
        if (domain, cycle) not in self._drawn:
            generator = np.random.default_rng([self.seed, domain, cycle])
            self._drawn = {key: order for key, order in self._drawn.items() if key[0] != domain or key[1] >= cycle - 1}
            self._drawn[domain, cycle] = generator.permutation(len(found))
        return found[int(self._drawn[domain, cycle][position])]
