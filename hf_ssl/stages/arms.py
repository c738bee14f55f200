"""The arms of a comparison: which checkpoint each starts from, and what else of the fine-tuning differs."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed
from hf_ssl.core.compare_options import CompareConfig
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import inputs_hash
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.domains import Domains, open_domains

if TYPE_CHECKING:
    import datasets

    from hf_ssl.core.run import RunDir
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.base import Modality
    from hf_ssl.tasks.base import Task

logger = logging.getLogger(__name__)

SELF_TRAINING, ADVERSARIAL = "self-training", "domain-adversarial"


@dataclass(frozen=True)
class Arm:
    """One way to start from the labels.

    Args:
        name: as in `--arms`.
        ref: the checkpoint it starts from.
        beside: what fine-tuning does beside learning from the labels: `SELF_TRAINING`, `ADVERSARIAL`, or nothing. An arm that does
            something has no frozen protocol.
        identity: equal for arms that start from the same weights: their results are the same and are computed once.
    """

    name: str
    ref: CheckpointRef
    beside: str
    identity: str


def arms_of(
    config: CompareConfig, start: CheckpointRef, adapted: str, task: Task[Any], data: DomainData, folder: Path,
    domains: Domains | None,
) -> list[Arm]:  # fmt: skip
    """The arms that were asked for, or those that tell most.

    Args:
        domains: what domain-adversarial arms adapt to.

    Raises:
        ConfigError: an arm cannot be had here; the message says what it needs.
    """
    asked = config.arms or [
        "base",
        "adapted",
        *(["adapted+self-training"] if _pool_is_used(config, task, data) else []),
        *([ADVERSARIAL] if domains is not None else []),
    ]
    if "base" not in asked or "adapted" not in asked:
        asked = [*(name for name in ("base", "adapted") if name not in asked), *asked]
    refs: dict[str, Callable[[], CheckpointRef]] = {
        "random": lambda: random_start(start, task, data["train"], folder / "random", config.seed),
        "base": lambda: start, "adapted": lambda: CheckpointRef(adapted), "adapted-lora": lambda: _with_lora(config),
    }  # fmt: skip
    found: list[Arm] = []
    starts: dict[str, CheckpointRef] = {}
    identities: dict[str, str] = {}
    for name in dict.fromkeys(asked):
        began, _, more = name.partition("+")
        origin, beside = ("base", began) if began in (SELF_TRAINING, ADVERSARIAL) else (began, more)
        if beside == SELF_TRAINING and not _pool_is_used(config, task, data):
            raise ConfigError(
                f"The arm {name} needs a pool that this task can learn from: unlabeled data, a task with classes, and "
                "--self_training above 0."
            )
        if origin not in starts:
            starts[origin] = refs[origin]()
            identities[origin] = _identity(starts, identities, origin, task, data["train"])
        found.append(Arm(name, starts[origin], beside, identities[origin]))
    return found


def domains_of(
    config: CompareConfig, data: DomainData, target: datasets.Dataset | None, modality: Modality
) -> Domains | None:
    """What domain-adversarial arms adapt to: what the options name, else the unlabeled pool; None where no arm does.

    Raises:
        ConfigError: an arm asks for it, and there is nothing to adapt to.
    """
    asked = any(ADVERSARIAL in name for name in config.arms)
    if not asked and (config.arms or (target is None and config.domain_column is None)):
        # Hidden labels stay hidden whatever the arms are, or the same command with another arm would compare on other labels.
        return open_domains(config, data, None, modality) if config.target_domains else None
    if target is None and config.domain_column is None:
        if "unlabeled" not in data:
            raise ConfigError(
                f"The arm {ADVERSARIAL} needs another domain: an unlabeled pool, --target DATA, or --domain_column."
            )
        target = data["unlabeled"]
    return open_domains(config, data, target, modality)


def _pool_is_used(config: CompareConfig, task: Task[Any], data: DomainData) -> bool:
    return bool(config.self_training) and task.learns_from_pool and "unlabeled" in data


def _with_lora(config: CompareConfig) -> CheckpointRef:
    if not config.adapted_lora:
        raise ConfigError(
            "The arm adapted-lora needs a second pre-training of the same start, with adapters: run `hf-ssl pretrain --peft lora` "
            "with another --output, and give its model with --adapted_lora."
        )
    return CheckpointRef(config.adapted_lora)


def _identity(
    starts: dict[str, CheckpointRef], identities: dict[str, str], name: str, task: Task[Any], train: datasets.Dataset
) -> str:
    """That of an earlier arm with the same weights, else its own."""
    ref = starts[name]
    own = inputs_hash(ref.id, ref.revision, _sha(ref))
    for earlier, other in starts.items():
        if earlier == name:
            continue
        same = distributed.broadcast(
            one_model({earlier: other, name: ref}, task, train) if distributed.is_main() else None
        )
        if same:
            logger.info(f"  pre-training kept its start: {earlier} and {name}, both arms are one model, measured once")
            return identities[earlier]
    return own


def _sha(ref: CheckpointRef) -> str:
    from hf_ssl.models.checkpoint import weights_sha

    return weights_sha(ref.weights().files)


def one_model(arms: dict[str, CheckpointRef], task: Task[Any], train: datasets.Dataset) -> bool:
    """Whether two arms load as the same weights and processor: then the same training gives the same answers."""
    from transformers import set_seed

    processors = [_settings(task.modality.load_processor(ref)) for ref in arms.values()]
    if processors[0] != processors[1]:
        return False
    for auto_class, options in ((task.auto_class, {"new_head": True, **task.model_options()}), ("AutoModel", {})):
        states = []
        for ref in arms.values():
            set_seed(0)  # what neither has must start alike
            states.append(task.modality.load(ref, auto_class, dataset=train, **options).model.state_dict())
        first, second = states
        if first.keys() != second.keys() or any(
            first[name].shape != second[name].shape or bool((first[name] != second[name]).any()) for name in first
        ):
            return False
    return True


def _settings(processor: object) -> object:
    """What two processors must agree on to do the same."""
    if hasattr(processor, "get_vocab"):
        return processor.get_vocab(), getattr(processor, "model_max_length", None)
    return processor.to_dict() if hasattr(processor, "to_dict") else processor


def random_start(
    ref: CheckpointRef, task: Task[Any], train: datasets.Dataset, folder: Path, seed: int
) -> CheckpointRef:
    """Random weights of the start's own configuration, saved like any checkpoint; drawn once for each seed."""
    from transformers import set_seed

    place = folder / str(seed)
    if distributed.is_main() and not (place / "config.json").is_file():
        encoder = task.modality.load(ref, dataset=train)
        set_seed(seed)
        whole = encoder.plain_model()  # with what the encoder was cut out of: Whisper's is a part of a larger file
        encoder.save(place, model=type(whole)(whole.config))
    distributed.barrier()
    return CheckpointRef(str(place))


def from_run(config: CompareConfig, run: RunDir) -> str:
    """The adapted checkpoint: the one that is named, or what the run has pre-trained.

    Raises:
        ConfigError: there is none.
    """
    adapted = config.adapted or run.output("pretrain")
    if adapted is None:
        raise ConfigError(
            "There is nothing adapted to compare. Run `hf-ssl pretrain` with this --output, or give --adapted."
        )
    return str(adapted)
