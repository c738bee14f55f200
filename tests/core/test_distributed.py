"""Several processes: a launch that starts fewer than were asked for is said aloud."""

from __future__ import annotations

import pytest

from hf_ssl.core import distributed
from hf_ssl.core.errors import ConfigError


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["accelerate", "launch", "--cpu", "--num_processes", "2", "-m", "hf_ssl"], True),
        (["accelerate", "launch", "--num_processes=4", "-m", "hf_ssl"], True),
        (["accelerate", "launch", "--num_processes", "1", "-m", "hf_ssl"], False),
        (["accelerate", "launch", "-m", "hf_ssl"], False),
        ([], False),
    ],
)
def test_a_lone_process_of_several_is_said_aloud(
    command: list[str], said: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "no")
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    note = distributed.lone_launch(command)
    assert (note is not None) == said
    if said:
        assert "torchrun --nproc_per_node" in str(note)
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert distributed.lone_launch(command) is None


def test_a_start_without_accelerate_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ACCELERATE_MIXED_PRECISION", raising=False)
    assert distributed.lone_launch(["python", "--num_processes", "8"]) is None


@pytest.mark.parametrize("given", [{"WORLD_SIZE": "two"}, {"RANK": "-1"}, {"RANK": "7", "WORLD_SIZE": "1"}])
def test_an_environment_that_cannot_be(given: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError, match=next(iter(given))):
        distributed.check_launch()
