"""Which objective to continue pre-training with (`--objective auto`): a few steps of each, and a probe on the labels before and after.

A loss says nothing across objectives; a probe of the vectors does, on the same labels and folds for all of them. The one that raised
it most is taken, or an earlier one of the list that is less than one standard error behind (Breiman et al. 1984, section
3.4.3): the list begins with the objective whose head the checkpoint brings.
"""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import HfSslError, TrainingError
from hf_ssl.core.options import AUTO
from hf_ssl.core.run import RunDir, inputs_hash, write_json
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.loading import load_config
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.inputs import modality_of, read_data
from hf_ssl.stages.monitoring import probe_examples
from hf_ssl.stages.plan import resolve_stage
from hf_ssl.training.limit import current

if TYPE_CHECKING:
    from hf_ssl.core.options import AdaptConfig, PretrainConfig
    from hf_ssl.data import DomainData
    from hf_ssl.modalities.base import Modality
    from hf_ssl.stages.result import StageResult

logger = logging.getLogger(__name__)

# Objectives that suit most checkpoints of a kind of data, the one to be tried first in front.
SUITED = {
    "text": ("mlm", "simcse"), "image": ("simclr", "dino"), "audio": ("masked-spectrogram", "simclr"),
    "timeseries": ("masked-patch", "ts-contrastive"),
}  # fmt: skip
FOR_ALL = ("instance-identity", "properties")
"""Of every kind of data; tried with `auto` alone."""
FAILED = "cannot be trained"


@dataclass
class ObjectiveTrial:
    """A few steps of one objective.

    Args:
        gain: of the cross-validated probe, after minus before; None: it could not be trained.
        error: standard error of the gain, over the same folds.
        outcome: in words.
    """

    name: str
    gain: float | None = None
    error: float = 0.0
    outcome: str = ""
    seconds: float = 0.0


@dataclass
class ObjectiveChoice:
    """The objective that was taken.

    Args:
        judged: whether labels said so; without enough of them nothing can.
        steps: of every trial.
    """

    name: str
    reason: str
    judged: bool
    steps: int = 0
    trials: list[ObjectiveTrial] = field(default_factory=list)

    def told(self) -> str:
        """For people."""
        lines = [
            f"  {trial.name:<20} "
            + (trial.outcome if trial.gain is None else f"probe {trial.gain:+.3f} +- {trial.error:.3f}")
            for trial in self.trials
        ]
        return "\n".join([*lines, f"objective: {self.name}; {self.reason}"])


def objectives_for(config: AdaptConfig | PretrainConfig, modality: Modality) -> list[str]:
    """Objectives to try for a checkpoint: first the one whose head it brings, if there is one."""
    import transformers

    names = list(SUITED.get(modality.name, (modality.default_objective,)))
    try:
        heads = load_config(CheckpointRef(str(config.model), config.revision).weights()).architectures or []
    except (HfSslError, OSError):
        heads = []
    own = []
    for name in names:
        auto = getattr(plugins.find("objectives", name), "auto_class", "AutoModel")
        mapping = getattr(getattr(transformers, auto, None), "_model_mapping", None)
        classes = {auto} if mapping is None else {str(one) for one in mapping._model_mapping.values()}
        if auto != "AutoModel" and set(heads) & classes:
            own.append(name)
    return [*own, *reversed([name for name in names if name not in own])]


def chosen_objective(names: Sequence[str], begin: Callable[[str], StageResult], steps: int) -> ObjectiveChoice:
    """Try every one, and take what the labels say.

    Args:
        names: in the order of preference.
        begin: pre-trains with an objective for so many steps, and measures before and after.

    Raises:
        TrainingError: none of them can be trained.
    """
    trials = []
    for name in names:
        began = time.monotonic()
        trial = ObjectiveTrial(name)
        try:
            kept: Mapping[str, Any] = begin(name).metrics["kept"]
            trial.outcome = str(kept.get("against_start", "not measured"))
            trial.gain = kept.get("probe_difference")
            trial.error = float(kept.get("probe_difference_error", 0.0))
        except HfSslError as error:
            trial.outcome = f"{FAILED}: {str(error).splitlines()[0]}"
        trial.seconds = round(time.monotonic() - began, 1)
        trials.append(trial)
    return decided(trials, steps)


def decided(trials: Sequence[ObjectiveTrial], steps: int) -> ObjectiveChoice:
    """The first objective that is less than one standard error behind the best.

    Raises:
        TrainingError: none of them could be trained.
    """
    measured = [trial for trial in trials if trial.gain is not None]
    trained = [trial.name for trial in trials if not trial.outcome.startswith(FAILED)]
    if trained and not measured:
        return unjudged(trained, "there are too few labels to probe with")
    if not measured:
        raise TrainingError(
            "No objective could be tried: "
            + "; ".join(f"{trial.name} {trial.outcome}" for trial in trials)
            + ". Name one: --objective NAME."
        )
    best = max(measured, key=lambda trial: trial.gain or 0.0)
    top = float(best.gain or 0.0)
    taken = next(trial for trial in measured if float(trial.gain or 0.0) >= top - best.error)
    gain = float(taken.gain or 0.0)
    reason = f"the probe gained {gain:+.3f} (standard error {taken.error:.3f}) in {steps} steps"
    if taken is not best:
        reason += f"; {best.name} gained {top:+.3f}, less than a standard error more"
    if gain <= taken.error:
        reason += "; no objective was shown to help in so few steps"
    return ObjectiveChoice(taken.name, reason, True, steps, list(trials))


def unjudged(names: Sequence[str], why: str) -> ObjectiveChoice:
    """The first one, because nothing can say which is best."""
    logger.warning(f"cannot judge which objective is best: {why}. {names[0]} is taken; --objective names another")
    return ObjectiveChoice(names[0], f"cannot judge: {why}", False)


def trial_options(steps: int) -> dict[str, Any]:
    """Options of a pre-training that is there to be measured, not kept."""
    return {
        "max_steps": steps, "monitor_points": 1, "early_stopping_patience": 0, "keep_checkpoint": "last", "overwrite": True,
        "resume": False,
    }  # fmt: skip


def with_objective(
    options: Mapping[str, Any], train: Callable[..., StageResult]
) -> tuple[dict[str, Any], ObjectiveChoice]:
    """Options of `pretrain` with the objective that was chosen in place of `auto`; asked again, the same answer is read from the run.

    Args:
        options: with `objective="auto"`.
        train: `pretrain`.

    Raises:
        HfSslError: options or data cannot be used, or no objective can be trained.
    """
    resolved = resolve_stage("pretrain", options)
    config: PretrainConfig = resolved.config
    data, modality, run = read_data(config), modality_of(config), RunDir(config.output)
    plain = resolved.to_dict()
    for name in ("output", "resume", "overwrite", "data", "cache_dir"):
        plain["options"].pop(name, None)
    inputs, file = inputs_hash("objective", plain, data.fingerprint), run.path / "objective" / "choice.json"
    choice = _known(file, inputs) if not config.overwrite else None
    if choice is None:
        run.record(
            data={"fingerprint": data.fingerprint, "modality": config.modality}
        )  # from now on it is a run's folder
        choice = _choice(options, config, data, modality, train, run.path / "objective")
        if choice.judged or current() is None:
            write_json(file, {"inputs": inputs, **asdict(choice)})
    logger.info(choice.told())
    return {**options, "objective": choice.name}, choice


def _choice(
    options: Mapping[str, Any], config: PretrainConfig, data: DomainData, modality: Modality, train: Callable[..., StageResult], folder: Path
) -> ObjectiveChoice:  # fmt: skip
    names = [*objectives_for(config, modality), *FOR_ALL]
    if current() is not None:
        return ObjectiveChoice(names[0], "trials are left out where only the time of a run is measured", False)
    if probe_examples(data, modality) is None:
        return unjudged(names, "there are no labels, or too few, to probe with")
    own = {name: value for name, value in options.items() if name != "num_train_epochs"}

    def begin(name: str) -> StageResult:
        logger.info(f"objective: {name}, {config.trial_steps} steps")
        place = folder / name
        try:
            shared = {**own, "data": data, "objective": name, "output": str(place)}
            return train(**{**shared, **trial_options(config.trial_steps)})
        finally:
            forget(place)

    return chosen_objective(names, begin, config.trial_steps)


def forget(folder: Path) -> None:
    """Remove what a trial wrote."""
    distributed.barrier()
    if distributed.is_main():
        shutil.rmtree(folder, ignore_errors=True)


def _known(file: Path, inputs: str) -> ObjectiveChoice | None:
    """What an earlier call found for the same options and data."""
    said = read_json(file) if file.is_file() else {}
    if said.pop("inputs", None) != inputs:
        return None
    return ObjectiveChoice(**{**said, "trials": [ObjectiveTrial(**one) for one in said.get("trials", [])]})


def is_auto(options: Mapping[str, Any]) -> bool:
    """Whether the objective is to be chosen."""
    return options.get("objective") == AUTO
