"""A model of TensorFlow Hub becomes a folder that every other verb takes: `hf-ssl import-tf`, and `--model tf:SOURCE`."""

from __future__ import annotations

import dataclasses
import hashlib
import logging
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

from hf_ssl.core import distributed
from hf_ssl.core.errors import CheckpointError, ConfigError
from hf_ssl.core.options import ImportTfConfig
from hf_ssl.core.run import write_json
from hf_ssl.models.pooling import LINEAGE
from hf_ssl.models.tensorflow import twins
from hf_ssl.models.tensorflow.card import write_card
from hf_ssl.models.tensorflow.families.base import Family, Options
from hf_ssl.models.tensorflow.forward import compare_outputs, require_tensorflow
from hf_ssl.models.tensorflow.handles import cache_folder, handle_of
from hf_ssl.models.tensorflow.importing import (
    LARGEST_DIFFERENCE,
    REPORT,
    ImportReport,
    family_of,
    import_checkpoint,
)
from hf_ssl.models.tensorflow.sources import ARCHIVE, Source, opened
from hf_ssl.stages.resolve import resolve
from hf_ssl.stages.result import StageResult

logger = logging.getLogger(__name__)
PREFIX = "tf:"


def import_tf(**options: object) -> StageResult:
    """Import a self-supervised model of TensorFlow, and prove that it is the same model.

    Args:
        options: those of `hf_ssl.core.options.ImportTfConfig`.

    Returns:
        `path` is a plain transformers or timm folder; metrics are those of `import.json` in it.

    Raises:
        CheckpointError: it is of no known family, damaged, or not the same afterwards; nothing is left behind.
        ConfigError: the model is at the Hugging Face Hub already, or an option is wrong.

    Example:
        >>> import_tf(source="bert_en_cased_L-12/", output="models/bert")
    """
    config: ImportTfConfig = resolve("import-tf", options).config
    target = Path(str(config.output))
    if target.is_file() or (target.is_dir() and any(target.iterdir()) and not config.overwrite):
        raise ConfigError(f"{target} exists and is not empty. Name another --output, or redo it with --overwrite.")
    if target.is_dir() and any(target.iterdir()) and not (target / REPORT).is_file():
        raise ConfigError(
            f"{target} holds files that are no imported model; nothing was deleted. Name another --output."
        )
    report = _imported(config, target) if distributed.is_main() else None
    report = distributed.broadcast(report)
    return StageResult(target, dataclasses.asdict(report))


def model_from_tensorflow(model: str) -> str:
    """The folder of an imported model for `--model tf:SOURCE`, imported into the cache when it is not there yet."""
    source = model.removeprefix(PREFIX)
    folder = None
    if distributed.is_main():
        folder = cache_folder() / "models" / _cache_name(source)
        if (folder / REPORT).is_file():
            logger.info("  model: %s, imported from %s before", folder, source)
        else:
            try:
                import_tf(source=source, output=str(folder))
            except ConfigError:
                if not (folder / REPORT).is_file():  # else another process has imported the same in the meantime
                    raise
    return str(distributed.broadcast(str(folder)))


def _cache_name(source: str) -> str:
    """Names a source, and for files what they are now."""
    parts = [source]
    handle = handle_of(source)
    if handle is None:
        path = Path(source).expanduser().resolve()
        files = (
            [path]
            if path.is_file()
            else [
                *(path.rglob("*") if path.is_dir() else path.parent.glob("*"))
            ]  # a prefix: vocabulary, settings beside it
        )
        parts = [
            str(path),
            *(f"{file}{file.stat().st_size}{file.stat().st_mtime_ns}" for file in sorted(files) if file.is_file()),
        ]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:12]
    name = handle.name if handle is not None else Path(source).name
    return f"{re.sub(r'[^A-Za-z0-9.]+', '-', name).strip('-')[-80:]}-{digest}"


def _imported(config: ImportTfConfig, target: Path) -> ImportReport:
    source = str(config.source)
    handle = handle_of(source)
    if handle is not None:
        _refuse_handle(str(handle), handle.name, ignore_twin=config.ignore_twin)
    if config.check == "tf":
        require_tensorflow(config.tf_python)
    own = Options(part=config.part, num_heads=config.num_heads, num_layers=config.num_layers, hidden_act=config.hidden_act,
                  do_lower_case=config.do_lower_case)  # fmt: skip
    target.parent.mkdir(parents=True, exist_ok=True)
    with opened(source) as checkpoint, tempfile.TemporaryDirectory(dir=target.parent, prefix=".import-") as place:
        folder = Path(place) / "model"
        folder.mkdir()
        checkpoint.without(config.leave_out)
        family = family_of(checkpoint, config.family, own)
        report, model = import_checkpoint(checkpoint, family, folder, config.license)
        _note_twin(checkpoint, report)
        if config.check == "tf":
            _compare(checkpoint, family, model, folder, report, config.tf_python)
        name = handle.name if handle is not None else _shown(source)
        report.write(folder)
        write_card(folder, report, family, name)
        base = {"id": f"tensorflow:{name}", "revision": None, "license": config.license,
                "weights_sha": report.weights_sha}  # fmt: skip
        write_json(folder / LINEAGE, {"base": base, "stage": "import-tf"})
        if config.overwrite:
            shutil.rmtree(target, ignore_errors=True)
        try:
            folder.replace(target)
        except OSError as error:
            if not target.exists():
                raise
            raise ConfigError(
                f"{target} was written by somebody else in the meantime, and was left as it is."
            ) from error
    logger.info("%s", report.summary())
    logger.info("import-tf: %s", target)
    return report


def _shown(source: str) -> str:
    """What a card calls a path: its own name, with that of its folder for a prefix such as `bert_model.ckpt`."""
    path = Path(source).expanduser().resolve()
    name = ARCHIVE.sub("", path.name).removesuffix(".index")
    return name if path.is_dir() or path.name != name else f"{path.parent.name}/{name}"


def _refuse_handle(shown: str, name: str, *, ignore_twin: bool) -> None:
    """Before anything is fetched: models that are to be had in a better way, or not at all."""
    refused = twins.refusal_of(name)
    if refused is not None:
        raise CheckpointError(f"{shown} is {refused.name}, and {refused.reason}. Instead: {refused.instead}.")
    twin = twins.twin_of(name)
    if twin is not None and not ignore_twin:
        hub_id, note = twin
        raise ConfigError(
            f"{shown} is at the Hugging Face Hub already, with the same weights: --model {hub_id}"
            f"{f' ({note})' if note else ''}. To import TensorFlow's all the same: --ignore_twin"
        )


def _note_twin(checkpoint: Source, report: ImportReport) -> None:
    twin = twins.twin_of(_shown(checkpoint.given)) if checkpoint.handle is None else None
    if twin is not None:
        report.notes.append(f"by its name it has a twin with the same weights at the Hugging Face Hub: {twin[0]}")


def _compare(
    checkpoint: Source, family: Family, model: Any, folder: Path, report: ImportReport, python: str | None
) -> None:
    """The third level of proof.

    Raises:
        CheckpointError: the outputs differ.
    """
    if checkpoint.graph is None:
        report.not_compared = "a checkpoint holds values and no computation; only a SavedModel can be run"
        return
    report.forward = compare_outputs(family, model, folder, python)
    worst = max(report.forward.values())
    if not worst <= LARGEST_DIFFERENCE:
        told = ", ".join(f"{name} {value:.1e}" for name, value in report.forward.items())
        raise CheckpointError(
            f"{checkpoint.given}: the outputs differ from TensorFlow's by more than {LARGEST_DIFFERENCE:.0e} ({told}), so the result is "
            f"not the same model, and was not kept. Its activation was taken to be {getattr(model.config, 'hidden_act', 'unknown')} "
            "(--hidden_act says otherwise)."
        )
