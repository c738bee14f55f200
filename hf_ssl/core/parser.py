"""The command line's parser: argparse, built from the dataclasses of `hf_ssl.core.options` and of plug-ins.

Argparse reads the words, prints the help and lets shells complete it; values are converted and checked where those from YAML and
Python are (`hf_ssl.stages.resolve`), so that all three mean the same and every problem is reported at once.
"""

from __future__ import annotations

import argparse
import dataclasses
import re
from collections.abc import Iterable, Mapping
from typing import Any

from hf_ssl.core.domain_options import DomainOptions
from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import choices_of, field_name, hints_of
from hf_ssl.core.option_groups import RENAMED, AdapterOptions, DataOptions, ModelOptions, RunOptions
from hf_ssl.core.parsing import Words, holds

# In the order of the help; what a stage adds itself comes before them.
GROUPS = {
    "data": DataOptions,
    "model": ModelOptions,
    "adapters": AdapterOptions,
    "domains": DomainOptions,
    "run": RunOptions,
}
# Of the more than a hundred fields of TrainingArguments, those that help shows.
COMMON = (
    "learning_rate", "num_train_epochs", "max_steps", "per_device_train_batch_size", "per_device_eval_batch_size",
    "gradient_accumulation_steps", "activation_checkpointing", "weight_decay", "max_grad_norm", "bf16", "fp16", "save_steps",
    "logging_steps", "report_to", "run_name", "dataloader_num_workers", "optim", "tf32", "torch_compile",
)  # fmt: skip
# Words that begin with dashes and name no option (`--`, `---`, `-9 (missing)`, `--none--`); argparse does not see the dashes behind the mark.
_DASHED = re.compile(r"-+|-{1,2}[^-A-Za-z_].*|-(?:inf|nan)|-.*-", re.IGNORECASE | re.DOTALL)
_OPTION = re.compile(r"--[A-Za-z][\w.-]*")
_MARK = "\0"


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """`--seed INT`, not `--seed [INT]`: that a value may be absent is for switches."""

    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=119)

    def _format_args(self, action: argparse.Action, default_metavar: str) -> str:
        return f"{action.metavar or default_metavar}" + (" ..." if action.nargs == "*" else "")


class Parser(argparse.ArgumentParser):
    """Options of one command; every value stays text (or a list of texts, or a switch's True and False).

    Args:
        verb: the command.
        what: what it does, in a line.
        examples: lines under the options.
    """

    def __init__(self, verb: str, what: str, examples: Iterable[str] = (), usage: str = "") -> None:
        lines = "\n".join(f"  {line}" for line in examples)
        super().__init__(
            prog=f"hf-ssl {verb}", description=what, add_help=False, allow_abbrev=False, usage=usage or f"hf-ssl {verb} [OPTIONS]",
            argument_default=argparse.SUPPRESS, epilog=f"examples:\n{lines}" if lines else None,
            formatter_class=_Formatter,
        )  # fmt: skip
        self.known: set[str] = set()

    def error(self, message: str) -> Any:
        raise ConfigError(message)

    def add(
        self, title: str, fields: Mapping[str, tuple[Any, str, Any, Iterable[Any]]], shown: Iterable[str] | None = None
    ) -> None:
        """A group of options.

        Args:
            fields: name → type, help text, default, choices.
            shown: those that help lists (default: all).
        """
        group = self.add_argument_group(title)
        for name, (hint, text, default, choices) in fields.items():
            if name in self.known:
                continue
            self.known.add(name)
            visible = shown is None or name in shown
            help_text = f"{text}{_written(default)}".replace("%", "%%") if visible else argparse.SUPPRESS
            several: Any = {"nargs": "*"} if holds(hint, list) else {"nargs": "?", "const": True}
            action: Any = group.add_argument(f"--{name}", help=help_text, metavar=_metavar(hint, choices), **several)
            words = [str(choice) for choice in choices] or (["true", "false"] if _is_switch(hint) else [])
            if words:
                action.completer = lambda words=words, **_: words  # argcomplete's: suggests, and refuses nothing
            if _is_switch(hint):
                group.add_argument(
                    f"--{negated(name)}", dest=name, action="store_const", const=False, help=argparse.SUPPRESS
                )

    def read(self, tokens: list[str]) -> dict[str, Any]:
        """Options as given; unknown ones are among them, so that they are reported with everything else that is wrong.

        Raises:
            ConfigError: a word is neither an option nor an option's value.
        """
        given, rest = self.parse_known_args([underscored(_marked(token)) for token in tokens])
        found = {name: _plain(value) for name, value in vars(given).items()}
        while rest:
            token = rest.pop(0)
            if not token.startswith("--"):
                raise ConfigError(f"Expected an option that starts with --, found {_plain(token)!r}.")
            name, equals, value = token[2:].partition("=")
            values = [_plain(value)] if equals else []
            while rest and not rest[0].startswith("--"):
                values.append(_plain(rest.pop(0)))
            found[name] = values[0] if len(values) == 1 else values or True
        return found


def fields_of(config: type, prefix: str = "") -> dict[str, tuple[Any, str, Any, Iterable[Any]]]:
    """Name → type, help text, default and choices of every option of a dataclass."""
    found = {}
    for item in dataclasses.fields(config):
        hint = hints_of(config)[item.name]
        default = item.default if item.default_factory is dataclasses.MISSING else item.default_factory()
        choices = choices_of(hint) or item.metadata.get("choices", ())
        found[f"{prefix}{item.name}"] = (hint, str(item.metadata.get("help", "")), default, choices)
    return found


def groups_of(config: type, own: str) -> dict[str, list[str]]:
    """Names of a stage's options by group; `own` is the title of those that it adds itself."""
    of_group = {name: title for title, kind in GROUPS.items() for name in hints_of(kind) if issubclass(config, kind)}
    names: dict[str, list[str]] = {own: []}
    for item in dataclasses.fields(config):
        names.setdefault(of_group.get(item.name, own), []).append(item.name)
    return {title: names[title] for title in (own, *GROUPS) if names.get(title)}


def old_names(known: Iterable[str], kinds: Iterable[type | None]) -> list[str]:
    """Names of the release before, which still work and which no help shows."""
    table = dict(RENAMED)
    for kind in kinds:
        table |= getattr(kind, "renamed", {})
    names = set(known)
    return [old for old, new in table.items() if new in names and old not in names]


def negated(name: str) -> str:
    """`no_bf16`, and `pretrain.no_bf16` in a section."""
    section, dot, last = name.rpartition(".")
    return f"{section}{dot}no_{last}"


def peek(tokens: list[str], *names: str) -> dict[str, str]:
    """Values of some options before there is a parser: which plug-ins' options are known depends on them."""
    found = {}
    for token, after in zip(tokens, [*tokens[1:], ""], strict=False):
        name, equals, value = token.partition("=")
        if name.startswith("--") and field_name(name[2:]) in names and (equals or not after.startswith("--")):
            found[field_name(name[2:])] = value if equals else after
    return found


def underscored(token: str) -> str:
    """`--max_steps=3` for `--max-steps=3`; other words as they are."""
    if not token.startswith("--"):
        return token
    name, equals, value = token[2:].partition("=")
    return f"--{field_name(name)}{equals}{value}"


def _marked(token: str) -> str:
    """A value that begins with dashes with a mark before it, alone or behind an option's `=`."""
    name, equals, value = token.partition("=")
    if equals and _OPTION.fullmatch(name):
        return f"{name}={_MARK}{value}" if _DASHED.fullmatch(value) else token
    return _MARK + token if _DASHED.fullmatch(token) else token


def _plain(value: object) -> object:
    """Values as they were typed."""
    if isinstance(value, list):
        return Words(word.removeprefix(_MARK) for word in value)
    return value.removeprefix(_MARK) if isinstance(value, str) else value


def _is_switch(hint: object) -> bool:
    return hint is bool or bool in getattr(hint, "__args__", ())


def _metavar(hint: Any, choices: Iterable[Any]) -> str:
    if known := ",".join(str(choice) for choice in choices):
        return f"{{{known}}}"
    if _is_switch(hint):
        return "BOOL"
    kinds = {int: "INT", float: "FLOAT"}
    inner = [kinds[part] for part in (hint, *getattr(hint, "__args__", ())) if part in kinds]
    inner += [
        kinds[part] for one in getattr(hint, "__args__", ()) for part in getattr(one, "__args__", ()) if part in kinds
    ]
    return inner[0] if inner else "TEXT"


def _written(default: object) -> str:
    """` [4,16,64]`; nothing where there is no default but what the help text says."""
    if default is None or default in ([], {}, ""):
        return ""
    text = ",".join(str(part) for part in default) if isinstance(default, list) else str(default)
    return f" [{text.lower() if isinstance(default, bool) else text}]"
