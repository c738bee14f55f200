"""Lengths of time as people write them."""

from __future__ import annotations

import pytest

from hf_ssl.core.errors import ConfigError
from hf_ssl.core.timing import seconds_of, told


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1800),
        ("1.5h", 5400),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("2d", 172800),
        (" 10M ", 600),
    ],
)
def test_lengths_that_are_understood(text, seconds):
    assert seconds_of(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "0m", "-5m", "5 minutes", "m5", "1h30"])
def test_and_those_that_are_not(text):
    with pytest.raises(ConfigError, match="30m"):
        seconds_of(text)


@pytest.mark.parametrize("text", ["3", "3.5", 45])
def test_a_number_alone_is_asked_for_its_unit(text):
    with pytest.raises(ConfigError, match=f"{text}s, {text}m or {text}h"):
        seconds_of(text)


def test_how_they_are_told():
    assert [told(45), told(720), told(3900), told(7500)] == ["45 s", "12 min", "65 min", "2 h 05 min"]
