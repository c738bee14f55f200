"""A recipe's options, stage by stage."""

from __future__ import annotations

import dataclasses
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.options import STAGES
from hf_ssl.stages.resolve import Resolved, modality_fields, resolve, split_sections


def plan(recipe: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of every stage of a recipe, in the order the stages run.

    Args:
        recipe: shared options at the top, one mapping per stage (`pretrain:`, `finetune:` …), as in a recipe's YAML.

    Raises:
        ConfigError: no stage, or an option at the top that no stage has.
    """
    shared, sections = split_sections(recipe)
    if not sections:
        raise ConfigError(f"The recipe names no stage. Add sections such as `pretrain:`; stages: {', '.join(STAGES)}.")
    of_data = modality_fields(shared)
    known = {stage: {*of_data, *(item.name for item in dataclasses.fields(STAGES[stage]))} for stage in sections}
    stray = {key: value for key, value in shared.items() if not any(key in names for names in known.values())}
    if stray:
        resolve(next(iter(sections)), stray)  # raises, naming each one and its nearest
    planned = {}
    for stage, given in sections.items():
        # After an earlier stage in the same recipe, its result is the model, not the checkpoint it started from.
        later = "pretrain" in sections and stage in ("finetune", "evaluate", "embed")
        later |= "finetune" in sections and stage == "evaluate"
        passed = {"model", "revision"} if later else set()
        planned[stage] = {**{key: value for key, value in shared.items() if key in known[stage] - passed}, **given}
    return planned


def resolve_stage(stage: str, options: dict[str, Any]) -> Resolved:
    """A stage's options, checked together with those of its objective or task; `--model tf:SOURCE` is imported."""
    resolved = resolve(stage, options, plugin_config(stage, options))
    model = getattr(resolved.config, "model", None)
    if isinstance(model, str) and model.startswith("tf:"):
        from hf_ssl.stages.import_tf import model_from_tensorflow

        resolved.config.model = model_from_tensorflow(model)
    return resolved


def plugin_config(stage: str, options: dict[str, Any]) -> type | None:
    """Options class of the objective (default: the modality's) or task (default: what the kind of label, or the modality, asks for)."""
    if stage == "pretrain":
        modality = plugins.find("modalities", options.get("modality") or "text")
        return plugins.find("objectives", options.get("objective") or modality.default_objective).Config
    if stage in ("finetune", "compare"):
        kind = plugins.find("modalities", options.get("modality") or "text")
        fitting = plugins.TASK_OF.get(str(options.get("label_kind"))) or kind.default_task(options)
        return plugins.find("tasks", options.get("task") or fitting).Config
    return None
