"""Options of adapting to a domain that has no labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.fields import Options, not_among, option


@dataclass
class DomainOptions(Options):
    """Labels come from one domain, and the model is meant for another."""

    target: Any = option(None, "Unlabeled data of the domain to adapt to.")
    target_domains: list[str] = option(
        [], "Values of domain_column to adapt to; labels that they have are hidden (default: those without labels)."
    )
    domain_method: str = option(
        "dann", "What makes the domains' features alike, where target or domain_column says that there are several."
    )
    domain_weight: float = option(
        1.0, "Its weight at the end; it rises from 0. At 0 the model learns from the labels alone.", ge=0
    )
    domain_learning_rate: float = option(1e-3, "Learning rate of the network that tells domains apart.", gt=0)

    def problems(self) -> list[str]:
        found = super().problems()
        names = plugins.names("domain_methods")
        if ":" not in self.domain_method and self.domain_method not in names:
            found.append(f"domain_method: {not_among(self.domain_method, names)}")
        column = getattr(self, "domain_column", None)
        if self.target_domains and column is None:
            found.append("target_domains: they are values of a column; which one? Give --domain_column.")
        if self.target is not None and column is not None:
            found.append("target: it is a domain of its own; domain_column names others. Give one of the two.")
        if (self.target is not None or column is not None) and getattr(self, "peft", None) == "linear-probe":
            found.append("peft: linear-probe freezes the features that domain_method is to change. Take lora or full.")
        return found
