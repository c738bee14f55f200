"""From what people write (YAML, command line, strings) to values: no option names here, see `hf_ssl.core.options`."""

from __future__ import annotations

import math
import os
import re
import typing
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.fields import OptionsError, choices_of, hints_of, not_among

_BOUND = re.compile(r"[<>≤≥]")
_COMMA_OUTSIDE = r"(?<!\d),|,(?!\d)"  # `> 5,000` and `<0,5` are one word each
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{30,}\b")
_BRACKETS = re.compile(r"\[[^\[\]]*\]|\([^()]*\)|\{[^{}]*\}")
_PART = re.compile(rf"\s*(?:'[^']*'|\"[^\"]*\")\s*(?=,|$)|(?:{_BRACKETS.pattern}|[^,])+")
MAX_YAML = 1_000_000  # bytes; a recipe has one or two thousand


class Words(list[str]):
    """What stands behind an option of a list on a command line: words, of which one may hold several texts or a part of one."""


def coerce(hint: Any, value: Any) -> Any:
    """Convert a value to a field's type the way users mean it.

    `"2e-1"` is a number; `"4,16"`, `"[4, 16]"`, `["4", "16"]` and `[4, 16]` are the same list; a choice is found whatever its case
    and its hyphens.

    Raises:
        ConfigError: the value does not fit the type.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if hint is Any:
        return value
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, str) and value.lower() in ("none", "null") and type(None) in typing.get_args(hint):
        return None
    choices = choices_of(hint)
    if choices and isinstance(value, str):
        folded = {str(choice).replace("_", "-").lower(): choice for choice in choices}
        if value.replace("_", "-").lower() not in folded:
            raise ConfigError(not_among(value, choices))
        return folded[value.replace("_", "-").lower()]
    if isinstance(value, str) and holds(hint, dict):
        value = mapping(value)
    elif holds(hint, list):
        value = _listed(value)
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str) and _is_secret(part):
            raise ConfigError(
                "this is an access token, and options are written down in the run's folder. Log in with `hf auth login`, or set HF_TOKEN."
            )
    try:
        made = TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{value!r} is not right: {first['msg'].lower()}.") from None
    if any(isinstance(part, float) and math.isnan(part) for part in (made if isinstance(made, list) else [made])):
        raise ConfigError(f"{value!r} is no number.")
    return made


def _is_secret(text: str) -> bool:
    """Whether it holds an access token: one of the Hub by its form, or whatever is in HF_TOKEN."""
    own = os.environ.get("HF_TOKEN", "")
    return _TOKEN.search(text) is not None or bool(len(own) >= 8 and own in text)


def _listed(value: object) -> Any:
    """A list, from any way to write one in a line; what is a list already keeps its texts as they are, commas and all.

    So does one of several words in which a comma and a blank stand: a shell has kept them together because the user put quotes around it.
    """
    if isinstance(value, Words):
        inside = [bool(re.search(r"\S, +\S", word)) for word in value]
        if len(value) > 1 and any(inside) and not any(re.search(r"^[\[,]|[\],]$", word.strip()) for word in value):
            return [
                part
                for word, is_text in zip(value, inside, strict=True)
                for part in ([word] if is_text else listed(word))
            ]
        return listed(",".join(value))
    if isinstance(value, (list, tuple)):
        return [part for part in value if not isinstance(part, str) or part.strip()]
    if isinstance(value, str):
        return listed(value)
    return [value] if isinstance(value, (int, float)) and not isinstance(value, bool) else value


def listed(text: str) -> list[str]:
    """`4,16`, `[4, 16]`, `['Fp1 [uV]', 'Temp, C']` → the texts in it.

    Commas separate, those in quotes and in brackets do not. Brackets around the whole are those of a list, one pair or two: what
    messages and help print may be copied. A shell takes the quotes away, so that they may be missing.
    """
    inner = text.strip()
    while (whole := _inside(inner)) is not None:
        inner = whole
    if _BOUND.search(inner):
        parts = re.split(_COMMA_OUTSIDE, inner)
    else:
        parts = _PART.findall(inner) if _closed(inner) else inner.split(",")
    return [part for part in (part.strip().strip("'\"") for part in parts) if part]


def _inside(text: str) -> str | None:
    """What the brackets around the whole text hold; None: there are none around the whole."""
    if text[:1] != "[" or text[-1:] != "]":
        return None
    depth = 0
    for place, letter in enumerate(text):
        depth += (letter == "[") - (letter == "]")
        if not depth:
            return text[1:-1].strip() if place == len(text) - 1 else None
    return None


def _closed(text: str) -> bool:
    """Whether every bracket is closed; one kind in another is looked at from the outside only."""
    return not set(_BRACKETS.sub("", text)) & set("[](){}")


def coerce_fields(config: type, values: dict[str, Any]) -> dict[str, Any]:
    """Values for a dataclass, each converted to its field's type.

    Raises:
        OptionsError: all values that do not fit, at once.
    """
    made, problems = {}, []
    for name, value in values.items():
        try:
            made[name] = coerce(hints_of(config)[name], value)
        except ConfigError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise OptionsError(problems)
    return made


def from_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping of options.

    Raises:
        ConfigError: the file is missing, is too large, is not YAML in UTF-8, or is not a mapping of names to values.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"No configuration file at {path}. `hf-ssl recipes ls` lists the ones that come along.")
    if path.stat().st_size > MAX_YAML:
        raise ConfigError(
            f"{path} has {path.stat().st_size:,} bytes; that is no file of options. Give data with --data."
        )
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}). Save it as UTF-8.") from error
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    except (RecursionError, ValueError) as error:  # thousands of brackets; dates and numbers that cannot be
        raise ConfigError(f"{path} cannot be read as YAML: {str(error)[:200]}") from None
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold `name: value` lines, found {type(content).__name__}.")
    strange = [key for key in content if not isinstance(key, str)]
    if strange:
        raise ConfigError(
            f"{path}: the names of options are words, found {strange[0]!r} ({type(strange[0]).__name__})."
        )
    return content


def holds(hint: object, kind: type) -> bool:
    """Whether a type is, or may be, a `list` or a `dict`."""
    return typing.get_origin(hint) is kind or any(typing.get_origin(part) is kind for part in typing.get_args(hint))


def mapping(text: str) -> Any:
    """`{"sep": ";"}` as typed on a command line; pydantic says what is wrong with anything else."""
    import yaml

    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError):
        return text
