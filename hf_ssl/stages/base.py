"""What every stage shares: its opening, its result, the model folder it saves, and where that model comes from."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hf_ssl.core import distributed, plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.run import BaseModel, RunDir, StageRecord, inputs_hash, read_base
from hf_ssl.data import DomainData
from hf_ssl.data.target import target_data
from hf_ssl.models.checkpoint import Tensors, read_json
from hf_ssl.models.loading import LoadReport
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.reference import CheckpointRef
from hf_ssl.stages.plan import resolve_stage
from hf_ssl.stages.resolve import Resolved
from hf_ssl.stages.result import StageResult

if TYPE_CHECKING:
    import datasets
    import torch
    from transformers import PreTrainedModel

    from hf_ssl.core.option_groups import ModelOptions
    from hf_ssl.core.options import FinetuneConfig
    from hf_ssl.modalities.base import Modality
    from hf_ssl.modalities.encoder import Encoder, Processor
from hf_ssl.stages.inputs import modality_of, read_data

logger = logging.getLogger(__name__)


def start_of(config: ModelOptions, run: RunDir, default: str | None = None) -> CheckpointRef:
    """Checkpoint a stage starts from: the one named, or the result of the run's earlier stage (said aloud)."""
    if config.model is not None:
        if default is not None and str(config.model) != default:
            logger.info(
                f"  model: {config.model}, as asked; what this run has pre-trained is left aside. Omit --model to use it"
            )
        return CheckpointRef(str(config.model), config.revision)
    if default is not None:
        logger.info(f"  model: {default} (from this run)")
        return CheckpointRef(default)
    if run.base is not None:
        logger.info(f"  model: {run.base.source} (the one this run started from)")
        return CheckpointRef(run.base.source, run.base.revision)
    raise ConfigError("No checkpoint was named. Give --model: a Hub id or a local folder.")


def note_lineage(run: RunDir, ref: CheckpointRef, report: LoadReport) -> None:
    """Remember which released checkpoint everything descends from, through local folders too."""
    own = BaseModel(report.model_id, report.revision, report.license, report.weights_sha)
    run.descends_from(replace(lineage(ref) or own, source=ref.id))


def lineage(ref: CheckpointRef) -> BaseModel | None:
    """What a folder saved by hf_ssl says it descends from."""
    file = ref.folder / LINEAGE if ref.folder is not None else None
    base = read_json(file).get("base") if file is not None and file.is_file() else None
    return read_base(base) if base else None


def pooler_of(model: PreTrainedModel, encoder: Encoder) -> dict[str, torch.Tensor]:
    """The start checkpoint's pooler, when the objective's class has none: `BertForMaskedLM` drops it (transformers#8793).

    Without it a classifier made from the adapted model would start from a random pooler where one made from the start
    has a trained one, and comparing the two would not be fair.
    """
    names = [name for name in encoder.report.unexpected if "pooler." in name]
    if not names:
        return {}
    tensors, prefix = Tensors.open(encoder.ref.weights()), f"{model.base_model_prefix}."
    return {prefix + name.removeprefix(prefix): tensors[name].float().clone() for name in names}


def save_model(
    encoder: Encoder,
    folder: Path,
    run: RunDir,
    *,
    model: PreTrainedModel | None = None,
    processor: Processor | None = None,
    carried: dict[str, torch.Tensor] | None = None,
    **facts: object,
) -> None:
    """What `Encoder.save` writes, and where it comes from; by one process of several."""
    if distributed.is_main():
        base = asdict(run.base) if run.base is not None else {}
        base.pop("source", None)  # a place of this machine
        encoder.save(folder, model=model, processor=processor, carried=carried, base=base, **facts)


def save_page(run: RunDir) -> None:
    """Write the run's page; that it cannot be written is told, and is no reason for a stage to fail."""
    if not distributed.is_main():
        return
    from hf_ssl.report import write_report

    try:
        write_report(run)
    except Exception as error:
        logger.warning(f"the page {run.path / 'report.html'} could not be written: {type(error).__name__}: {error}")


@dataclass
class StageContext:
    """What every stage starts with: checked options, the run folder, the data, and whether anything is left to do.

    Args:
        done: the stage's earlier result, when it has already run with the same inputs.
        target: unlabeled data of another domain, where the option `target` names some.
        target_fingerprint: of their content; empty without any.
    """

    stage: str
    resolved: Resolved
    config: Any
    run: RunDir
    data: DomainData
    modality: Modality
    inputs: str
    done: StageResult | None
    target: datasets.Dataset | None = None
    target_fingerprint: str = ""

    @contextlib.contextmanager
    def running(self) -> Iterator[tuple[StageRecord, Path]]:
        """Bracket the stage's work; nothing is written into the run folder before.

        Yields:
            the stage's record, and its folder.
        """
        resume, overwrite = getattr(self.config, "resume", False), self.config.overwrite
        # Seconds of work, done anew; or results that are kept one by one, by all that they depend on.
        if self.stage in ("evaluate", "embed", "compare", "gap"):
            resume, overwrite = False, True
        with self.run.running(
            self.stage, self.inputs, self.resolved.to_dict(), resume=resume, overwrite=overwrite
        ) as record:
            self.run.record(data={"fingerprint": self.data.fingerprint, "modality": self.config.modality})
            self.save_data_report()
            yield record, self.run.folder(self.stage)
        save_page(self.run)

    @contextlib.contextmanager
    def around(self) -> Iterator[StageRecord]:
        """Bracket work that runs other stages in the same run folder; the page is written also of what was stopped."""
        try:
            with self.run.running(
                self.stage, self.inputs, self.resolved.to_dict(),
                resume=self.config.resume, overwrite=self.config.overwrite, around=True,
            ) as record:  # fmt: skip
                yield record
        except KeyboardInterrupt:
            save_page(self.run)
            raise
        save_page(self.run)

    def save_data_report(self) -> None:
        """Write the data report (again, when the test split has been opened since)."""
        if distributed.is_main():
            self.data.save_report(self.run.folder("data") / "report")


def prepare_stage(
    stage: str, options: dict[str, Any], *, after: str | None = None, unless: str = "", extends: bool = False
) -> StageContext:
    """Check a stage's options, read its data, and see whether it has already run with the same.

    Args:
        stage: one of `hf_ssl.core.options.STAGES`.
        options: as given by the user.
        after: the stage of the same run whose result it works on.
        unless: the option that names something else to work on.
        extends: with `resume`, it does more although it is done.
    """
    resolved = resolve_stage(stage, options)
    config, run = resolved.config, RunDir(resolved.config.output)
    if str(config.model or "").startswith("tf:"):
        from hf_ssl.stages.import_tf import model_from_tensorflow  # which imports this module

        config.model = model_from_tensorflow(config.model)
    _check_machine(config, resolved.training)
    data = read_data(config)
    modality = modality_of(config)
    target, seen = (
        (None, "") if getattr(config, "target", None) is None else target_data(config.target, data, config, modality)
    )
    described = resolved.to_dict()
    for name in (
        "output", "resume", "overwrite", "elastic", "auto_batch_size", "profile", "data", "cache_dir", "preprocessing_num_workers", "budget",
    ):  # fmt: skip
        described["options"].pop(name, None)
    for name in ("dataloader_num_workers", "dataloader_prefetch_factor", "dataloader_pin_memory", "disable_tqdm"):
        described["training"].pop(name, None)  # who prepares batches does not change them
    before = () if after is None or getattr(config, unless, None) else (run.stage(after).inputs,)
    inputs, done = inputs_hash(stage, described, data.fingerprint, *before, *([seen] if seen else [])), None
    if run.finished(stage, inputs) and not (config.overwrite or (extends and config.resume)):
        more = "; --resume does what was left out" if extends else ""
        logger.info(f"{stage}: already done with these inputs, skipped{more}")
        done = StageResult(run.path / stage, run.stage(stage).metrics, skipped=True)
    return StageContext(stage, resolved, config, run, data, modality, inputs, done, target, seen)


def _check_machine(config: ModelOptions, training: Mapping[str, Any]) -> None:
    """What needs a package or a device that may not be here is refused before data and weights are read."""
    from hf_ssl.models import attention, quantized

    distributed.leave_accelerator_alone(bool(training.get("use_cpu")))
    attention.check(getattr(config, "attn_implementation", "auto"))
    if getattr(config, "peft", None) == "qlora":
        quantized.check()
    if training.get("optim"):
        from hf_ssl.training import optimizers

        optimizers.check(str(training["optim"]))


def task_name(config: FinetuneConfig, data: DomainData) -> str:
    return config.task or str(plugins.task_for(data.label_kind))


def metrics_line(metrics: Mapping[str, object]) -> str:
    """Numbers of a split as the log shows them."""
    shown = (f"{name} {value:.3f}" for name, value in metrics.items() if isinstance(value, float))
    return ", ".join(shown) or "no validation data"
