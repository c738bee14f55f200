"""From options as given to checked configurations of a stage, of its plug-in, of its data, of the Trainer."""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass
from typing import Any

from hf_ssl.core.errors import ConfigError, nearest
from hf_ssl.core.options import COMMANDS, STAGES, DataOptions
from hf_ssl.core.parsing import coerce, field_name


@dataclass
class Resolved:
    """A stage's options, checked: its own, its plug-in's (objective or task), and `TrainingArguments` overrides."""

    stage: str
    config: Any
    plugin: Any
    training: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for run.json; data given as objects are named by their type."""
        values = {key: _plain(value) for key, value in dataclasses.asdict(_without_objects(self.config)).items()}
        plugin = dataclasses.asdict(self.plugin) if self.plugin is not None else {}
        return {"options": values, "plugin": plugin, "training": {k: _plain(v) for k, v in self.training.items()}}


def resolve(stage: str, given: dict[str, Any], plugin_config: type | None = None) -> Resolved:
    """Check and convert the options of one stage.

    Args:
        stage: one of `hf_ssl.core.options.COMMANDS`.
        given: names to values, from Python, YAML or the command line (where every value is a string).
        plugin_config: the dataclass of the objective's or task's own options.

    Raises:
        ConfigError: lists every unknown name (with the nearest known one) and every value of a wrong type, at once.
    """
    config_class = COMMANDS[stage]
    own, extra = _fields(config_class), _fields(plugin_config)
    of_data = modality_fields(given) if "modality_options" in own else {}
    needs_training = any(field_name(name) not in {*own, *extra, *of_data} for name in given)
    training = training_fields() if needs_training else {}
    options = dict(given.get("modality_options") or {})
    taken: tuple[dict, ...] = ({}, {}, options, {})
    problems = [
        f"  modality_options: no such option {name!r}.{nearest(name, of_data)}"
        for name in options
        if name not in of_data
    ]
    for raw, value in given.items():
        name = field_name(raw)
        for known, target in zip((own, extra, of_data, training), taken, strict=True):
            if name in known:
                try:
                    target[name] = coerce(known[name], value)
                except ConfigError as error:
                    problems.append(f"  {raw}: {error}")
                break
        else:
            problems.append(f"  {raw}: no such option of {stage}.{nearest(name, [*own, *extra, *of_data, *training])}")
    if problems:
        raise ConfigError(f"These options of {stage} are not right:\n" + "\n".join(problems))
    config = config_class(**{**taken[0], **({"modality_options": options} if "modality_options" in own else {})})
    return Resolved(stage, config, plugin_config(**taken[1]) if plugin_config else None, taken[3])


def modality_fields(given: dict[str, Any]) -> dict[str, Any]:
    """Names and types of the options of the modality that `given` names, without those every modality shares."""
    from hf_ssl.core import plugins

    kind = plugins.find("modalities", given.get("modality") or "text")
    return {name: hint for name, hint in _fields(kind.Config).items() if name not in _fields(DataOptions)}


# TrainingArguments fields that a stage sets itself: two names for one thing would contradict each other.
RESERVED = {
    "output_dir": "output", "resume_from_checkpoint": "resume", "do_train": None, "do_eval": None, "do_predict": None,
    "push_to_hub": None, "hub_token": None, "hub_model_id": None, "remove_unused_columns": None, "label_names": None,
    "load_best_model_at_end": None, "metric_for_best_model": None, "greater_is_better": None,
}  # fmt: skip


def training_fields() -> dict[str, Any]:
    """Names and types of the `transformers.TrainingArguments` that may be given to a training stage."""
    from transformers import TrainingArguments

    hints = typing.get_type_hints(TrainingArguments)
    fields = {item.name for item in dataclasses.fields(TrainingArguments) if item.init}
    return {name: hints[name] for name in sorted(fields - RESERVED.keys())}


def split_sections(given: dict[str, Any]) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """Separate a recipe's shared options from its stage sections (`pretrain:` or `--pretrain.max_steps 10`).

    Returns:
        shared options, and one mapping of options per stage in the order the stages run.

    Raises:
        ConfigError: a section is not a mapping, or its name is not a stage.
    """
    shared: dict[str, Any] = {}
    sections: dict[str, dict[str, Any]] = {}
    for name, value in given.items():
        stage, dot, key = name.partition(".")
        if dot and stage not in STAGES:
            raise ConfigError(f"{name!r}: no stage is called {stage!r}.{nearest(stage, STAGES)}")
        if dot:
            sections.setdefault(stage, {})[field_name(key)] = value
        elif name in STAGES:
            if not isinstance(value, dict | None):
                raise ConfigError(f"`{name}:` must hold the options of that stage, found {value!r}.")
            sections[name] = {**{field_name(k): v for k, v in (value or {}).items()}, **sections.get(name, {})}
        else:
            shared[field_name(name)] = value
    return shared, {stage: sections[stage] for stage in STAGES if stage in sections}


def _fields(config_class: type | None) -> dict[str, Any]:
    if config_class is None:
        return {}
    hints = typing.get_type_hints(config_class)
    return {item.name: hints[item.name] for item in dataclasses.fields(config_class)}


def _plain(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, list, dict, type(None))) else type(value).__name__


def _without_objects(config: Any) -> Any:
    """Data given as Python objects cannot be deep-copied into run.json, their type's name can."""
    objects = ("data", "unlabeled", "validation", "test", "labels")
    given = {name: getattr(config, name) for name in objects if hasattr(config, name)}
    named = {name: value if isinstance(value, str | None) else type(value).__name__ for name, value in given.items()}
    return dataclasses.replace(config, **named)
