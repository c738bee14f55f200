"""The command lines that a run was made with, from its ledger."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterator, Mapping
from typing import Any

from hf_ssl.core.fields import hints_of
from hf_ssl.core.options import COMMANDS
from hf_ssl.core.run import RunDir

READ = "DomainData"
"""What the ledger says of data that another stage had read."""
UNSAID = ("resume", "overwrite")


def command_lines(run: RunDir) -> list[tuple[str, str]]:
    """Stage and command, in the order they ran; options that are their defaults are left out.

    Stages that `adapt` ran had their data from it as an object, and come again with it.
    """
    adapted = "adapt" in run.stages
    ordered = sorted(
        (
            (name, record)
            for name, record in run.stages.items()
            if not (adapted and record.options.get("data") == READ)
        ),
        key=lambda item: item[1].started,
    )
    return [
        (name, _command(name, record.options, record.plugin, record.training))
        for name, record in ordered
        if name in COMMANDS
    ]


def _command(stage: str, options: Mapping[str, Any], plugin: Mapping[str, Any], training: Mapping[str, Any]) -> str:
    words = ["hf-ssl", stage]
    defaults = {item.name: _default(item) for item in dataclasses.fields(COMMANDS[stage])}
    known = hints_of(COMMANDS[stage])
    for name, value in options.items():
        if name in UNSAID or (name in defaults and value == defaults[name] and name not in ("data", "output")):
            continue
        if name == "modality_options":
            words += _words(value or {})
        elif name in known:
            words += _words({name: value})
    chosen = options.get("objective") or options.get("task")
    words += _words({**(plugin if chosen else {}), **training})
    return shlex.join(words)


def _words(values: Mapping[str, Any]) -> Iterator[str]:
    for name, value in values.items():
        if value is None or value == [] or value == {}:
            continue
        yield f"--{name}"
        if isinstance(value, bool):
            yield str(value).lower()
        elif isinstance(value, (list, tuple)):
            yield ",".join(map(str, value))
        else:
            yield str(value)


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default_factory() if item.default_factory is not dataclasses.MISSING else item.default
