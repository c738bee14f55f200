"""What of a run is published, and what it descends from: class, pipeline, adapter base, license, start checkpoint."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from huggingface_hub.errors import HFValidationError
from huggingface_hub.utils import validate_repo_id

from hf_ssl.core import plugins
from hf_ssl.core.errors import HubError, RunFolderError
from hf_ssl.core.options import PushConfig
from hf_ssl.core.run import BaseModel, RunDir
from hf_ssl.hub import staging
from hf_ssl.hub.staging import Artifact
from hf_ssl.models.checkpoint import read_json
from hf_ssl.models.loading import plain_class

if TYPE_CHECKING:
    from hf_ssl.modalities.base import Modality

TENSORFLOW = "tensorflow:"
"""What the id of a start checkpoint begins with that was imported from TensorFlow (`hf_ssl.stages.import_tf`)."""


def check_repo_id(repo: str | None) -> str:
    """A name of the form OWNER/NAME that the Hub allows.

    Raises:
        HubError: it is not.
    """
    if not repo:
        raise HubError("Where to? Give --repo OWNER/NAME, such as --repo my-name/my-model.")
    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise HubError(f"{repo!r} cannot be the name of a repository: {error}") from error
    if repo.count("/") != 1:
        raise HubError(f"{repo!r} has no owner. Give OWNER/NAME, where OWNER is you or one of your organizations.")
    return repo


def is_hub_id(name: str) -> bool:
    """Whether a name has the form OWNER/NAME that the Hub allows (a folder of this machine rarely has)."""
    try:
        validate_repo_id(name)
    except HFValidationError:
        return False
    return name.count("/") == 1


def choose(run: RunDir, config: PushConfig) -> Artifact:
    """What of the run is to be published."""
    done = {name for name in ("pretrain", "finetune", "embed") if run.stage(name).done}
    if not done:
        raise RunFolderError(
            f"{run.path} has nothing to publish: no finished pretrain, finetune or embed. See --output."
        )
    what = config.what
    if what == "auto":
        what = "model" if "finetune" in done else "backbone" if "pretrain" in done else "embeddings"
    if what == "embeddings":
        run.need("embed", "Run `hf-ssl embed` with this --output first.")
        return Artifact("embeddings", run.path / "embed")
    stage = "finetune" if "finetune" in done and what != "backbone" else "pretrain"
    needed = {"model": "finetune", "backbone": "pretrain"}.get(what, stage)
    run.need(needed, f"Run `hf-ssl {needed}` with this --output first, or publish something else with --what.")
    # Not the path in the ledger: a run folder may have been moved.
    artifact = Artifact(what, run.path / needed / "model", *_served(run, needed))
    if what == "adapter":
        locate_adapter(run, artifact, needed)
    return artifact


def _served(run: RunDir, stage: str) -> tuple[str, str | None]:
    """The transformers class and the pipeline of a stage's model."""
    modality = modality_of(run)
    settings = read_json(run.path / stage / "model" / "config.json")
    model_type = str(settings.get("model_type"))
    if stage == "finetune":
        outputs = run.stage(stage).outputs
        kind = plugins.find("tasks", outputs["task"])
        task = kind(kind.Config(**outputs["task_options"]), modality)
        return plain_class(task.auto_class, model_type), task.pipeline_tag
    name = run.stage(stage).options.get("objective") or modality.default_objective
    objective = plugins.find("objectives", name)
    auto_class = plain_class(objective.export_class or objective.auto_class, model_type)
    if auto_class == "AutoModelForMaskedLM":
        return auto_class, "fill-mask"
    return auto_class, modality.feature_pipeline if auto_class == "AutoModel" else None


def locate_adapter(run: RunDir, artifact: Artifact, stage: str) -> None:
    """Fill in where the adapter's base lies, here and on the Hub."""
    folder = artifact.source.parent / staging.ADAPTER
    if not (folder / "adapter_config.json").is_file():
        method = run.stage(stage).options.get("peft")
        raise HubError(
            f"The {stage} of {run.path} made no adapter (--peft {method}). Publish the whole model instead."
        )
    base = str(read_json(folder / "adapter_config.json")["base_model_name_or_path"])
    recorded = run.stage("pretrain").outputs.get("model")
    artifact.options = {}
    if stage == "finetune":
        artifact.options = {"num_labels": _number_of_labels(artifact.source)}
        artifact.options = {key: value for key, value in artifact.options.items() if value}
    if recorded is not None and Path(base) == Path(recorded):
        own = str(run.path / "pretrain" / "model")
        published = run.facts.get("hub", {}).get("backbone", {})
        artifact.base_source, artifact.base_id, artifact.base_revision = (
            own,
            published.get("repo"),
            published.get("commit"),
        )
        if artifact.base_id is None:
            raise HubError(
                "This adapter sits on the adapted backbone of this run, which is not on the Hub. Publish that first: "
                f"hf-ssl push --what backbone --output {run.path} --repo OWNER/NAME"
            )
    else:
        artifact.base_source = run.base.source if run.base else base


def _number_of_labels(folder: Path) -> int | None:
    labels = read_json(folder / "config.json").get("id2label")
    return len(labels) if labels else None


def modality_of(run: RunDir) -> Any:
    """The run's kind of data, with the options it was read with."""
    kind = plugins.find("modalities", run.facts.get("data", {}).get("modality", "text"))
    given: dict[str, Any] = {}
    for stage in ("pretrain", "finetune", "embed"):
        given = given or run.stage(stage).options.get("modality_options") or {}
    return kind(kind.Config(**given))


def license_of(run: RunDir, config: PushConfig) -> str:
    license = config.license or (run.base.license if run.base else None)
    if not license or not str(license).strip():
        raise HubError(
            "The start checkpoint names no license, so it has to be said: --license apache-2.0, mit, cc-by-4.0 … (whatever its "
            "authors allow)."
        )
    return str(license)


def base_of(run: RunDir, config: PushConfig) -> tuple[str | None, str | None]:
    """Hub id and revision of the start checkpoint; never a folder of this machine."""
    base = run.base or BaseModel("")
    if config.base_model is not None:
        if config.base_model.lower() == "unpublished":
            return None, None
        if not is_hub_id(config.base_model):
            raise HubError(f"--base_model {config.base_model!r} is not a Hub id (OWNER/NAME).")
        return config.base_model, base.revision if config.base_model == base.id else None
    known = base.id
    if known.startswith(TENSORFLOW):  # imported: its start is at no place that the Hub can link to
        return None, None
    if not is_hub_id(known):
        raise HubError(
            f"The run started from {known!r}, a folder of this machine. Name the checkpoint as the Hub knows it, --base_model "
            "OWNER/NAME (its weights are compared), or say `--base_model unpublished` if it was never there."
        )
    return known, base.revision


def outputs_of(artifact: Artifact, folder: Path) -> list[str]:
    """Names of what a fine-tuned model answers with; transformers' own `LABEL_0` are no names."""
    names = read_json(folder / "config.json").get("id2label") or {}
    labels = [str(names[number]) for number in sorted(names, key=int)]
    return [] if artifact.kind != "model" or all(re.fullmatch(r"LABEL_\d+", name) for name in labels) else labels


def inputs_of(folder: Path, modality: Modality) -> str:
    """What the model takes, by its configuration, its processor's, and the modality's options."""
    config = read_json(folder / "config.json")
    processors = (folder / name for name in ("preprocessor_config.json", "processor_config.json"))
    processor = next((read_json(file) for file in processors if file.is_file()), {})
    size = processor.get("crop_size") or processor.get("size") or config.get("image_size")
    if isinstance(size, dict):
        size = [size[name] for name in ("height", "width") if name in size] or size.get("shortest_edge")
    sides = (
        size if isinstance(size, list | tuple) else [size, size] if size and "sampling_rate" not in processor else []
    )
    window = getattr(modality.config, "window", None)
    told = {
        "{} pixels": " × ".join(map(str, sides)),
        "{} channels": config.get("num_channels") or config.get("num_input_channels"),
        "at most {} tokens": config.get("max_position_embeddings")
        if modality.pipeline_tag == "text-classification"
        else None,
        "{:,} samples a second": processor.get("sampling_rate"),
        "windows of {} s": window if "sampling_rate" in processor else None,
        "{} steps of history": config.get("context_length"),
        "patches of {}": config.get("patch_size") or config.get("patch_length"),
        "{} steps ahead": config.get("prediction_length"),
    }
    return ", ".join(text.format(value) for text, value in told.items() if value)
