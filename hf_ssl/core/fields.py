"""How an option is declared and checked: a dataclass field with its help text and its range.

A field says its type, its default, its help and its range once; the command line, the checks, the docs and the completion of
shells read them from here. Stages declare theirs in `hf_ssl.core.options`, objectives, tasks and modalities in their own files.
"""

from __future__ import annotations

import dataclasses
import typing
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Literal

from hf_ssl.core.errors import ConfigError, nearest

_BOUNDS = {
    "ge": ("at least", lambda value, bound: value >= bound), "gt": ("above", lambda value, bound: value > bound),
    "le": ("at most", lambda value, bound: value <= bound), "lt": ("below", lambda value, bound: value < bound),
}  # fmt: skip


def option(default: Any, help: str, **bounds: Any) -> Any:
    """A dataclass field with its help text and its range.

    Args:
        bounds: `ge`, `gt`, `le`, `lt` (as pydantic calls them) for a number, or for each number of a list; `choices` for
            a value whose type is not a `Literal`.
    """
    if unknown := bounds.keys() - {*_BOUNDS, "choices"}:
        raise TypeError(f"option() has no {', '.join(sorted(unknown))}")
    metadata = {"help": help, **bounds}
    if isinstance(default, (list, dict)):
        return field(default_factory=lambda: type(default)(default), metadata=metadata)
    return field(default=default, metadata=metadata)


class OptionsError(ConfigError):
    """Options that cannot be right, all of them: `problems` has one line for each, with the option's name first."""

    def __init__(self, problems: list[str], what: str = "options") -> None:
        self.problems = problems
        super().__init__(f"These {what} are not right:\n" + "\n".join(f"  {problem}" for problem in problems))


@dataclass
class Options:
    """Base of every set of options: all values are checked when one is made.

    Attributes:
        renamed: old name → new name, for one release.

    Raises:
        OptionsError: values that are out of range or contradict each other, all at once.
    """

    renamed: ClassVar[dict[str, str]] = {}

    def __post_init__(self) -> None:
        problems = [*_out_of_range(self), *self.problems()]
        if problems:
            raise OptionsError(problems, f"options of {type(self).__qualname__.removesuffix('.Config')}")

    def problems(self) -> list[str]:
        """What ranges cannot say, such as options that contradict each other: `"name: what is wrong"` for each."""
        return []


def hints_of(config: type) -> dict[str, Any]:
    """Types of a dataclass's fields."""
    return _hints(config)


@lru_cache
def _hints(config: type) -> dict[str, Any]:
    hints = typing.get_type_hints(config)
    return {item.name: hints[item.name] for item in dataclasses.fields(config)}


def choices_of(hint: object) -> tuple[Any, ...]:
    """The values that a `Literal` (or a `Literal | None`) allows; none for other types."""
    if typing.get_origin(hint) is Literal:
        return typing.get_args(hint)
    return tuple(choice for part in typing.get_args(hint) for choice in choices_of(part))


def not_among(value: object, choices: typing.Iterable[Any]) -> str:
    """`'tokn' is none of token, word, span. Did you mean 'token'?`"""
    known = [str(choice) for choice in choices]
    return f"{value!r} is none of {', '.join(known)}.{nearest(str(value), known)}"


def field_name(name: object) -> str:
    """Field name of an option, however it is spelled.

    Raises:
        ConfigError: it is not a word.
    """
    if not isinstance(name, str):
        raise ConfigError(f"The names of options are words, found {name!r} ({type(name).__name__}).")
    return name.replace("-", "_")


def _out_of_range(config: Options) -> list[str]:
    found = []
    hints = hints_of(type(config))
    for item in dataclasses.fields(config):
        value = getattr(config, item.name)
        if value is None or value is item.default:
            continue
        choices = item.metadata.get("choices") or choices_of(hints[item.name])
        for one in value if isinstance(value, list) else [value]:
            if choices and one not in choices:
                found.append(f"{item.name}: {not_among(one, choices)}")
        bounds = {name: item.metadata[name] for name in _BOUNDS if name in item.metadata}
        numbers = [one for one in (value if isinstance(value, list) else [value]) if isinstance(one, (int, float))]
        if any(not _BOUNDS[name][1](number, bound) for number in numbers for name, bound in bounds.items()):
            wanted = " and ".join(f"{_BOUNDS[name][0]} {bound:g}" for name, bound in bounds.items())
            found.append(f"{item.name}: {value!r} is out of range; it must be {wanted}.")
    return found
