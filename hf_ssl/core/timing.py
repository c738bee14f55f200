"""Lengths of time as people write and read them."""

from __future__ import annotations

import re

from hf_ssl.core.errors import ConfigError

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def seconds_of(text: str) -> float:
    """`90s`, `30m`, `1.5h`, `1h30m`. A number alone is refused: whoever types 3 seldom means seconds.

    Raises:
        ConfigError: it is none of these, or not above 0.
    """
    said = str(text).strip().lower()
    if re.fullmatch(r"\d+(\.\d+)?", said) and float(said) > 0:
        raise ConfigError(f"{text!r} has no unit. Say which is meant: {said}s, {said}m or {said}h.")
    parts = re.fullmatch(r"(?:\d+(?:\.\d+)?\s*[smhd]\s*)+", said)
    found = re.findall(r"(\d+(?:\.\d+)?)\s*([smhd])", said) if parts else []
    total = sum(float(number) * _UNITS[unit] for number, unit in found)
    if total <= 0:
        raise ConfigError(f"{text!r} is no length of time. Write it as 90s, 30m, 2h or 1h30m.")
    return total


def wrong_length(option: str, text: str) -> list[str]:
    """What is wrong with an option that is a length of time: nothing, or one problem."""
    try:
        seconds_of(text)
    except ConfigError as error:
        return [f"{option}: {error}"]
    return []


def told(seconds: float) -> str:
    """`45 s`, `12 min`, `1 h 05 min`."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02} min"
