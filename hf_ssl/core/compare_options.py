"""Options of `compare`: arms, protocols, numbers of labels, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from hf_ssl.core.domain_options import DomainOptions
from hf_ssl.core.fields import option
from hf_ssl.core.option_groups import AdapterOptions, DataOptions, ModelOptions, PeftMethod, RunOptions
from hf_ssl.core.timing import wrong_length

ARMS = (
    "base", "random", "adapted", "adapted-lora", "self-training", "adapted+self-training", "domain-adversarial",
    "adapted+domain-adversarial",
)  # fmt: skip
"""From the simplest to the dearest to make."""
PROTOCOLS = ("knn", "linear-probe", "peft", "full", "answer")
TUNED = ("peft", "full", "answer")
"""Those that fine-tune."""


@dataclass
class CompareConfig(RunOptions, AdapterOptions, ModelOptions, DataOptions, DomainOptions):
    """What helped? The same labeled subsets and seeds for every arm, one test set."""

    adapted: str | None = option(None, "Adapted backbone (default: the run's pre-training result).")
    adapted_lora: str | None = option(
        None, "Another adapted backbone, pre-trained with adapters: the arm adapted-lora."
    )
    arms: list[str] = option(
        [],
        "What is compared, each different in one thing: base, random, adapted, adapted-lora, and what is done while fine-tuning: "
        "self-training, domain-adversarial, after pre-training adapted+self-training, adapted+domain-adversarial (default: base, "
        "adapted, adapted+self-training where there is a pool, domain-adversarial where --target or --domain_column is given).",
        choices=ARMS,
    )
    protocols: list[str] = option(
        ["linear-probe", "peft"],
        "How arms learn from the labels: knn and linear-probe (frozen), peft (as --peft says), full (all weights), answer (what finetune "
        "answers with: trained where a rehearsal says that it pays, with the vote or the teacher where that is ahead).",
        choices=PROTOCOLS,
    )
    task: str | None = option(None, "Downstream task (default: from the labels).")
    peft: PeftMethod = option("lora", "How arms are fine-tuned under the protocol peft.")
    labels_per_class: list[int | str] | None = option(
        None,
        "Labels per class, or examples in all where labels are no classes: numbers, shares (10%) or all (default: 4, 16 and 64, as "
        "far as there are labels).",
    )
    num_seeds: int = option(3, "Labeled subsets drawn for each number of labels.", ge=1)
    probe_draws: int | None = option(
        None, "Subsets for frozen probes and baselines, which cost little (default: up to 20).", ge=1
    )
    frozen_pooling: str | None = option(
        None, "How frozen features are pooled, in every arm (default: as the start says)."
    )
    head_pooling: Literal["encoder", "stock"] = option(
        "encoder",
        "What a new head on text reads: the encoder's pooled states, written into the model as one more layer where its family "
        "allows that; or what the stock class reads (the first token), which an adapter published alone needs.",
    )
    warm_start: bool = option(True, "Start the new head from a closed-form probe on frozen features.")
    finetune_arms: bool = option(True, "False leaves the protocols peft, full and answer out: frozen probes only.")
    self_training: int = option(
        1000, "Pool examples that the arms with self-training learn from too (0: no such arms).", ge=0
    )
    peers: list[str] = option(
        [],
        "Other tools as contenders, where they are installed: svm, setfit; of forecasts auto-ets, auto-theta, "
        "auto-arima, statsforecast, and as released timesfm@CHECKPOINT, chronos@CHECKPOINT.",
    )
    budget: str | None = option(
        None, "Stop cleanly after so long (90s, 30m, 2h); what tells most comes first, and the same command goes on."
    )
    test_limit: int | None = option(
        None, "Evaluate on at most this many test examples (a fixed stratified part).", ge=1
    )

    def __post_init__(self) -> None:
        if self.labels_per_class is not None:  # `4` and `"4"` are the same number of labels
            self.labels_per_class = [int(one) if str(one).isdigit() else str(one) for one in self.labels_per_class]
        super().__post_init__()

    def problems(self) -> list[str]:
        found = super().problems()
        if self.labels_per_class is not None and not self.labels_per_class:
            found.append("labels_per_class: name at least one number of labels, such as 4,16.")
        for one in self.labels_per_class or ():
            if not _is_budget(one):
                found.append(f"labels_per_class: {one!r} is no number of labels, no share such as 10%, and not all.")
        if self.budget is not None:
            found += wrong_length("budget", self.budget)
        if self.target is not None and self.arms and not any("domain-adversarial" in arm for arm in self.arms):
            found.append(
                f"target: no arm of {', '.join(self.arms)} adapts to it. Name domain-adversarial or adapted+domain-adversarial, or leave it out."
            )
        if not self.protocols:
            found.append(f"protocols: name at least one of {', '.join(PROTOCOLS)}.")
        return found


def _is_budget(one: int | str) -> bool:
    text = str(one)
    number = text.removesuffix("%")
    if text == "all":
        return True
    try:
        value = float(number)
    except ValueError:
        return False
    return 0 < value <= 100 if text.endswith("%") else value >= 1 and value == int(value)
