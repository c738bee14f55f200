"""From what people write (YAML, command line, strings) to values: no option names here, see `hf_ssl.core.options`."""

from __future__ import annotations

import typing
from pathlib import Path
from typing import Any

from hf_ssl.core.errors import ConfigError

MAX_YAML = 1 << 20


def coerce(hint: Any, value: Any) -> Any:
    """Convert a value to a field's type the way users mean it (`"2e-1"` is a number, `"4,16"` a list).

    Raises:
        ConfigError: the value does not fit the type.
    """
    from pydantic import ConfigDict, TypeAdapter, ValidationError

    if hint is Any:
        return value
    if isinstance(value, str):
        if value.lower() in ("none", "null") and type(None) in typing.get_args(hint):
            return None
        if holds(hint, dict):
            value = mapping(value)
        elif holds(hint, list):
            value = [part.strip() for part in value.split(",") if part.strip()]
    if isinstance(value, Path):
        value = str(value)
    if isinstance(value, tuple) and holds(hint, list):
        value = list(value)
    try:
        return TypeAdapter(hint, config=ConfigDict(arbitrary_types_allowed=True)).validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{value!r} is not right: {first['msg'].lower()}.") from None


def coerce_fields(config: type, values: dict[str, Any]) -> dict[str, Any]:
    """Values for a dataclass, each converted to its field's type.

    Raises:
        ConfigError: all values that do not fit, at once.
    """
    hints = typing.get_type_hints(config)
    made, problems = {}, []
    for name, value in values.items():
        try:
            made[name] = coerce(hints[name], value)
        except ConfigError as error:
            problems.append(f"{name}: {error}")
    if problems:
        raise ConfigError("; ".join(problems))
    return made


def from_yaml(path: str | Path) -> dict[str, Any]:
    """Read a YAML mapping of options.

    Raises:
        ConfigError: the file is missing, is not YAML, or is not a mapping.
    """
    import yaml

    path = Path(path)
    if not path.is_file():
        raise ConfigError(f"No configuration file at {path}. `hf-ssl recipes ls` lists the ones that come along.")
    if path.stat().st_size > MAX_YAML:
        raise ConfigError(f"{path} is larger than {MAX_YAML >> 20} MB; that is no file of options.")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path} is not UTF-8 (byte {error.start}); save it as UTF-8.") from error
    except RecursionError as error:
        raise ConfigError(f"{path} is nested too deeply.") from error
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    if not isinstance(content, dict):
        raise ConfigError(f"{path} must hold `name: value` lines, found {type(content).__name__}.")
    odd = next((name for name in content if not isinstance(name, str)), None)
    if odd is not None:
        raise ConfigError(f"{path}: {odd!r} is no name of an option.")
    return content


def from_tokens(tokens: list[str]) -> dict[str, Any]:
    """Read `--name value`, `--name=value`, `--flag` and `--no-flag` into a mapping of strings and booleans.

    Raises:
        ConfigError: a token is neither an option nor an option's value.
    """
    given: dict[str, Any] = {}
    position = 0
    while position < len(tokens):
        token = tokens[position]
        if not token.startswith("--") or token == "--":
            raise ConfigError(f"Expected an option that starts with --, found {token!r}.")
        name, equals, value = token[2:].partition("=")
        position += 1
        if equals:
            given[field_name(name)] = value
            continue
        values = []
        while position < len(tokens) and not tokens[position].startswith("--"):
            values.append(tokens[position])
            position += 1
        if values:
            given[field_name(name)] = values[0] if len(values) == 1 else values
        elif name.startswith("no-"):
            given[field_name(name[3:])] = False
        else:
            given[field_name(name)] = True
    return given


def field_name(name: str) -> str:
    """Field name of an option, however it is spelt."""
    return name.replace("-", "_")


def holds(hint: Any, kind: type) -> bool:
    """Whether a type is, or may be, a `list` or a `dict`."""
    return typing.get_origin(hint) is kind or any(typing.get_origin(part) is kind for part in typing.get_args(hint))


def mapping(text: str) -> Any:
    """`{"sep": ";"}` as typed on a command line; pydantic says what is wrong with anything else."""
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError:
        return text
