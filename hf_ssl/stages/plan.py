"""A recipe's options, stage by stage, all of them checked before anything heavy is imported or read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import OptionsError, hints_of
from hf_ssl.core.option_groups import RENAMED, modern_names
from hf_ssl.core.options import AUTO, STAGES
from hf_ssl.core.run import RunDir
from hf_ssl.stages.resolve import Resolved, modality_fields, resolve, split_sections


def plan(recipe: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Options of every stage of a recipe, in the order the stages run.

    Args:
        recipe: shared options at the top, one mapping per stage (`pretrain:`, `finetune:` …), as in a recipe's YAML.

    Raises:
        ConfigError: no stage, or an option that is given twice.
    """
    shared, sections = split_sections(recipe)
    if not sections:
        raise ConfigError(f"The recipe names no stage. Add sections such as `pretrain:`; stages: {', '.join(STAGES)}.")
    of_data = modality_fields(plugins.find("modalities", str(shared.get("modality") or "text")))
    known = {stage: {*of_data, *hints_of(STAGES[stage])} for stage in sections}
    stray = {
        key: value for key, value in shared.items()
        if not any(key in names or RENAMED.get(key) in names for names in known.values())
    }  # fmt: skip
    shared, problems = modern_names(shared, set().union(*known.values()))
    if problems:
        raise OptionsError(problems, "options of the recipe")
    planned = {}
    for stage, given in sections.items():
        # After an earlier stage in the same recipe, its result is the model, not the checkpoint it started from.
        later = "pretrain" in sections and stage in ("finetune", "evaluate", "embed")
        later |= "finetune" in sections and stage == "evaluate"
        passed = {"model", "revision", "from_config"} if later else set()
        planned[stage] = {**{key: value for key, value in shared.items() if key in known[stage] - passed}, **given}
    first = next(iter(planned))
    planned[first] = {**stray, **planned[first]}  # where they are refused, with everything else that is wrong
    return planned


def resolve_recipe(recipe: Mapping[str, Any]) -> dict[str, Resolved]:
    """Check every option of every stage of a recipe.

    Raises:
        OptionsError: all problems of all stages.
    """
    planned, found, problems = plan(recipe), {}, []
    for number, (stage, options) in enumerate(planned.items()):
        try:
            found[stage] = resolve_stage(stage, options, earlier=tuple(planned)[:number])
        except OptionsError as error:
            problems += [f"{stage}: {problem}" for problem in error.problems]
        except ConfigError as error:
            problems.append(f"{stage}: {error}")
    if problems:
        raise OptionsError(list(dict.fromkeys(problems)), "options of the recipe")
    return found


def resolve_stage(stage: str, options: Mapping[str, Any], earlier: tuple[str, ...] = ()) -> Resolved:
    """A stage's options, checked together with those of its objective or task, and with what the run folder holds.

    Args:
        earlier: stages that will have run by then.

    Raises:
        OptionsError: something is wrong with them, or what the stage works on is named nowhere.
    """
    resolved = resolve(stage, options, plugin_config(stage, options))
    if absent := _absent(resolved, earlier):
        raise OptionsError(absent, f"options of {stage}")
    return resolved


def plugin_config(stage: str, options: Mapping[str, Any]) -> type | None:
    """Options class of the objective (default: the modality's) or task (default: what the kind of label, or the modality, asks for)."""
    if stage not in ("pretrain", "finetune", "compare"):
        return None
    kind = plugins.find("modalities", str(options.get("modality") or "text"))
    if stage == "pretrain" and options.get("objective") == AUTO:
        return None  # options of one objective mean nothing to the others
    if stage == "pretrain":
        return plugins.config_of("objectives", str(options.get("objective") or kind.default_objective))
    fitting = plugins.task_for(options.get("label_kind")) or kind.default_task(dict(options))
    return plugins.config_of("tasks", str(options.get("task") or fitting))


def _absent(resolved: Resolved, earlier: tuple[str, ...]) -> list[str]:
    """What the stage cannot do without, and is neither given nor in the run folder."""
    config, stage, found = resolved.config, resolved.stage, []
    if hasattr(config, "data") and config.data is None:
        found.append("data: no data were named. Give --data: a folder, a file, or a Hub id.")
    if getattr(config, "streaming", False) and config.max_examples is None:
        found += _endless(resolved)
    if getattr(config, "revision", None) and config.model and Path(str(config.model)).expanduser().is_dir():
        found.append(
            f"revision: {config.model} is a folder, and a folder has no revisions. Omit --revision, or give the Hub id."
        )
    if stage == "adapt" and not config.model:
        found.append("model: which checkpoint is to be adapted? Give --model: a Hub id or a local folder.")
    if stage not in ("pretrain", "finetune", "compare", "embed", "evaluate", "predict", "gap"):
        return found
    if stage == "predict" and config.model:  # which needs no run
        return found
    run = RunDir(config.output)
    if stage in ("evaluate", "predict"):
        if "finetune" not in earlier and not run.stage("finetune").done:
            found.append(
                f"output: {config.output} has no finished finetune. Run `hf-ssl adapt` or `hf-ssl finetune` with the same --output first"
                + (", or name a fine-tuned --model." if stage == "predict" else ".")
            )
    elif getattr(config, "from_config", False) and not config.model:
        found.append("model: from_config needs one: a checkpoint's configuration, or a family such as patchtst.")
    elif not (config.model or run.base or earlier or run.stage("pretrain").done):
        found.append("model: no checkpoint was named. Give --model: a Hub id or a local folder.")
    return found


def _endless(resolved: Resolved) -> list[str]:
    """What a stage cannot do with a stream."""
    if resolved.stage != "pretrain":
        return [
            f"streaming: {resolved.stage} needs its data whole; pretrain alone reads a stream. Omit --streaming, or give --max_examples to take "
            "the first rows."
        ]
    if int(resolved.training.get("max_steps") or -1) <= 0:
        return ["max_steps: a stream has no end, so say how many steps to train: --max_steps 10000."]
    return []
