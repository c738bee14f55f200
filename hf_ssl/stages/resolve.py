"""From options as given to checked configurations of a stage, of its plug-in, of its data, of the Trainer.

Nothing here imports torch or transformers: every problem of an option is reported, all at once, within a second.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from hf_ssl.core import plugins
from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.fields import Options, OptionsError, field_name, hints_of
from hf_ssl.core.option_groups import RENAMED, DataOptions, modern_names
from hf_ssl.core.options import AUTO, COMMANDS, STAGES
from hf_ssl.core.parsing import coerce
from hf_ssl.core.source import training_arguments

TRAINS = ("pretrain", "finetune", "compare")


@dataclass
class Resolved:
    """A stage's options, checked: its own, its plug-in's (objective or task), and `TrainingArguments` overrides."""

    stage: str
    config: Any
    plugin: Any
    training: dict[str, Any]

    def to_dict(self) -> dict[str, dict[str, Any]]:
        """Plain values, for run.json; data given as objects are named by their type."""
        values = {key: _plain(value) for key, value in dataclasses.asdict(_without_objects(self.config)).items()}
        plugin = dataclasses.asdict(self.plugin) if self.plugin is not None else {}
        return {"options": values, "plugin": plugin, "training": {k: _plain(v) for k, v in self.training.items()}}


def resolve(stage: str, given: Mapping[str, Any], plugin_config: type | None = None) -> Resolved:
    """Check and convert the options of one stage.

    Args:
        stage: one of `hf_ssl.core.options.COMMANDS`.
        given: names to values, from Python, YAML or the command line (where every value is a string).
        plugin_config: the dataclass of the objective's or task's own options.

    Raises:
        OptionsError: every unknown name (with the nearest known one), every value of a wrong type or out of range, at once.
    """
    config_class = COMMANDS[stage]
    own, extra = hints_of(config_class), hints_of(plugin_config) if plugin_config else {}
    modality = plugins.find("modalities", str(given.get("modality") or "text")) if "modality_options" in own else None
    of_data = modality_fields(modality) if modality else {}
    training = training_fields() if stage in TRAINS else {}
    known = {**training, **of_data, **extra, **own}
    kinds = (config_class, plugin_config, modality.Config if modality else None)
    values, problems = modern_names(given, known, kinds)
    nested = values.pop("modality_options", None) or {}
    if not isinstance(nested, Mapping):
        problems.append(f"modality_options: a mapping of names to values, found {nested!r}.")
        nested = {}
    problems += [
        f"modality_options: no such option {name!r}.{nearest(str(name), of_data)}"
        for name in nested
        if name not in of_data
    ]
    values |= {name: value for name, value in nested.items() if name in of_data}
    taken: dict[str, dict[str, Any]] = {"own": {}, "plugin": {}, "data": {}, "training": {}}
    for name, value in values.items():
        for target, fields in (("own", own), ("plugin", extra), ("data", of_data), ("training", training)):
            if name in fields:
                try:
                    taken[target][name] = coerce(fields[name], value)
                except ConfigError as error:
                    problems.append(f"{name}: {error}")
                break
        else:
            auto = (
                " Options of an objective need its name: --objective NAME instead of auto."
                if given.get("objective") == AUTO
                else ""
            )
            problems.append(f"{name}: no such option of {stage}.{_hint(stage, name, known)}{auto}")
    if modality is not None:
        _made(modality.Config, taken["data"], problems)
        taken["own"]["modality_options"] = taken["data"]
    config = _made(config_class, taken["own"], problems)
    plugin = _made(plugin_config, taken["plugin"], problems) if plugin_config else None
    if problems:
        raise OptionsError(problems, f"options of {stage}")
    return Resolved(stage, config, plugin, taken["training"])


def _made(kind: Any, values: dict[str, Any], problems: list[str]) -> Any:
    """The configuration; what it refuses goes to the problems."""
    try:
        return kind(**values)
    except OptionsError as error:
        problems += error.problems
    except ConfigError as error:
        problems.append(str(error))
    except TypeError as error:  # a field without a default, in a user's own plug-in
        problems.append(f"{kind.__qualname__}: {error}")
    return None


def _hint(stage: str, name: str, known: Iterable[str]) -> str:
    if name in RESERVED:
        return f" hf_ssl sets it itself; see {RESERVED[name]}." if RESERVED[name] else " hf_ssl sets it itself."
    if stage not in TRAINS and name in training_arguments():
        return " It is an option of training, and nothing is trained here."
    names = [*known]
    old = {old: new for old, new in RENAMED.items() if new in names}
    close = nearest(name, [*names, *old])
    for word, new in old.items():  # whoever misspells an old name learns the new one
        close = close.replace(repr(word), repr(new))
    return close


def modality_fields(kind: Any) -> dict[str, Any]:
    """Names and types of the options of a modality, without those every modality shares."""
    shared = hints_of(DataOptions)
    return {name: hint for name, hint in hints_of(kind.Config).items() if name not in shared}


# TrainingArguments fields that a stage sets itself: two names for one thing would contradict each other.
RESERVED = {
    "output_dir": "--output", "resume_from_checkpoint": "--resume", "do_train": None, "do_eval": None, "do_predict": None,
    "push_to_hub": "hf-ssl push", "hub_token": None, "hub_model_id": None, "remove_unused_columns": None, "label_names": None,
    "load_best_model_at_end": None, "metric_for_best_model": None, "greater_is_better": None,
}  # fmt: skip


def training_fields() -> dict[str, Any]:
    """Names and types of the `transformers.TrainingArguments` that may be given to a training stage."""
    return {name: field.hint for name, field in sorted(training_arguments().items()) if name not in RESERVED}


def split_sections(given: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Separate a recipe's shared options from its stage sections (`pretrain:` or `--pretrain.max_steps 10`).

    Returns:
        shared options, and one mapping of options per stage in the order the stages run.

    Raises:
        ConfigError: a section is not a mapping, or its name is not a stage.
    """
    shared: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for raw, value in given.items():
        name = field_name(raw)
        stage, dot, key = name.partition(".")
        if dot and stage not in STAGES:
            raise ConfigError(f"{name!r}: no stage is called {stage!r}.{nearest(stage, STAGES)}")
        if dot:
            sections.setdefault(stage, {})[key] = value
        elif name in STAGES:
            if not isinstance(value, dict | None):
                raise ConfigError(f"`{name}:` must hold the options of that stage, found {value!r}.")
            sections[name] = {**{field_name(k): v for k, v in (value or {}).items()}, **sections.get(name, {})}
        else:
            shared[name] = value
    return shared, {stage: sections[stage] for stage in STAGES if stage in sections}


def _plain(value: object) -> Any:
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else type(value).__name__


def _without_objects(config: Options) -> Any:
    """Data given as Python objects cannot be deep-copied into run.json, their type's name can."""
    objects = ("data", "unlabeled", "validation", "test", "labels_file", "target")
    given = {name: getattr(config, name) for name in objects if hasattr(config, name)}
    named = {name: value if isinstance(value, str | None) else type(value).__name__ for name, value in given.items()}
    return dataclasses.replace(config, **named)
